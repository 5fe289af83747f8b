using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using CsCheck;
using Observe.Tsdb.Model;
using Observe.Tsdb.Regex;
using Xunit;

namespace Observe.Tsdb.Tests.Model;

public class LabelsBuilderTests
{
    static readonly Gen<(string Name, string Value)[]> s_steps =
        Gen.Select(Gen.Int[0, 120].Select(i => i.ToString(CultureInfo.InvariantCulture)), Gen.OneOf(Gen.Const(""), Gen.Const("x"), Gen.Const("yy"))).Array[0, 400];

    [Fact]
    public void Any_sequence_of_sets_and_deletes_leaves_what_a_dictionary_would_hold() => s_steps.Sample(steps =>
    {
        var builder = new LabelsBuilder();
        var expected = new SortedDictionary<string, string>(Utf8Order.Instance);
        foreach (var (name, value) in steps)
        {
            builder.Set(name, value);
            expected[name] = value;
            if (value.Length == 0)
            {
                expected.Remove(name);
            }

            Assert.Equal((value, value.Length > 0, expected.Count), (builder.Get(name), builder.Has(name), builder.Count));
        }

        Assert.Equal(expected, builder.ToList());
        Assert.Equal(expected, builder.Build().ToDictionary());
        Assert.Equal(builder.Build(), new LabelsBuilder(builder.Build()).Build());
        Assert.Equal("{a=\"b\"}", builder.Reset().Set("a", "b").Build().ToString());
    });

    /// <summary>Ten times the labels: about ten times the work, and a hundred times where every label looks at every other.</summary>
    [Theory]
    [InlineData("rising")]
    [InlineData("falling")]
    [InlineData("shuffled")]
    [InlineData("deleted")]
    [InlineData("mapped")]
    [InlineData("labeldrop")]
    public void Building_grows_with_the_number_of_labels_only(string how)
    {
        Run(2_000);
        double small = double.MaxValue, large = double.MaxValue;

        // What runs beside it takes caches away: it is measured until both have had their chance.
        for (var i = 0; i < 9 || (i < 90 && large >= 40 * small); i++)
        {
            small = Math.Min(small, Run(2_000));
            large = Math.Min(large, Run(20_000));
        }

        Assert.True(large < 40 * small, $"{how}: {small:F2} ms for 2 000 labels, {large:F2} ms for 20 000");

        double Run(int count)
        {
            var order = Enumerable.Range(0, count).ToArray();
            if (how is not ("rising" or "falling"))
            {
                new Random(count).Shuffle(order);
            }

            var names = order.Select(i => Encoding.UTF8.GetBytes($"l{(how == "falling" ? count - i : i):D6}")).ToArray();
            var start = ThreadMilliseconds();
            var builder = new LabelsBuilder();
            foreach (var name in names)
            {
                Assert.False(builder.TryGet(name, out _));
                builder.Set(name, "v"u8);
            }

            switch (how)
            {
                case "deleted":
                    foreach (var name in names)
                    {
                        builder.Set(name, default);
                    }

                    break;
                case "mapped":
                    Assert.True(RelabelRule.Apply([new RelabelRule { Action = RelabelAction.LabelMap, Regex = new LabelRegex("l(.*)"), Replacement = "k$1" }], builder));
                    break;
                case "labeldrop":
                    Assert.True(RelabelRule.Apply([new RelabelRule { Action = RelabelAction.LabelDrop, Regex = new LabelRegex("l.*[1-9]") }], builder));
                    break;
            }

            GC.KeepAlive(builder.Build());
            return ThreadMilliseconds() - start;
        }
    }

    /// <summary>What this thread has computed so far: other than a clock on the wall, it stands still while others compute.</summary>
    static double ThreadMilliseconds()
    {
        var time = new long[2];
        Assert.Equal(0, ClockGetTime(3, time));
        return (time[0] * 1e3) + (time[1] / 1e6);
    }

    [DllImport("libc", EntryPoint = "clock_gettime")]
    static extern int ClockGetTime(int clock, [Out] long[] time);
}
