using Microsoft.Extensions.Logging;
using Observe.Collector.Config;
using Observe.Collector.Discovery;
using Observe.Tsdb.Threading;

namespace Observe.Collector.Scrape;

/// <summary>The targets that a pool scrapes and those that relabelling dropped, at one moment.</summary>
sealed record PoolTargets(
    ScrapeJob Job, IReadOnlyList<ScrapeLoop> Loops, IReadOnlyList<(TargetGroup Group, int Index)> Dropped, int DroppedCount);

/// <summary>The targets of one job: follows its discoveries, starts and stops a loop for each target.</summary>
sealed partial class ScrapePool(ScrapeContext context) : IAsyncDisposable
{
    /// <summary>Held while targets or the job change.</summary>
    readonly SemaphoreSlim _gate = new(1);

    readonly CancellationTokenSource _shutdown = new();

    /// <summary>The newest snapshot of each discovery of the job, by the discovery's identity within the job.</summary>
    readonly Dictionary<string, IReadOnlyList<TargetGroup>> _found = [];
    readonly Dictionary<ulong, ScrapeLoop> _loops = [];
    readonly List<ScrapeLoop> _ending = [];

    ScrapeJob? _job;
    ScrapeClient? _client;
    Following? _following;

    /// <summary>Some loops may still scrape as an older version of the job says.</summary>
    bool _isRestarting;
    volatile PoolTargets? _targets;

    /// <summary>null before the first change.</summary>
    public PoolTargets? Targets => _targets;

    public string? Identity => _targets?.Job.Identity;

    /// <summary>
    /// Prepares the first or another version of the job: does everything that can fail, and changes nothing. The pool goes on as it is, but
    /// takes no new snapshots until the change is committed or discarded.
    /// </summary>
    public async Task<Change> PrepareAsync(ScrapeJob job)
    {
        await _gate.WaitAsync();
        ScrapeClient? client = null;
        try
        {
            client = _job?.LoopIdentity == job.LoopIdentity ? null : new ScrapeClient(job.Config, context.Time, context.Bodies);
            return new Change(this, job, client, _job is null || client is null ? null : Resolve(job.Config), await FollowAsync(job));
        }
        catch
        {
            client?.Dispose();
            _gate.Release();
            throw;
        }
    }

    async Task CommitAsync(Change change)
    {
        try
        {
            await StopFollowingAsync();
            var (job, old) = (change.Job, _job);
            _job = job;
            context.Metrics.PoolTargetLimit.WithLabels(job.Config.JobName).Set(job.Config.TargetLimit);
            if (old is null)
            {
                _client = change.Client!;
                Publish([], 0);
            }
            else if (change.Resolved is { } resolved)
            {
                context.Metrics.PoolReloads.Inc();
                _isRestarting = true;
                using (_client)
                {
                    _client = change.Client!;
                    await SyncAsync(resolved, restart: true, keepSeries: old.SeriesIdentity == job.SeriesIdentity);
                    _isRestarting = false;
                }
            }
        }
        finally
        {
            // Also where the above failed: the loop makes good what is left to do.
            var following = _following = change.Following;
            following.Finished = following.Loop.RepeatAsync(token => TakeAsync(following.Discoveries, token), following.Stop.Token);
            _gate.Release();
        }
    }

    async Task DiscardAsync(Change change)
    {
        change.Client?.Dispose();
        await change.Following.StopAsync();
        _gate.Release();
    }

