using Microsoft.Extensions.Logging;
using Observe.Collector.Config;
using Observe.Tsdb.Head;
using Observe.Tsdb.Threading;

namespace Observe.Collector.Scrape;

public sealed record ScrapeOptions
{
    public required TimeProvider Time { get; init; }

    /// <summary>Replaces a loopback host in <see cref="ActiveTarget.GlobalUrl"/>.</summary>
    public string ExternalHost { get; init; } = Environment.MachineName;

    public LoopSupervisor Loops { get; init; } = new();

    /// <summary>What bodies of all targets may have at once, compressed or not (<c>--scrape.memory-limit</c>). Bytes.</summary>
    public long BodyMemory { get; init; } = 1 << 30;

    /// <summary>Series of the head beyond which no scrape makes new ones; 0 for no limit.</summary>
    public long SeriesLimit { get; init; }
}

/// <summary>
/// Scrapes the targets of a configuration into a head: a pool for each job, a loop for each target. Nothing runs before the first
/// <see cref="ApplyAsync"/>. Thread-safe. To be disposed before the head.
/// </summary>
public sealed class ScrapeManager : IAsyncDisposable
{
    readonly ScrapeContext _context;
    readonly SemaphoreSlim _gate = new(1);
    readonly List<(ScrapePool Pool, Task Ending)> _removed = [];

    volatile IReadOnlyDictionary<string, ScrapePool> _pools = new Dictionary<string, ScrapePool>();
    bool _disposed;

    public ScrapeManager(HeadBlock head, ScrapeOptions options, ScrapeMetrics metrics, ILoggerFactory loggers) =>
        _context = new ScrapeContext(head, options, metrics, loggers.CreateLogger("Observe.Collector.Scrape"));

    /// <summary>
    /// Applies a configuration, or throws and leaves the old one in force. Pools whose job did not change go on undisturbed; a pool whose
    /// job changed restarts its loops, which take over the targets' series where the change allows it. Completes once every loop that had
    /// to stop has stopped.
    /// </summary>
    public async Task ApplyAsync(CollectorConfig config, CancellationToken cancellationToken)
    {
        await _gate.WaitAsync(cancellationToken);
        try
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            var old = _pools;
            var pools = new Dictionary<string, ScrapePool>();
            var changes = await PrepareAsync(config, old, pools);
            _pools = pools;
            try
            {
                await Task.WhenAll(changes.Select(change => change.CommitAsync()));
            }
            finally
            {
                await RemoveAsync(old.Where(pool => !pools.ContainsKey(pool.Key)).Select(pool => pool.Value));
            }
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>Makes all changes ready: where one of them is refused, none is made.</summary>
    /// <param name="pools">Gets the pool of each job.</param>
    async Task<List<ScrapePool.Change>> PrepareAsync(
        CollectorConfig config, IReadOnlyDictionary<string, ScrapePool> old, Dictionary<string, ScrapePool> pools)
    {
        var changes = new List<ScrapePool.Change>();
        try
        {
            foreach (var job in config.ScrapeConfigs.Select(c => new ScrapeJob(c, config.OnConflict, config.Global.ExternalLabels)))
            {
                var name = job.Config.JobName;
                if (!old.TryGetValue(name, out var pool))
                {
                    pool = new ScrapePool(_context);
                    _context.Metrics.Pools.Inc();
                }

                pools.Add(name, pool);
                if (pool.Identity != job.Identity)
                {
                    changes.Add(await pool.PrepareAsync(job));
                }
            }

            return changes;
        }
        catch
        {
            foreach (var change in changes)
            {
                await change.DiscardAsync();
            }

            foreach (var (name, pool) in pools)
            {
                if (!old.ContainsKey(name))
                {
                    await pool.DisposeAsync();
                }
            }

            throw;
        }
    }

    /// <summary>Stops pools, and disposes those that were removed before and have written all they had to.</summary>
    async Task RemoveAsync(IEnumerable<ScrapePool> pools)
    {
        foreach (var (pool, _) in _removed.Where(removed => removed.Ending.IsCompleted))
        {
            await pool.DisposeAsync();
        }

        _removed.RemoveAll(removed => removed.Ending.IsCompleted);
        foreach (var pool in pools)
        {
            _removed.Add((pool, await pool.RemoveAsync()));
        }
    }

    public TargetsSnapshot Targets()
    {
        var active = new List<ActiveTarget>();
        var dropped = new List<DroppedTarget>();
        var counts = new Dictionary<string, int>();
        foreach (var (name, pool) in _pools.OrderBy(p => p.Key, StringComparer.Ordinal))
        {
            if (pool.Targets is not { } targets)
            {
                continue;
            }

            active.AddRange(targets.Loops.Select(loop => Describe(targets.Job, loop)).OrderBy(t => t.ScrapeUrl, StringComparer.Ordinal));
            dropped.AddRange(targets.Dropped.Select(d => new DroppedTarget(Target.Discovered(targets.Job.Config, d.Group, d.Index), name)));
            counts[name] = targets.DroppedCount;
        }

        return new TargetsSnapshot(active, dropped, counts);
    }

    /// <summary>The metadata that active targets exposed, in no order.</summary>
    public IReadOnlyList<MetricMetadata> Metadata() =>
        [.. Loops().SelectMany(loop => loop.Series.Metadata.Families.Select(family => MetadataStore.Describe(loop.Target.Labels, family)))];

    /// <summary>The names of the jobs, sorted.</summary>
    public IReadOnlyList<string> Pools() => [.. _pools.Keys.Order(StringComparer.Ordinal)];

    /// <summary>Stops all loops. Writes no staleness markers, since the process may be back before its series would be stale.</summary>
    public async ValueTask DisposeAsync()
    {
        await _gate.WaitAsync();
        try
        {
            if (!_disposed)
            {
                _disposed = true;
                await Task.WhenAll(_pools.Values.Concat(_removed.Select(r => r.Pool)).Select(pool => pool.DisposeAsync().AsTask()));
                _context.Dispose();
            }
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>How many discoveries are running.</summary>
    internal int Discoveries => _context.Discoveries.Count;

    internal IEnumerable<ScrapeLoop> Loops() => _pools.Values.SelectMany(pool => pool.Targets?.Loops ?? []);

    ActiveTarget Describe(ScrapeJob job, ScrapeLoop loop)
    {
        var (target, state) = (loop.Target, loop.Target.State);
        var (group, index) = target.Source;
        return new ActiveTarget(
            Target.Discovered(job.Config, group, index), target.Labels, job.Config.JobName, target.Url,
            GlobalUrl(target), state.LastError, state.LastScrape, state.LastScrapeDuration, state.Health, target.ScrapeInterval, target.ScrapeTimeout);
    }

    string GlobalUrl(Target target)
    {
        var colon = target.Address.LastIndexOf(':');
        var host = colon < 0 ? target.Address : target.Address[..colon];
        if (host is not ("localhost" or "127.0.0.1" or "[::1]"))
        {
            return target.Url;
        }

        var at = target.Url.IndexOf("//" + host, StringComparison.Ordinal) + 2;
        return target.Url[..at] + _context.ExternalHost + target.Url[(at + host.Length)..];
    }
}
