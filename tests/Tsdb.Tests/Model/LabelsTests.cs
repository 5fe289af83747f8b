using System.Text;
using CsCheck;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Tsdb.Tests.Model;

public class LabelsTests
{
    static readonly Gen<(string, string)[]> s_labels =
        Gen.Select(Gen.String[Gen.Char["ab_é日"], 1, 4], Gen.String[Gen.Char["xyz 0é\n\""], 0, 200])
            .Array[0, 8].Select(labels => labels.DistinctBy(l => l.Item1).ToArray());

    [Fact]
    public void Labels_are_sorted_and_without_empty_values()
    {
        var labels = Labels.Of(("b", "2"), ("a", ""), ("__name__", "up"), ("é", "3"), ("a.b", "4"));
        Assert.Equal("{__name__=\"up\", \"a.b\"=\"4\", b=\"2\", \"é\"=\"3\"}", labels.ToString());
        Assert.Equal((4, "2", "", true, false), (labels.Count, labels.Get("b"), labels.Get("a"), labels.Has("é"), labels.Has("a")));
        Assert.Throws<ArgumentException>(() => Labels.Of(("a", "1"), ("a", "2")));
    }

    [Fact]
    public void Any_labels_come_back() => s_labels.Sample(pairs =>
    {
        var labels = Labels.Of(pairs);
        var expected = pairs.Where(p => p.Item2.Length > 0).OrderBy(p => p.Item1, Utf8Order.Instance).ToList();
        Assert.Equal(expected, labels.ToDictionary().Select(l => (l.Key, l.Value)));
        Assert.Equal(labels, new LabelsBuilder(labels).Build());
        Assert.Equal(labels, Labels.FromEncoded(labels.Encoded));
        Assert.Equal(labels.Hash(), Labels.Of(pairs.Reverse().ToArray()).Hash());
    });

    [Fact]
    public void Order_is_that_of_bytes() => Gen.Select(s_labels, s_labels).Sample((a, b) =>
    {
        var (x, y) = (Labels.Of(a), Labels.Of(b));
        var expected = Math.Sign(Compare(x, y));
        Assert.Equal(expected, Math.Sign(x.CompareTo(y)));
        Assert.Equal(-expected, Math.Sign(y.CompareTo(x)));
        Assert.Equal(expected == 0, x == y);

        static int Compare(Labels x, Labels y)
        {
            var (left, right) = (Flat(x), Flat(y));
            for (var i = 0; i < Math.Min(left.Count, right.Count); i++)
            {
                var order = left[i].AsSpan().SequenceCompareTo(right[i]);
                if (order != 0)
                {
                    return order;
                }
            }

            return left.Count.CompareTo(right.Count);
        }

        static List<byte[]> Flat(Labels labels) => [.. labels.ToDictionary().SelectMany(l => new[] { Encoding.UTF8.GetBytes(l.Key), Encoding.UTF8.GetBytes(l.Value) })];
    });

    [Fact]
    public void Projections_keep_or_drop_names()
    {
        var labels = Labels.Of(("a", "1"), ("b", "2"), ("c", "3"));
        Assert.Equal(Labels.Of(("b", "2")), labels.Without("a", "c", "x"));
        Assert.Equal(Labels.Of(("a", "1"), ("c", "3")), labels.Only("c", "a", "x"));
        Assert.True(labels.Only().IsEmpty);
    }

    [Fact]
    public void A_builder_sets_and_deletes_in_any_order()
    {
        var builder = new LabelsBuilder(Labels.Of(("b", "1"))).Set("c", "2").Set("a", "3").Set("b", "").Delete("x");
        Assert.Equal(Labels.Of(("a", "3"), ("c", "2")), builder.Build());
        Assert.Equal((2, "3", true, false), (builder.Count, builder.Get("a"), builder.Has("c"), builder.Has("b")));
        Assert.True(builder.Reset().Build().IsEmpty);
    }

    [Theory]
    [InlineData("=", "a", "1", true)]
    [InlineData("=", "x", "", true)]
    [InlineData("!=", "a", "1", false)]
    [InlineData("!=", "x", "1", true)]
    [InlineData("=~", "a", "1|2", true)]
    [InlineData("=~", "x", "y?", true)]
    [InlineData("!~", "a", ".+", false)]
    [InlineData("!~", "x", ".+", true)]
    public void Matchers_take_a_missing_label_as_empty(string op, string name, string value, bool matches)
    {
        var type = op switch { "=" => Tsdb.Model.MatchType.Equal, "!=" => Tsdb.Model.MatchType.NotEqual, "=~" => Tsdb.Model.MatchType.Regex, _ => Tsdb.Model.MatchType.NotRegex };
        var matcher = new Matcher(type, name, value);
        Assert.Equal(matches, matcher.Matches(Labels.Of(("a", "1"))));
        Assert.Equal($"{name}{op}{GoText.Quote(value)}", matcher.ToString());
    }
}
