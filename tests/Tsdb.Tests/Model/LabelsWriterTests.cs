using CsCheck;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Tsdb.Tests.Model;

public class LabelsWriterTests
{
    static readonly Gen<Labels> s_labels =
        from names in Gen.OneOf(Gen.Const("a"), Gen.Const("b"), Gen.Const("cluster"), Gen.Const("replica"), Gen.Const("z")).HashSet[0, 5]
        from values in Gen.String[Gen.Char['a', 'c'], 1, 4].Array[names.Count]
        select Labels.Of([.. names.Zip(values)]);

    [Fact]
    public void External_labels_stand_where_both_have_a_name() =>
        Gen.Select(s_labels.Array[0, 20], s_labels).Sample((series, external) =>
        {
            var writer = new LabelsWriter(external);
            var written = new List<Labels>();
            foreach (var labels in series)
            {
                writer.Add(Labels.Of(("a", "dropped"), ("y", "dropped")));
                writer.Drop();
                writer.Add(labels);
                written.Add(writer.Take());
            }

            for (var i = 0; i < series.Length; i++)
            {
                var expected = new LabelsBuilder(series[i]);
                foreach (var label in external)
                {
                    expected.Set(label.NameText, label.ValueText);
                }

                Assert.Equal(expected.Build(), written[i]);
            }
        });

    [Fact]
    public void Labels_stay_as_they_are_while_others_fill_further_arrays()
    {
        var writer = new LabelsWriter(Labels.Of(("cluster", new string('c', 300))));
        var written = new List<Labels>();
        for (var i = 0; i < 2_000; i++)
        {
            writer.Add("a"u8, System.Text.Encoding.UTF8.GetBytes(new string('v', i % 500 * (i % 100 == 7 ? 500 : 1)) + i));
            written.Add(writer.Take());
        }

        for (var i = 0; i < written.Count; i++)
        {
            Assert.EndsWith(i.ToString(System.Globalization.CultureInfo.InvariantCulture), written[i].Get("a"), StringComparison.Ordinal);
            Assert.Equal(300, written[i].Get("cluster").Length);
            Assert.Equal(2, written[i].Count);
        }
    }

    [Fact]
    public void Labels_of_two_writers_go_back_with_the_one_that_took_the_other_over()
    {
        var (first, second) = (new LabelsWriter(), new LabelsWriter());
        first.Add("a"u8, "1"u8);
        second.Add("b"u8, "2"u8);
        var (one, two) = (first.Take(), second.Take());
        first.KeepArraysOf(second);
        Assert.Equal([Labels.Of(("a", "1")), Labels.Of(("b", "2"))], [one, two]);
        var kept = two.Copy();
        first.Dispose();
        Assert.Equal(Labels.Of(("b", "2")), kept);
        Assert.True(two.Encoded.IndexOfAnyExcept((byte)0) < 0);
    }

    [Fact]
    public void Labels_that_are_taken_back_leave_their_place_to_the_next()
    {
        using var writer = new LabelsWriter(Labels.Of(("z", "9")));
        writer.Add("a"u8, "1"u8);
        var first = writer.Take();
        writer.Add("b"u8, "2"u8);
        writer.Take();
        writer.ForgetLast();
        writer.Add("c"u8, "3"u8);
        var third = writer.Take();
        Assert.Equal([Labels.Of(("a", "1"), ("z", "9")), Labels.Of(("c", "3"), ("z", "9"))], [first, third]);
    }
}
