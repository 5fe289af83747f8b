using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;
using Observe.Query.Fanout;
using Observe.Store.Api;
using Observe.Testkit;
using Observe.Tsdb.Model;
using Prometheus;
using Xunit;

namespace Observe.Query.Tests.Fanout;

public sealed class StoreSetTests
{
    const string Service = "_grpc._tcp.store";
    static readonly StoreDescription s_dev = new("sidecar", [Labels.Of(("cluster", "dev"))], TimeRange.All);

    [Fact]
    public void A_malformed_endpoint_is_refused() =>
        Assert.Equal("missing port in endpoint store", Assert.Throws<FormatException>(() => new StoreSet(new StoreSetOptions { Endpoints = ["store"] })).Message);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_store_that_left_the_name_service_is_missed_until_another_has_its_labels_or_time_has_passed(bool replaced)
    {
        var time = new FakeTimeProvider(DateTimeOffset.FromUnixTimeMilliseconds(1_700_000_000_000));
        using var names = new NameServer();
        await using var first = await ServedQuerier.StartAsync(new MemoryQuerier([]), s_dev);
        await using var second = await ServedQuerier.StartAsync(new MemoryQuerier([]), s_dev with { LabelSets = [Labels.Of(("cluster", "prod"))] });
        names.SetServices(Service, ("127.0.0.1", Port(first)), ("127.0.0.1", Port(second)));
        await using var set = new StoreSet(new StoreSetOptions
        {
            Endpoints = ["dnssrvnoa+" + Service],
            Time = time,
            Lookup = new DnsLookup(names.Config),
            UnhealthyTimeout = TimeSpan.FromHours(1),
        });
        await set.RefreshAsync(default);
        Assert.Equal(2, set.Stores.Count(s => s.LastError is null));

        await first.StopAsync();
        names.SetServices(Service, ("127.0.0.1", Port(second)));
        time.Advance(TimeSpan.FromMinutes(1));
        await set.RefreshAsync(default);
        await set.RefreshAsync(default);
        Assert.Contains(set.Stores, s => s.Name == first.Endpoint && s.IsSilent);

        if (replaced)
        {
            await using var third = await ServedQuerier.StartAsync(new MemoryQuerier([]), s_dev);
            names.SetServices(Service, ("127.0.0.1", Port(second)), ("127.0.0.1", Port(third)));
            time.Advance(TimeSpan.FromMinutes(1));
            await set.RefreshAsync(default);
            Assert.Equal([second.Endpoint, third.Endpoint], set.Stores.Select(s => s.Name).OrderBy(n => n == third.Endpoint));
            return;
        }

        time.Advance(TimeSpan.FromMinutes(58));
        await set.RefreshAsync(default);
        Assert.Contains(set.Stores, s => s.Name == first.Endpoint);
        time.Advance(TimeSpan.FromMinutes(2));
        await set.RefreshAsync(default);
        Assert.DoesNotContain(set.Stores, s => s.Name == first.Endpoint);
    }

    [Fact]
    public async Task Addresses_stay_when_a_later_lookup_fails_which_is_counted_and_logged()
    {
        using var log = new LineLog();
        var metrics = new FanoutMetrics(Metrics.WithCustomRegistry(Metrics.NewCustomRegistry()));
        var time = new FakeTimeProvider(DateTimeOffset.FromUnixTimeMilliseconds(1_700_000_000_000));
        using var names = new NameServer();
        await using var store = await ServedQuerier.StartAsync(new MemoryQuerier([]), s_dev);
        names.SetServices(Service, ("127.0.0.1", Port(store)));
        await using var set = new StoreSet(new StoreSetOptions
        {
            Endpoints = ["dnssrvnoa+" + Service],
            Time = time,
            Lookup = new DnsLookup(names.Config),
        }, new Logger<StoreSet>(log), metrics);
        await set.RefreshAsync(default);
        Assert.Equal((1, 0), (metrics.Lookups.Value, metrics.LookupFailures.Value));
        names.SetServices(Service);
        time.Advance(TimeSpan.FromMinutes(1));
        await set.RefreshAsync(default);
        Assert.Equal((store.Endpoint, null), set.Stores.Select(s => (s.Name, s.LastError)).Single());
        Assert.Equal((2, 1), (metrics.Lookups.Value, metrics.LookupFailures.Value));
        Assert.Contains(
            "Warning: lookup failed; the addresses known before stay endpoint=dnssrvnoa+_grpc._tcp.store "
                + "error=lookup of _grpc._tcp.store failed: no SRV records",
            log.Lines);
    }

    static ushort Port(ServedQuerier served) => ushort.Parse(served.Endpoint.Split(':')[1], System.Globalization.CultureInfo.InvariantCulture);
}
