using Observe.Testkit;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;
using MatchType = Observe.Tsdb.Model.MatchType;

namespace Observe.Tsdb.Tests.Querying;

public sealed class ExternalLabelsQuerierSuiteTests : QuerierSuite
{
    protected override Task<IQuerier> CreateAsync(IReadOnlyList<TestSeries> series) =>
        Task.FromResult<IQuerier>(new ExternalLabelsQuerier(new MemoryQuerier(series), () => Labels.Empty));
}

public sealed class ExternalLabelsQuerierTests
{
    static readonly SelectHints s_all = new() { Range = TimeRange.All };

    static readonly ExternalLabelsQuerier s_querier = new(
        new MemoryQuerier(
        [
            new TestSeries(Labels.Of(("__name__", "up")), (1, 1)),
            new TestSeries(Labels.Of(("__name__", "up"), ("a", "1")), (1, 2)),
            new TestSeries(Labels.Of(("__name__", "up"), ("cluster", "other"), ("z", "1")), (1, 3)),
        ]),
        () => Labels.Of(("cluster", "dev"), ("replica", "x")));

    [Fact]
    public async Task Series_have_the_labels_and_are_sorted_with_them()
    {
        var labels = new List<string>();
        await foreach (var series in s_querier.SelectAsync(new QueryContext().Select(s_all, [new(MatchType.Equal, "__name__", "up")])))
        {
            labels.Add(series.Labels.ToString());
        }

        Assert.Equal(
            [
                "{__name__=\"up\", a=\"1\", cluster=\"dev\", replica=\"x\"}",
                "{__name__=\"up\", cluster=\"dev\", replica=\"x\"}",
                "{__name__=\"up\", cluster=\"dev\", replica=\"x\", z=\"1\"}",
            ],
            labels);
    }

    [Fact]
    public async Task Series_that_are_equal_with_them_are_one()
    {
        var querier = new ExternalLabelsQuerier(
            new MemoryQuerier(
            [
                new TestSeries(Labels.Of(("__name__", "up")), (1, 1), (3, 3)),
                new TestSeries(Labels.Of(("__name__", "up"), ("cluster", "other")), (2, 2)),
            ]),
            () => Labels.Of(("cluster", "dev")));
        await using var all = querier.SelectAsync(new QueryContext().Select(s_all, [])).GetAsyncEnumerator();
        Assert.True(await all.MoveNextAsync());
        using var iterator = all.Current.Samples();
        var batch = new SampleBatch();
        Assert.True(iterator.Read(batch));
        Assert.Equal([1, 2, 3], batch.Values[..batch.Count]);
        Assert.False(await all.MoveNextAsync());
    }

    [Theory]
    [InlineData(MatchType.Equal, "dev", 3)]
    [InlineData(MatchType.Equal, "other", 0)]
    [InlineData(MatchType.NotEqual, "dev", 0)]
    [InlineData(MatchType.Regex, "d.*", 3)]
    [InlineData(MatchType.Equal, "", 0)]
    public async Task Matchers_on_them_are_answered_from_them(MatchType type, string value, int expected)
    {
        var count = 0;
        await foreach (var _ in s_querier.SelectAsync(new QueryContext().Select(s_all, [new(type, "cluster", value)])))
        {
            count++;
        }

        Assert.Equal(expected, count);
    }

    [Fact]
    public async Task Names_and_values_have_them()
    {
        Assert.Equal(["__name__", "a", "cluster", "replica", "z"], await s_querier.LabelNamesAsync(new QueryContext().Select(s_all, [])));
        Assert.Equal(["dev"], await s_querier.LabelValuesAsync("cluster", new QueryContext().Select(s_all, [])));
        Assert.Empty(await s_querier.LabelValuesAsync("cluster", new QueryContext().Select(s_all, [new(MatchType.Equal, "a", "2")])));
        Assert.Equal(["1"], await s_querier.LabelValuesAsync("a", new QueryContext().Select(s_all, [new(MatchType.Equal, "replica", "x")])));
        Assert.Empty(await s_querier.LabelNamesAsync(new QueryContext().Select(s_all, [new(MatchType.Equal, "replica", "y")])));
    }
}
