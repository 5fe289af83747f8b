using CsCheck;
using Observe.Testkit;
using Observe.Tsdb.Index;
using Observe.Tsdb.Model;
using Xunit;
using MatchType = Observe.Tsdb.Model.MatchType;

namespace Observe.Tsdb.Tests.Index;

public class LabelSearchTests
{
    static readonly string[] s_names = ["__name__", "cluster", "pod", "zone", "missing"];

    static readonly string[] s_patterns =
        ["", ".+", ".*", "prod", "prod|dev", "dev|", "pod-1.*", "pod-7", "pod-(2|3).+", ".*9", "pod-1|pod-400|prod|m1", "m[0-2]", "x"];

    static readonly Gen<Matcher> s_matcher = Gen.Select(
        Gen.Enum<MatchType>(), IndexSeries.OneOf(s_names), IndexSeries.OneOf(s_patterns), (type, name, pattern) => new Matcher(type, name, pattern));

    // Few series or many: more pods than lists are held open, and than series are read on trial.
    static readonly Gen<Labels[]> s_series = Gen.Select(
        Gen.Frequency((1, Gen.Int[0, 5]), (3, Gen.Int[6, 1_500])), Gen.Int[1, 700], Gen.Int[1, 4], Gen.Int[0, 6]).Select((count, pods, clusters, zones) =>
            Enumerable.Range(0, count).Select(i => Labels.Of(
                ("__name__", $"m{i / pods % 7}"), ("cluster", ((string[])["dev", "prod", "staging", ""])[i % clusters]), ("pod", $"pod-{i % pods}"),
                ("zone", zones > 0 && i % (zones + 1) == 0 ? $"z{i % zones}" : ""))).Distinct().Order().ToArray());

    static readonly Gen<(Matcher[] Matchers, string Name, int Most, int Deleted)[]> s_searches = Gen.Select(
        s_matcher.Array[0, 3], IndexSeries.OneOf(s_names), Gen.Int[0, 4].Select(i => ((int[])[1, 2, 11, 200, int.MaxValue])[i]),
        Gen.Int[0, 3].Select(i => ((int[])[0, 0, 2, 7])[i])).Array[1, 12];

    [Fact]
    public Task A_search_in_an_index_finds_what_reading_all_series_finds() => Gen.Select(s_series, s_searches).SampleAsync(
        async (series, searches) =>
        {
            using var folder = new TemporaryFolder();
            using var index = new IndexReader(IndexSeries.Write(folder.Path, series));
            var all = index.Select([]).ToArray();
            foreach (var (matchers, name, most, each) in searches)
            {
                var deleted = all.Where((_, i) => each > 0 && i % each == 0).ToArray();
                var left = series.Where((_, i) => each == 0 || i % each != 0).ToArray();
                using var search = index.Labels(deleted);
                await Check(search, left, matchers, name, most);
            }
        },
        iter: 100,
        threads: 1);

    [Fact]
    public Task A_search_in_memory_finds_what_reading_all_series_finds() => Gen.Select(s_series, s_searches).SampleAsync(
        async (series, searches) =>
        {
            var postings = new MemPostings();
            for (var i = 0; i < series.Length; i++)
            {
                postings.Add((uint)i + 1, series[i]);
            }

            foreach (var (matchers, name, most, each) in searches)
            {
                // Those that are gone stay in the lists for a while.
                using var search = new MemorySearch(postings, reference => each == 0 || (reference - 1) % each != 0 ? series[reference - 1] : null);
                if (each == 0)
                {
                    await Check(search, series, matchers, name, most);
                }
                else
                {
                    Assert.Equal(Expected(series.Where((_, i) => i % each != 0), matchers).Any(), search.Any(matchers, default));
                }
            }
        },
        iter: 100);

    [Fact]
    public void Few_series_are_found_in_parts_that_have_all_of_them_once() => Gen.Select(s_series, s_matcher.Array[0, 3].Array[1, 8]).Sample(
        (series, queries) =>
        {
            using var folder = new TemporaryFolder();
            using var index = new IndexReader(IndexSeries.Write(folder.Path, series));
            var postings = new MemPostings();
            for (var i = 0; i < series.Length; i++)
            {
                postings.Add((uint)i + 1, series[i]);
            }

            foreach (var matchers in queries)
            {
                var expected = Expected(series, matchers).ToList();
                Assert.Equal(expected, index.SelectFew(matchers, default).SelectMany(part => IndexSeries.Read(index, part)).Order());
                Assert.Equal(expected, postings.SelectFew(matchers, default).SelectMany(part => part.ToArray()).Select(r => series[r - 1]).Order());
            }
        },
        iter: 100);

    static async Task Check<T>(LabelSearch<T> search, Labels[] series, Matcher[] matchers, string name, int most)
    {
        var matching = Expected(series, matchers).ToList();
        var names = matching.SelectMany(labels => labels.Names()).Distinct().Order(Utf8Order.Instance).Take(most);
        var values = matching.Select(labels => labels.Get(name)).Where(value => value.Length > 0).Distinct().Order(Utf8Order.Instance).Take(most);
        Assert.Equal(names, await search.NamesAsync(matchers, most, default));
        Assert.Equal(values, await search.ValuesAsync(name, matchers, most, default));
        Assert.Equal(matching.Count > 0, search.Any(matchers, default));
    }

    static IEnumerable<Labels> Expected(IEnumerable<Labels> series, Matcher[] matchers) => series.Where(labels => Matcher.All(matchers, labels));

    sealed class MemorySearch(MemPostings postings, Func<uint, Labels?> read) : LabelSearch<ReadOnlyMemory<uint>>(postings)
    {
        protected override uint Last => postings.All is { IsEmpty: false } all ? all.Span[^1] : 0;

        protected override Postings Open(ReadOnlyMemory<uint> list) => Postings.Of(list);

        protected override Postings OpenOnce(ReadOnlyMemory<uint> list) => Postings.Of(list);

        protected override Postings OpenFew(ReadOnlyMemory<uint> list) => Postings.Of(list);

        protected override bool TryRead(uint series, out Labels labels)
        {
            var found = read(series);
            labels = found ?? Labels.Empty;
            return found is not null;
        }
    }
}