    /// <summary>
    /// Ends the pool of a job that left the configuration: its loops stop, its series get staleness markers when they are due.
    /// </summary>
    /// <returns>A task that completes when the markers are written, or when <see cref="DisposeAsync"/> ends the pool before that.</returns>
    public async Task<Task> RemoveAsync()
    {
        await StopFollowingAsync();
        await _gate.WaitAsync();
        try
        {
            _found.Clear();
            await SyncAsync(Resolve(_job!.Config), restart: false, keepSeries: false);
            context.Metrics.Remove(_job.Config.JobName);
            return Task.WhenAll(_ending.Select(loop => loop.Finished));
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>Stops all loops at once and without markers.</summary>
    public async ValueTask DisposeAsync()
    {
        await _shutdown.CancelAsync();
        await StopFollowingAsync();
        var loops = _loops.Values.Concat(_ending).ToList();
        await Task.WhenAll(loops.Select(loop => loop.Finished));
        loops.ForEach(loop => loop.Dispose());
        _client?.Dispose();
        _shutdown.Dispose();
        _gate.Dispose();
    }

    async Task StopFollowingAsync()
    {
        if (_following is { } following)
        {
            _following = null;
            await following.StopAsync();
        }
    }

    async Task<Following> FollowAsync(ScrapeJob job)
    {
        var following = new Following(new BackgroundLoop(new LoopOptions
        {
            Name = "scrape pool",
            Interval = Timeout.InfiniteTimeSpan,
            StartsAtOnce = true,
            Time = context.Time,
            Logger = context.Logger,
            Supervisor = context.Loops,
        }));
        try
        {
            var discoveries = following.Discoveries;
            discoveries["static"] = context.Discoveries.Follow(job.Config.StaticConfigs, following.Loop.Wake);
            foreach (var file in job.Config.FileDiscoveryConfigs)
            {
                var name = "file " + string.Join(' ', file.Files);
                if (!discoveries.ContainsKey(name))
                {
                    discoveries[name] = context.Discoveries.Follow(file, following.Loop.Wake);
                }
            }

            return following;
        }
        catch
        {
            await following.StopAsync();
            throw;
        }
    }

    /// <summary>Takes the newest snapshots of the discoveries, and starts and stops loops accordingly.</summary>
    async Task TakeAsync(Dictionary<string, DiscoverySubscription> discoveries, CancellationToken cancellationToken)
    {
        await _gate.WaitAsync(cancellationToken);
        try
        {
            foreach (var gone in _found.Keys.Where(name => !discoveries.ContainsKey(name)).ToList())
            {
                _found.Remove(gone);
            }

            foreach (var (name, discovery) in discoveries)
            {
                if (discovery.Groups is { } groups)
                {
                    _found[name] = groups;
                }
            }

            context.Metrics.Discovery.DiscoveredTargets.WithLabels("scrape", _job!.Config.JobName)
                .Set(_found.Values.Sum(groups => groups.Sum(group => group.Targets.Count)));
            await SyncAsync(Resolve(_job.Config), restart: _isRestarting, keepSeries: false);
            _isRestarting = false;
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>
    /// Starts and stops loops so that each target of the groups has one. Returns when every loop that had to stop has stopped.
    /// </summary>
    /// <param name="restart">Replaces the loops of targets that stay too, since the job has changed.</param>
    /// <param name="keepSeries">A loop takes over the series of the loop that it replaces.</param>
    async Task SyncAsync(Resolved resolved, bool restart, bool keepSeries)
    {
        var start = context.Time.GetTimestamp();
        var (targets, config) = (resolved.Targets, _job!.Config);
        var stopping = new List<Task>();
        var starting = new List<ScrapeLoop>();
        foreach (var (hash, loop) in _loops.ToList())
        {
            var stays = targets.Remove(hash, out var target);
            if (stays && !restart)
            {
                loop.Target.Source = target!.Source;
                continue;
            }

            stopping.Add(loop.StopAsync(keepAlive: stays && keepSeries));
            _ending.Add(loop);
            _loops.Remove(hash);
            if (stays)
            {
                target!.State = loop.Target.State;
                starting.Add(NewLoop(target, keepSeries ? loop.Series.With(config, NewLabels(target)) : null));
            }
        }

        starting.AddRange(targets.Values.Select(target => NewLoop(target, null)));
        await Task.WhenAll(stopping);
        foreach (var ended in _ending.Where(loop => loop.Finished.IsCompleted))
        {
            ended.Dispose();
        }

        _ending.RemoveAll(loop => loop.Finished.IsCompleted);
        starting.ForEach(loop => _loops.Add(loop.Target.Hash, loop));
        LimitTargets();
        starting.ForEach(loop => loop.Start());
        Publish(resolved.Dropped, resolved.DroppedCount);
        var job = config.JobName;
        context.Metrics.PoolTargets.WithLabels(job).Set(_loops.Count);
        context.Metrics.PoolSyncs.WithLabels(job).Inc();
        context.Metrics.SyncLength.WithLabels(job).Observe(context.Time.GetElapsedTime(start).TotalSeconds);
    }

    Resolved Resolve(ScrapeConfig config)
    {
        var targets = new Dictionary<ulong, Target>();
        var dropped = new List<(TargetGroup Group, int Index)>();
        var (droppedCount, failures) = (0, 0);
        string? failure = null;
        foreach (var group in _found.Values.SelectMany(groups => groups))
        {
            for (var i = 0; i < group.Targets.Count; i++)
            {
                if (Target.Create(config, group, i, out var error) is { } target)
                {
                    targets[target.Hash] = target;
                }
                else if (error is not null)
                {
                    failures++;
                    failure ??= $"{group.Source}, target {i}: {error}";
                }
                else
                {
                    droppedCount++;
                    if (config.KeepDroppedTargets == 0 || dropped.Count < config.KeepDroppedTargets)
                    {
                        dropped.Add((group, i));
                    }
                }
            }
        }

        if (failure is not null)
        {
            context.Metrics.SyncFailed.WithLabels(config.JobName).Inc(failures);
            LogBadTargets(context.Logger, config.JobName, failures, failure);
        }

        return new Resolved(targets, dropped, droppedCount);
    }

    ScrapeLoop NewLoop(Target target, TargetSeries? series) =>
        new(target, series ?? new TargetSeries(_job!.Config, NewLabels(target), context.Families), _client!, context, _shutdown.Token);

    SampleLabels NewLabels(Target target) => new(_job!.Config, _job.Rules, target.Labels);

    void LimitTargets()
    {
        var limit = _job!.Config.TargetLimit;
        var error = limit > 0 && _loops.Count > limit ? $"target_limit exceeded (number of targets: {_loops.Count}, limit: {limit})" : null;
        context.Metrics.ExceededTargetLimit.Inc(error is null ? 0 : 1);
        foreach (var loop in _loops.Values)
        {
            loop.ForcedError = error;
        }
    }

    void Publish(IReadOnlyList<(TargetGroup Group, int Index)> dropped, int droppedCount) =>
        _targets = new PoolTargets(_job!, [.. _loops.Values], dropped, droppedCount);

    [LoggerMessage(Level = LogLevel.Error, Message = "targets cannot be scraped: job {Job}: {Count} of them, the first is {First}")]
    static partial void LogBadTargets(ILogger logger, string job, int count, string first);

    /// <summary>The targets of the groups that were found.</summary>
    internal sealed record Resolved(Dictionary<ulong, Target> Targets, List<(TargetGroup Group, int Index)> Dropped, int DroppedCount);

    /// <summary>Another version of a job, ready to be taken. Until it is committed or discarded, the pool takes nothing else.</summary>
    internal sealed class Change(ScrapePool pool, ScrapeJob job, ScrapeClient? client, Resolved? resolved, Following following)
    {
        public ScrapeJob Job => job;

        /// <summary>null where targets are asked as before.</summary>
        public ScrapeClient? Client => client;

        /// <summary>null where all loops go on.</summary>
        public Resolved? Resolved => resolved;

        public Following Following => following;

        /// <summary>
        /// Where the settings of scrapes have changed, all loops restart, and those of targets that stay take over the targets' series if
        /// the change allows it. Groups found before stay in force until their discovery publishes again; discoveries that did not change
        /// go on.
        /// </summary>
        public Task CommitAsync() => pool.CommitAsync(this);

        public Task DiscardAsync() => pool.DiscardAsync(this);
    }

    /// <summary>What one version of a job follows, and the loop that takes it over.</summary>
    internal sealed class Following(BackgroundLoop loop)
    {
        public BackgroundLoop Loop { get; } = loop;

        public Dictionary<string, DiscoverySubscription> Discoveries { get; } = [];

        public CancellationTokenSource Stop { get; } = new();

        public Task Finished { get; set; } = Task.CompletedTask;

        public async Task StopAsync()
        {
            await Stop.CancelAsync();
            await Finished;
            foreach (var discovery in Discoveries.Values)
            {
                await discovery.DisposeAsync();
            }

            Stop.Dispose();
        }
    }
}
