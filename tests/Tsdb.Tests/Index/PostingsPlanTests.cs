using CsCheck;
using Observe.Testkit;
using Observe.Tsdb.Index;
using Observe.Tsdb.Model;
using Xunit;
using MatchType = Observe.Tsdb.Model.MatchType;

namespace Observe.Tsdb.Tests.Index;

public class PostingsPlanTests
{
    static readonly string[] s_patterns = ["", ".*", ".+", "a", "a|b", "a|", "(a|b|dev)", "prod-.*", "[ab]+", "x", "ü|.", "^$", "a?"];

    static readonly Gen<Matcher> s_matcher = Gen.Select(
        Gen.Enum<MatchType>(), IndexSeries.OneOf("__name__", "job", "instance", "zone", "missing"), IndexSeries.OneOf(s_patterns),
        (type, name, pattern) => new Matcher(type, name, pattern));

    [Fact]
    public void The_head_finds_the_series_whose_labels_match() =>
        Gen.Select(IndexSeries.Generator, s_matcher.Array[0, 4]).Sample((series, matchers) =>
        {
            var postings = new MemPostings();
            for (var i = 0; i < series.Length; i++)
            {
                postings.Add((uint)i + 1, series[i]);
            }

            Assert.Equal(Expected(series, matchers), postings.Select(matchers).ToArray().Select(r => series[r - 1]));
        });

    [Fact]
    public void An_index_finds_the_series_whose_labels_match() =>
        Gen.Select(IndexSeries.Generator, s_matcher.Array[0, 4].Array[1, 10]).Sample(
            (series, queries) =>
            {
                using var folder = new TemporaryFolder();
                using var index = new IndexReader(IndexSeries.Write(folder.Path, series));
                foreach (var matchers in queries)
                {
                    Assert.Equal(Expected(series, matchers), IndexSeries.Read(index, index.Select(matchers)));
                }
            },
            iter: 50);

    [Fact]
    public void No_matchers_find_all_series()
    {
        var postings = new MemPostings();
        postings.Add(3, Labels.Of(("a", "1")));
        postings.Add(7, Labels.Of(("b", "1")));
        Assert.Equal([3u, 7u], postings.Select([]).ToArray());
    }

    static IEnumerable<Labels> Expected(Labels[] series, Matcher[] matchers) => series.Where(s => Matcher.All(matchers, s));
}
