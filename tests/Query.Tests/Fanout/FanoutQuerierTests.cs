using Microsoft.Extensions.Time.Testing;
using Observe.Query.Fanout;
using Observe.Store.Api;
using Observe.Testkit;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;
using MatchType = Observe.Tsdb.Model.MatchType;

namespace Observe.Query.Tests.Fanout;

/// <summary>What holds for any querier holds for a fan-out over one store, remote or local.</summary>
public sealed class FanoutSuiteTests : QuerierSuite
{
    protected override async Task<IQuerier> CreateAsync(IReadOnlyList<TestSeries> series)
    {
        var set = new StoreSet(new StoreSetOptions());
        set.AddLocal("memory", new MemoryQuerier(series), () => new StoreDescription("store", [], TimeRange.All));
        await set.RefreshAsync(default);
        return new FanoutQuerier(set, new FanoutOptions { ReplicaLabels = ["no_such_label"] });
    }
}

public sealed class FanoutQuerierTests : IAsyncDisposable
{
    const long Now = 1_700_000_000_000;
    static readonly Matcher[] s_up = [new(MatchType.Equal, "__name__", "up")];
    static readonly SelectHints s_hour = new() { Range = new TimeRange(Now - 3_600_000, Now) };
    readonly FakeTimeProvider _time = new(DateTimeOffset.FromUnixTimeMilliseconds(Now));
    readonly List<IAsyncDisposable> _disposed = [];

    public async ValueTask DisposeAsync()
    {
        foreach (var disposed in Enumerable.Reverse(_disposed))
        {
            await disposed.DisposeAsync();
        }
    }

    [Fact]
    public async Task Stores_are_merged_and_replicas_joined()
    {
        var set = await Stores(await Serve("dev"), await Serve("prod", "a"), await Serve("prod", "b"));
        var (labels, warnings) = await Ask(set, new FanoutOptions { ReplicaLabels = ["replica"] });
        Assert.Equal(["{__name__=\"up\", cluster=\"dev\"}", "{__name__=\"up\", cluster=\"prod\"}"], labels);
        Assert.Empty(warnings);

        (labels, _) = await Ask(set, new FanoutOptions { ReplicaLabels = ["replica"], Deduplicate = false });
        Assert.Equal(
            ["{__name__=\"up\", cluster=\"dev\"}", "{__name__=\"up\", cluster=\"prod\", replica=\"a\"}", "{__name__=\"up\", cluster=\"prod\", replica=\"b\"}"],
            labels);
    }

    [Fact]
    public async Task What_a_store_lacks_that_went_silent_is_told_by_cluster_and_range()
    {
        var prod = await Serve("prod", "a");
        var set = await Stores(await Serve("dev"), prod);
        await prod.StopAsync();
        foreach (var refreshes in (int[])[0, 1, 2])
        {
            // Before the next check the call itself fails; after two the store is not asked any more. Both are told.
            var (labels, warnings) = await Ask(set, new FanoutOptions());
            Assert.Equal(["{__name__=\"up\", cluster=\"dev\"}"], labels);
            Assert.StartsWith(
                $"cluster \"prod\" {{replica=\"a\"}} is missing from 2023-11-14T21:13:20Z to 2023-11-14T22:13:20Z: store {prod.Endpoint} gave no answer: ",
                Assert.Single(warnings), StringComparison.Ordinal);
            await set.RefreshAsync(default);
        }

        Assert.True(set.Stores.Single(s => s.Name == prod.Endpoint).IsSilent);
    }

