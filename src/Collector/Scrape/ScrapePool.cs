using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using Observe.Collector.Discovery;

namespace Observe.Collector.Scrape;

/// <summary>What a pool scrapes and what it dropped, at one moment.</summary>
sealed record PoolTargets(
    ScrapeJob Job, IReadOnlyList<ScrapeLoop> Loops, IReadOnlyList<(TargetGroup Group, int Index)> Dropped, int DroppedCount);

/// <summary>The targets of one job: follows its discoveries, starts and stops a loop for each target.</summary>
sealed partial class ScrapePool(ScrapeContext context) : IAsyncDisposable
{
    /// <summary>Held while targets or the job change.</summary>
    readonly SemaphoreSlim _gate = new(1);

    readonly CancellationTokenSource _shutdown = new();
    readonly Dictionary<(string Discovery, string Source), TargetGroup> _groups = [];
    readonly Dictionary<ulong, ScrapeLoop> _loops = [];
    readonly List<ScrapeLoop> _ending = [];

    ScrapeJob _job = null!;
    ScrapeClient _client = null!;
    CancellationTokenSource? _discovery;
    Task _following = Task.CompletedTask;
    volatile PoolTargets? _targets;

    /// <summary>null before the first <see cref="ApplyAsync"/>.</summary>
    public PoolTargets? Targets => _targets;

    public string? Identity => _targets?.Job.Identity;

    /// <summary>
    /// Takes a job, the first or another version of it. Where how to scrape has changed, all loops restart; targets that stay keep what
    /// is known of their series if the change allows it. Groups found before stay in force until their discovery finds them anew.
    /// </summary>
    public async Task ApplyAsync(ScrapeJob job)
    {
        await StopDiscoveryAsync();
        await _gate.WaitAsync();
        try
        {
            var old = _job;
            _job = job;
            context.Metrics.PoolTargetLimit.WithLabels(job.Config.JobName).Set(job.Config.TargetLimit);
            if (old is null)
            {
                _client = new ScrapeClient(job.Config, context.Time);
                Publish([], 0);
            }
            else if (old.LoopIdentity != job.LoopIdentity)
            {
                context.Metrics.PoolReloads.Inc();
                using (_client)
                {
                    _client = new ScrapeClient(job.Config, context.Time);
                    await SyncAsync(restart: true, keepSeries: old.SeriesIdentity == job.SeriesIdentity);
                }
            }
        }
        finally
        {
            _gate.Release();
        }

        StartDiscovery();
    }

