using Observe.Testkit;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;

namespace Observe.Tsdb.Tests.Querying;

/// <summary>Without replicas among the series, it answers as its source does.</summary>
public sealed class DedupQuerierTests : QuerierSuite
{
    protected override Task<IQuerier> CreateAsync(IReadOnlyList<TestSeries> series) =>
        Task.FromResult<IQuerier>(new DedupQuerier(new MemoryQuerier(series), ["replica"]));

    [Fact]
    public async Task Replica_labels_go_series_are_sorted_anew_and_replicas_become_one()
    {
        var (first, second) = (Labels.Of(("replica", "r1")), Labels.Of(("replica", "r2")));
        TestSeries[] series =
        [
            new(Labels.Of(("__name__", "x"), ("a", "1"), ("z", "2")), (0, 1), (10, 2)) { External = first },
            new(Labels.Of(("__name__", "x"), ("a", "1"), ("z", "1")), (5, 7), (15, 8)) { External = second },
            new(Labels.Of(("__name__", "x"), ("a", "1"), ("z", "2")), (6, 9), (16, 9), (26, 3)) { External = second },
            new(Labels.Of(("__name__", "x"), ("a", "1"), ("z", "3")), (1, 1)),
        ];
        var dedup = new DedupQuerier(new MemoryQuerier(series), ["replica", "absent"]);
        var hints = new SelectHints { Range = TimeRange.All };
        Assert.Equal(["z=1: 5:7 15:8", "z=2: 0:1 10:2 16:9 26:3", "z=3: 1:1"], await Read(hints));
        var query = new QueryContext();
        Assert.Equal(["z=1: 5:7 15:8"], await Read(hints with { Limit = 1 }, query));
        Assert.Equal([CoverageText.Truncated], query.Coverage.Warnings());
        Assert.Equal(["__name__", "a", "z"], await dedup.LabelNamesAsync(new QueryContext().Select(hints, [])));
        Assert.Empty(await dedup.LabelValuesAsync("replica", new QueryContext().Select(hints, [])));

        async Task<List<string>> Read(SelectHints hints, QueryContext? query = null)
        {
            var read = new List<string>();
            await foreach (var s in dedup.SelectAsync((query ?? new QueryContext()).Select(hints, [])))
            {
                Assert.False(s.Labels.Has("replica"));
                read.Add($"z={s.Labels.Get("z")}: " + string.Join(' ', Samples.Floats(s.Samples()).Select(p => $"{p.Timestamp}:{p.Value}")));
            }

            return read;
        }
    }

    [Fact]
    public async Task Which_replica_gave_which_range_is_told_of_all_series_together()
    {
        var (first, second) = (Labels.Of(("replica", "r1")), Labels.Of(("replica", "r2")));
        TestSeries[] series =
        [
            new(Labels.Of(("__name__", "x"), ("cluster", "c")), (0, 1), (10, 2), (20, 3), (70, 8), (80, 9)) { External = first },
            new(Labels.Of(("__name__", "x"), ("cluster", "c")), (6, 1), (16, 2), (26, 3), (36, 4), (46, 5), (56, 6), (66, 7)) { External = second },
            new(Labels.Of(("__name__", "y"), ("cluster", "c")), (15, 2), (25, 3), (35, 4), (45, 5)) { External = first },
            new(Labels.Of(("__name__", "z"), ("cluster", "d")), (5, 1)) { External = second },
            new(Labels.Of(("__name__", "z"), ("cluster", "e")), (5, 1)),
        ];
        var served = new ServedReplicas();
        var selection = new QueryContext().Derive(new Coverage(), served).Select(new SelectHints { Range = new TimeRange(10, 1000) }, []);
        await foreach (var one in new DedupQuerier(new MemoryQuerier(series), ["replica"]).SelectAsync(selection))
        {
            Samples.Floats(one.Samples());
        }

        Assert.Equal(
            ["{cluster=\"c\", replica=\"r1\"} 10-45", "{cluster=\"c\", replica=\"r1\"} 70-80", "{cluster=\"c\", replica=\"r2\"} 26-56"],
            served.Ranges.Select(one => $"{one.Labels} {one.Range.MinTime}-{one.Range.MaxTime}"));
    }

    [Theory]
    [InlineData(false, "0:10 10:20 20:30 31:28 41:33")]
    [InlineData(true, "0:10 10:20 20:30 41:33")]
    public async Task A_replica_that_is_behind_is_passed_over_where_a_counter_is_wanted(bool isCounter, string expected)
    {
        TestSeries[] series =
        [
            new(Labels.Of(("__name__", "x")), (0, 10), (10, 20), (20, 30)) { External = Labels.Of(("replica", "r1")) },
            new(Labels.Of(("__name__", "x")), (1, 9), (11, 19), (21, 25), (31, 28), (41, 33)) { External = Labels.Of(("replica", "r2")) },
        ];
        var hints = new SelectHints { Range = TimeRange.All, IsCounter = isCounter };
        var dedup = new DedupQuerier(new MemoryQuerier(series), ["replica"]);
        var all = await dedup.SelectAsync(new QueryContext().Select(hints, [])).ToListAsync();
        Assert.Equal(expected, string.Join(' ', Samples.Floats(all.Single().Samples()).Select(p => $"{p.Timestamp}:{p.Value}")));
    }
}