    [Fact]
    public async Task What_another_replica_has_is_not_missing_where_replicas_are_joined()
    {
        var one = await Serve("prod", "a");
        var set = await Stores(one, await Serve("prod", "b"), await Serve("dev", "a"));
        await one.StopAsync();
        Assert.Empty((await Ask(set, new FanoutOptions { ReplicaLabels = ["replica"] })).Warnings);
        Assert.Contains(
            "cluster \"prod\" {replica=\"a\"} is missing", Assert.Single((await Ask(set, new FanoutOptions())).Warnings), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_silent_store_matters_only_to_those_whose_labels_and_range_it_has()
    {
        var old = await Serve("old", range: new TimeRange(0, Now - 86_400_000));
        var set = await Stores(await Serve("dev"), old);
        await old.StopAsync();
        await set.RefreshAsync(default);
        await set.RefreshAsync(default);
        Assert.Empty((await Ask(set, new FanoutOptions())).Warnings);

        var week = s_hour with { Range = new TimeRange(Now - (7 * 86_400_000), Now) };
        Assert.Contains("cluster \"old\" is missing from 2023-11-07T22:13:20Z to 2023-11-13T22:13:20Z",
            Assert.Single((await Ask(set, new FanoutOptions(), week)).Warnings), StringComparison.Ordinal);
        Assert.Empty((await Ask(set, new FanoutOptions(), week, new Matcher(MatchType.Equal, "cluster", "dev"))).Warnings);
    }

    [Fact]
    public async Task A_store_that_never_answered_is_told_in_every_answer()
    {
        using var nobody = new RefusingPort();
        var set = await StoresAt([nobody.Address, "dns+nowhere.invalid:10901"]);
        var (_, warnings) = await Ask(set, new FanoutOptions());
        Assert.Contains($"what store {nobody.Address} holds is missing from ", Assert.Single(warnings), StringComparison.Ordinal);
        Assert.Contains("what store dns+nowhere.invalid:10901 holds is missing from ", warnings[0], StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_partial_answers_a_silent_store_is_an_error()
    {
        var prod = await Serve("prod");
        var set = await Stores(await Serve("dev"), prod);
        await prod.StopAsync();
        var whole = new FanoutOptions { PartialResponse = false };
        Assert.Contains("cluster \"prod\" is missing", (await Assert.ThrowsAsync<PartialResponseException>(() => Ask(set, whole))).Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<PartialResponseException>(async () =>
            await new FanoutQuerier(set, whole).LabelNamesAsync(new QueryContext().Select(s_hour, s_up)));
        await set.RefreshAsync(default);
        await set.RefreshAsync(default);
        await Assert.ThrowsAsync<PartialResponseException>(() => Ask(set, whole));
        Assert.Single((await Ask(set, whole, null, new Matcher(MatchType.Equal, "cluster", "dev"))).Labels);
    }

    [Fact]
    public async Task A_store_that_comes_back_takes_part_again()
    {
        var prod = await Serve("prod");
        var set = await Stores(prod);
        await prod.StopAsync();
        await set.RefreshAsync(default);
        await set.RefreshAsync(default);
        var port = int.Parse(prod.Endpoint.Split(':')[1], System.Globalization.CultureInfo.InvariantCulture);
        await prod.DisposeAsync();
        await Serve("prod", port: port);
        await Eventually.TrueAsync(
            async () =>
            {
                await set.RefreshAsync(default);
                var (labels, warnings) = await Ask(set, new FanoutOptions());
                return labels.Count == 1 && warnings.Count == 0;
            },
            TimeSpan.FromSeconds(10), "the store's return");
    }

    [Fact]
    public async Task A_limit_of_a_store_is_no_missing_data()
    {
        var set = new StoreSet(new StoreSetOptions());
        set.AddLocal("limited", new FailingQuerier(() => new LimitException("too many")), () => new StoreDescription("store", [], TimeRange.All));
        await Assert.ThrowsAsync<LimitException>(() => Ask(set, new FanoutOptions()));
    }

    [Fact]
    public async Task A_store_that_fails_on_the_way_is_told_and_what_it_gave_is_kept()
    {
        var set = new StoreSet(new StoreSetOptions());
        set.AddLocal("bucket", new FailingQuerier(() => new IOException("connection reset"), Series("half")),
            () => new StoreDescription("store", [Labels.Of(("cluster", "half"))], TimeRange.All));
        set.AddLocal("head", new MemoryQuerier([Series("whole")]), () => new StoreDescription("sidecar", [], TimeRange.All));
        var (labels, warnings) = await Ask(set, new FanoutOptions());
        Assert.Equal(["{__name__=\"up\", cluster=\"half\"}", "{__name__=\"up\", cluster=\"whole\"}"], labels);
        Assert.EndsWith("store bucket gave no answer: connection reset", Assert.Single(warnings), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Only_the_stores_that_are_chosen_are_asked()
    {
        var dev = await Serve("dev");
        var set = await Stores(dev, await Serve("prod"));
        var chosen = new FanoutOptions { StoreMatchers = [[new Matcher(MatchType.Equal, "__address__", dev.Endpoint)]] };
        Assert.Equal(["{__name__=\"up\", cluster=\"dev\"}"], (await Ask(set, chosen)).Labels);
    }

    [Fact]
    public async Task Names_and_values_are_those_of_all_stores()
    {
        var set = await Stores(await Serve("dev"), await Serve("prod", "a"));
        var querier = new FanoutQuerier(set, new FanoutOptions());
        Assert.Equal(["__name__", "cluster", "replica"], await querier.LabelNamesAsync(new QueryContext().Select(s_hour, s_up)));
        Assert.Equal(["dev", "prod"], await querier.LabelValuesAsync("cluster", new QueryContext().Select(s_hour, s_up)));
        var query = new QueryContext();
        Assert.Equal(["dev"], await querier.LabelValuesAsync("cluster", query.Select(s_hour with { Limit = 1 }, s_up)));
        Assert.Equal([CoverageText.Truncated], query.Coverage.Warnings());
    }

    static TestSeries Series(string cluster, string? replica = null) => new(
        Labels.Of(("__name__", "up")), (Now - 60_000, 1), (Now - 45_000, 1), (Now - 30_000, 1))
    {
        External = Labels.Of(("cluster", cluster), ("replica", replica ?? "")),
    };

    async Task<ServedQuerier> Serve(string cluster, string? replica = null, TimeRange? range = null, int port = 0)
    {
        var description = new StoreDescription("sidecar", [Labels.Of(("cluster", cluster), ("replica", replica ?? ""))], range ?? new TimeRange(0, Now));
        var served = await ServedQuerier.StartAsync(new MemoryQuerier([Series(cluster, replica)]), description, port: port);
        _disposed.Add(served);
        return served;
    }

    Task<StoreSet> Stores(params ServedQuerier[] stores) => StoresAt([.. stores.Select(s => s.Endpoint)]);

    async Task<StoreSet> StoresAt(string[] endpoints)
    {
        var set = new StoreSet(new StoreSetOptions { Endpoints = endpoints, Time = _time });
        _disposed.Add(set);
        await set.RefreshAsync(default);
        return set;
    }

    static async Task<(List<string> Labels, IReadOnlyList<string> Warnings)> Ask(
        StoreSet set, FanoutOptions options, SelectHints? hints = null, params Matcher[] more)
    {
        var (labels, query) = (new List<string>(), new QueryContext());
        await foreach (var series in new FanoutQuerier(set, options).SelectAsync(query.Select(hints ?? s_hour, [.. s_up, .. more])))
        {
            labels.Add(series.Labels.ToString());
        }

        return (labels, query.Coverage.Warnings());
    }

    /// <summary>Gives some series, then fails.</summary>
    sealed class FailingQuerier(Func<Exception> failure, params TestSeries[] before) : IQuerier
    {
        public async IAsyncEnumerable<Series> SelectAsync(Selection selection)
        {
            await foreach (var series in new MemoryQuerier(before).SelectAsync(selection))
            {
                yield return series;
            }

            throw failure();
        }

        public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection) => throw failure();

        public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection) => throw failure();
    }
}
