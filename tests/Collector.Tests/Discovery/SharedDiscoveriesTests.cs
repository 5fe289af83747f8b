using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Observe.Collector.Config;
using Observe.Collector.Discovery;
using Observe.Testkit;
using Observe.Tsdb.Model;
using Observe.Tsdb.Threading;
using Xunit;

namespace Observe.Collector.Tests.Discovery;

public sealed class SharedDiscoveriesTests : IDisposable
{
    readonly string _folder = Checkout.NewFolder("discovery");

    readonly SharedDiscoveries _discoveries = new(
        TimeProvider.System, new DiscoveryMetrics(new Prometheus.CollectorRegistry()), new LoopSupervisor(), NullLogger.Instance);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    void Write(string target) => File.WriteAllText(Path.Combine(_folder, "a.json"), $$"""[{"targets": ["{{target}}"]}]""");

    FileDiscoveryConfig Files() => new([Path.Combine(_folder, "*.json")], TimeSpan.FromMinutes(5));

    static StaticConfig[] Targets(params string[] targets) => [new StaticConfig(targets, Labels.Empty)];

    static async Task<string> UntilAsync(DiscoverySubscription subscription, string target)
    {
        await Eventually.TrueAsync(() => Task.FromResult(Show(subscription) == target), TimeSpan.FromSeconds(30), target);
        return target;
    }

    static string? Show(DiscoverySubscription subscription) =>
        subscription.Groups is { } groups ? string.Join(' ', groups.SelectMany(g => g.Targets).Select(t => t.Get("__address__"))) : null;

    [Fact]
    public async Task Equal_configurations_share_one_discovery_until_nobody_follows_it()
    {
        Write("h:1");
        var (one, other) = (_discoveries.Follow(Files(), () => { }), _discoveries.Follow(Files(), () => { }));
        Assert.Equal(1, _discoveries.Count);
        await UntilAsync(one, "h:1");
        Assert.Same(one.Groups, other.Groups);
        await using var third = _discoveries.Follow(Targets("h:2"), () => { });
        await using var fourth = _discoveries.Follow(Targets("h:2"), () => { });
        await using var fifth = _discoveries.Follow(Targets("h:2", "h:3"), () => { });
        Assert.Equal(3, _discoveries.Count);
        await one.DisposeAsync();
        Write("h:9");
        await UntilAsync(other, "h:9");
        await other.DisposeAsync();
        Assert.Equal(2, _discoveries.Count);
    }

    [Fact]
    public async Task Who_follows_anew_before_leaving_has_what_was_found_at_once()
    {
        Write("h:1");
        var old = _discoveries.Follow(Files(), () => { });
        await UntilAsync(old, "h:1");
        var before = old.Groups;
        var told = 0;
        await using var next = _discoveries.Follow(Files(), () => told++);
        await old.DisposeAsync();
        Assert.Equal((1, 1), (told, _discoveries.Count));
        Assert.Same(before, next.Groups);
    }

    [Fact]
    public async Task A_discovery_that_breaks_off_is_begun_anew_and_what_it_found_stays()
    {
        var time = new FakeTimeProvider();
        var discoveries = new SharedDiscoveries(
            time, new DiscoveryMetrics(new Prometheus.CollectorRegistry()), new LoopSupervisor(), NullLogger.Instance);
        var breaking = new BreakingDiscovery();
        await using var subscription = discoveries.Follow("x", () => breaking, () => { });
        await UntilAsync(subscription, "h:1");
        await Eventually.TrueAsync(
            () =>
            {
                time.Advance(TimeSpan.FromSeconds(10));
                return Task.FromResult(Show(subscription) == "h:2");
            },
            TimeSpan.FromSeconds(30),
            "the second run");
    }

    sealed class BreakingDiscovery : IDiscovery
    {
        int _runs;

        public Task RunAsync(Action<IReadOnlyList<TargetGroup>> found, CancellationToken cancellationToken)
        {
            found([new TargetGroup("s", [Labels.Of(("__address__", $"h:{++_runs}"))], Labels.Empty)]);
            return _runs == 1 ? throw new NotSupportedException("broken") : Task.Delay(Timeout.Infinite, cancellationToken);
        }
    }
}
