using Microsoft.Extensions.Logging;
using Observe.Collector.Config;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Threading;

namespace Observe.Collector.Discovery;

/// <summary>
/// The discoveries of all jobs: one for equal configurations, which runs for as long as a job follows it. A job that follows the
/// discoveries of its next configuration before it leaves those of the old one does not restart the discoveries that both have.
/// Thread-safe.
/// </summary>
sealed class SharedDiscoveries(TimeProvider time, DiscoveryMetrics metrics, LoopSupervisor loops, ILogger logger)
{
    readonly Lock _lock = new();
    readonly Dictionary<string, Running> _running = [];

    /// <summary>How many discoveries are running.</summary>
    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _running.Count;
            }
        }
    }

    /// <param name="changed">Called after each new snapshot, and for the first one also when it is there already.</param>
    public DiscoverySubscription Follow(IReadOnlyList<StaticConfig> configs, Action changed) => Follow(
        "static " + string.Join(' ', configs.Select(c => $"[{string.Join(' ', c.Targets.Select(t => GoText.Quote(t)))}] {c.Labels}")),
        () => new StaticDiscovery(configs),
        changed);

    /// <inheritdoc cref="Follow(IReadOnlyList{StaticConfig}, Action)"/>
    public DiscoverySubscription Follow(FileDiscoveryConfig config, Action changed) => Follow(
        $"file {config.RefreshInterval} {string.Join(' ', config.Files.Select(f => GoText.Quote(f)))}",
        () => new FileDiscovery(config, time, metrics, logger),
        changed);

    /// <param name="identity">Equal for equal configurations, and for no others.</param>
    /// <param name="create">Makes the discovery when none with this identity is running.</param>
    /// <param name="changed">Called after each new snapshot, and for the first one also when it is there already.</param>
    internal DiscoverySubscription Follow(string identity, Func<IDiscovery> create, Action changed)
    {
        Running? running;
        lock (_lock)
        {
            if (!_running.TryGetValue(identity, out running))
            {
                _running[identity] = running = new Running(create());
                running.Finished = Run(running);
            }

            running.Followers.Add(changed);
        }

        if (running.Groups is not null)
        {
            changed();
        }

        return new DiscoverySubscription(running, () => LeaveAsync(identity, running, changed));
    }

    Task Run(Running running)
    {
        var loop = new BackgroundLoop(new LoopOptions
        {
            Name = "discovery",
            Interval = Timeout.InfiniteTimeSpan,
            Time = time,
            Logger = logger,
            Supervisor = loops,
        });
        return loop.KeepRunningAsync(token => running.Discovery.RunAsync(groups => Publish(running, groups), token), running.Stop.Token);
    }

    void Publish(Running running, IReadOnlyList<TargetGroup> groups)
    {
        Action[] followers;
        lock (_lock)
        {
            running.Groups = groups;
            followers = [.. running.Followers];
        }

        foreach (var changed in followers)
        {
            changed();
        }
    }

    async ValueTask LeaveAsync(string identity, Running running, Action changed)
    {
        lock (_lock)
        {
            running.Followers.Remove(changed);
            if (running.Followers.Count > 0)
            {
                return;
            }

            _running.Remove(identity);
        }

        await running.Stop.CancelAsync();
        await running.Finished;
        running.Stop.Dispose();
    }

    internal sealed class Running(IDiscovery discovery)
    {
        volatile IReadOnlyList<TargetGroup>? _groups;

        public IDiscovery Discovery { get; } = discovery;

        public CancellationTokenSource Stop { get; } = new();

        public Task Finished { get; set; } = Task.CompletedTask;

        public List<Action> Followers { get; } = [];

        public IReadOnlyList<TargetGroup>? Groups
        {
            get => _groups;
            set => _groups = value;
        }
    }
}

/// <summary>A job's subscription to a discovery that other jobs may follow too. Disposing it ends the subscription.</summary>
sealed class DiscoverySubscription(SharedDiscoveries.Running running, Func<ValueTask> leave) : IAsyncDisposable
{
    /// <summary>The newest snapshot; null before there is one.</summary>
    public IReadOnlyList<TargetGroup>? Groups => running.Groups;

    public ValueTask DisposeAsync() => leave();
}
