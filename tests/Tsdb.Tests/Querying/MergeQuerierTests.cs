using Observe.Testkit;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;

namespace Observe.Tsdb.Tests.Querying;

/// <summary>Series spread over three queriers, their samples in turns, some in two of them.</summary>
public sealed class MergeQuerierTests : QuerierSuite
{
    protected override Task<IQuerier> CreateAsync(IReadOnlyList<TestSeries> series) => Task.FromResult<IQuerier>(new MergeQuerier(
        [.. Enumerable.Range(0, 3).Select(part => new MemoryQuerier(series.Select((s, n) => s with
        {
            Samples = [.. s.Samples.Where((_, i) => (i + n) % 3 == part || i % 3 == part)],
            Histograms = [.. s.Histograms.Where((_, i) => (i + n) % 3 == part)],
        })))]));

    [Fact]
    public async Task The_first_querier_wins_at_a_timestamp_that_two_have()
    {
        var labels = Labels.Of(("__name__", "x"));
        var merge = new MergeQuerier(
            [new MemoryQuerier([new TestSeries(labels, (1, 10), (3, 30))]), new MemoryQuerier([new TestSeries(labels, (1, 11), (2, 21), (3, 31))])]);
        await using var series = merge.SelectAsync(new QueryContext().Select(new SelectHints { Range = TimeRange.All }, [])).GetAsyncEnumerator();
        Assert.True(await series.MoveNextAsync());
        Assert.Equal([(1, 10.0), (2, 21), (3, 30)], Samples.Floats(series.Current.Samples()));
        Assert.False(await series.MoveNextAsync());
    }

    [Fact]
    public async Task An_error_of_one_querier_is_thrown_and_all_are_closed()
    {
        var merge = new MergeQuerier([new MemoryQuerier([new TestSeries(Labels.Of(("a", "b")), (1, 1))]), new BrokenQuerier()]);
        await using var series = merge.SelectAsync(new QueryContext().Select(new SelectHints { Range = TimeRange.All }, [])).GetAsyncEnumerator();
        await Assert.ThrowsAsync<IOException>(async () => await series.MoveNextAsync());
    }

    sealed class BrokenQuerier : IQuerier
    {
        public async IAsyncEnumerable<Series> SelectAsync(Selection selection)
        {
            await Task.Yield();
            if (selection.Range == TimeRange.All)
            {
                throw new IOException("broken");
            }

            yield break;
        }

        public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection) => throw new IOException("broken");

        public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection) =>
            throw new IOException("broken");
    }
}