    /// <summary>The job is no more: its loops stop, its series get staleness markers when they are due.</summary>
    /// <returns>What is still to be written; ends when it is, or when <see cref="DisposeAsync"/> cuts it short.</returns>
    public async Task<Task> RemoveAsync()
    {
        await StopDiscoveryAsync();
        await _gate.WaitAsync();
        try
        {
            _groups.Clear();
            await SyncAsync(restart: false, keepSeries: false);
            context.Metrics.Forget(_job.Config.JobName);
            return Task.WhenAll(_ending.Select(loop => loop.Finished));
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>Stops everything at once and without markers.</summary>
    public async ValueTask DisposeAsync()
    {
        await _shutdown.CancelAsync();
        await StopDiscoveryAsync();
        var loops = _loops.Values.Concat(_ending).ToList();
        await Task.WhenAll(loops.Select(loop => loop.Finished));
        loops.ForEach(loop => loop.Dispose());
        _client.Dispose();
        _shutdown.Dispose();
        _gate.Dispose();
    }

    async Task StopDiscoveryAsync()
    {
        if (_discovery is not null)
        {
            await _discovery.CancelAsync();
            await _following;
            _discovery.Dispose();
            _discovery = null;
        }
    }

    void StartDiscovery()
    {
        var config = _job.Config;
        var discoveries = new Dictionary<string, IDiscovery> { ["static"] = new StaticDiscovery(config.StaticConfigs) };
        foreach (var file in config.FileDiscoveryConfigs)
        {
            discoveries["file " + string.Join(' ', file.Files)] = new FileDiscovery(file, context.Time, context.Metrics.Discovery, context.Logger);
        }

        _discovery = CancellationTokenSource.CreateLinkedTokenSource(_shutdown.Token);
        _following = FollowAsync(discoveries, _discovery.Token);
    }

    async Task FollowAsync(Dictionary<string, IDiscovery> discoveries, CancellationToken cancellationToken)
    {
        var found = Channel.CreateBounded<(string Discovery, IReadOnlyList<TargetGroup> Groups)>(16);
        var running = Task.WhenAll(discoveries.Select(discovery => DiscoverAsync(
            discovery.Value, groups => found.Writer.WriteAsync((discovery.Key, groups), cancellationToken), cancellationToken)));
        var heard = new HashSet<string>();
        try
        {
            await ForgetAsync(discovery => !discoveries.ContainsKey(discovery), cancellationToken);
            while (await found.Reader.WaitToReadAsync(cancellationToken))
            {
                await _gate.WaitAsync(cancellationToken);
                try
                {
                    while (found.Reader.TryRead(out var update))
                    {
                        if (heard.Add(update.Discovery))
                        {
                            Forget(discovery => discovery == update.Discovery);
                        }

                        Take(update.Discovery, update.Groups);
                    }

                    await SyncAsync(restart: false, keepSeries: false);
                }
                finally
                {
                    _gate.Release();
                }
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            await running;
        }
    }

    async Task DiscoverAsync(IDiscovery discovery, Func<IReadOnlyList<TargetGroup>, ValueTask> found, CancellationToken cancellationToken)
    {
        try
        {
            await discovery.RunAsync(found, cancellationToken);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
        }
        catch (Exception e)
        {
            // Not foreseen: what was found so far stays in force.
            LogDiscoveryEnded(context.Logger, _job.Config.JobName, e);
        }
    }

    async Task ForgetAsync(Func<string, bool> discovery, CancellationToken cancellationToken)
    {
        await _gate.WaitAsync(cancellationToken);
        try
        {
            if (Forget(discovery))
            {
                await SyncAsync(restart: false, keepSeries: false);
            }
        }
        finally
        {
            _gate.Release();
        }
    }

    bool Forget(Func<string, bool> discovery)
    {
        var gone = _groups.Keys.Where(key => discovery(key.Discovery)).ToList();
        gone.ForEach(key => _groups.Remove(key));
        return gone.Count > 0;
    }

    void Take(string discovery, IReadOnlyList<TargetGroup> groups)
    {
        foreach (var group in groups)
        {
            if (group.Targets.Count == 0)
            {
                _groups.Remove((discovery, group.Source));
            }
            else
            {
                _groups[(discovery, group.Source)] = group;
            }
        }

        context.Metrics.Discovery.DiscoveredTargets.WithLabels("scrape", _job.Config.JobName).Set(_groups.Values.Sum(group => group.Targets.Count));
    }

    /// <summary>Makes the loops be those of the groups' targets. Returns when every loop that had to stop has stopped.</summary>
    /// <param name="restart">Also loops of targets that stay are replaced: the job has changed.</param>
    /// <param name="keepSeries">A replaced loop hands over what it knows of its series.</param>
    async Task SyncAsync(bool restart, bool keepSeries)
    {
        var start = context.Time.GetTimestamp();
        var (targets, dropped, droppedCount) = Resolve();
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
                starting.Add(NewLoop(target, keepSeries ? loop.Series.With(_job.Config, NewLabels(target)) : null));
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
        Publish(dropped, droppedCount);
        var job = _job.Config.JobName;
        context.Metrics.PoolTargets.WithLabels(job).Set(_loops.Count);
        context.Metrics.PoolSyncs.WithLabels(job).Inc();
        context.Metrics.SyncLength.WithLabels(job).Observe(context.Time.GetElapsedTime(start).TotalSeconds);
    }

    (Dictionary<ulong, Target> Targets, List<(TargetGroup Group, int Index)> Dropped, int DroppedCount) Resolve()
    {
        var targets = new Dictionary<ulong, Target>();
        var dropped = new List<(TargetGroup Group, int Index)>();
        var (droppedCount, failures) = (0, 0);
        string? failure = null;
        foreach (var group in _groups.Values)
        {
            for (var i = 0; i < group.Targets.Count; i++)
            {
                if (Target.Create(_job.Config, group, i, out var error) is { } target)
                {
                    targets.TryAdd(target.Hash, target);
                }
                else if (error is not null)
                {
                    failures++;
                    failure ??= $"{group.Source}, target {i}: {error}";
                }
                else
                {
                    droppedCount++;
                    if (_job.Config.KeepDroppedTargets == 0 || dropped.Count < _job.Config.KeepDroppedTargets)
                    {
                        dropped.Add((group, i));
                    }
                }
            }
        }

        if (failure is not null)
        {
            context.Metrics.SyncFailed.WithLabels(_job.Config.JobName).Inc(failures);
            LogBadTargets(context.Logger, _job.Config.JobName, failures, failure);
        }

        return (targets, dropped, droppedCount);
    }

    ScrapeLoop NewLoop(Target target, TargetSeries? series) =>
        new(target, series ?? new TargetSeries(_job.Config, NewLabels(target), context.Families), _client, context, _shutdown.Token);

    SampleLabels NewLabels(Target target) => new(_job.Config, _job.Rules, target.Labels);

    void LimitTargets()
    {
        var limit = _job.Config.TargetLimit;
        var error = limit > 0 && _loops.Count > limit ? $"target_limit exceeded (number of targets: {_loops.Count}, limit: {limit})" : null;
        context.Metrics.ExceededTargetLimit.Inc(error is null ? 0 : 1);
        foreach (var loop in _loops.Values)
        {
            loop.ForcedError = error;
        }
    }

    void Publish(IReadOnlyList<(TargetGroup Group, int Index)> dropped, int droppedCount) =>
        _targets = new PoolTargets(_job, [.. _loops.Values], dropped, droppedCount);

    [LoggerMessage(Level = LogLevel.Error, Message = "targets cannot be scraped: job {Job}: {Count} of them, the first is {First}")]
    static partial void LogBadTargets(ILogger logger, string job, int count, string first);

    [LoggerMessage(Level = LogLevel.Error, Message = "a discovery broke off, the targets found so far stay: job {Job}")]
    static partial void LogDiscoveryEnded(ILogger logger, string job, Exception e);
}
