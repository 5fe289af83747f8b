using Microsoft.Extensions.Logging;
using Observe.Collector.Config;
using Observe.Store.Head;

namespace Observe.Collector.Scrape;

public sealed record ScrapeOptions
{
    public required TimeProvider Time { get; init; }

    /// <summary>Replaces a loopback host in <see cref="ActiveTarget.GlobalUrl"/>.</summary>
    public string ExternalHost { get; init; } = Environment.MachineName;
}

/// <summary>
/// Scrapes the targets of a configuration into a head: a pool for each job, a loop for each target. Nothing runs before the first
/// <see cref="ApplyAsync"/>. Thread-safe.
/// </summary>
public sealed class ScrapeManager : IAsyncDisposable
{
    public ScrapeManager(HeadBlock head, ScrapeOptions options, ScrapeMetrics metrics, ILoggerFactory loggers)
    {
        _ = (head, options, metrics, loggers);
    }

    /// <summary>
    /// Makes a configuration the one in force. Pools whose job did not change go on undisturbed; a changed one restarts its loops and
    /// keeps what it knows of its series where the change allows it. Completes once every loop that had to stop has stopped.
    /// </summary>
    public Task ApplyAsync(CollectorConfig config, CancellationToken cancellationToken) => throw new NotImplementedException();

    public TargetsSnapshot Targets() => throw new NotImplementedException();

    /// <summary>What active targets said of their metrics, in no order.</summary>
    public IReadOnlyList<MetricMetadata> Metadata() => throw new NotImplementedException();

    /// <summary>The names of the jobs, sorted.</summary>
    public IReadOnlyList<string> Pools() => throw new NotImplementedException();

    /// <summary>Stops all loops. Writes no staleness markers: the process may well come back before they would be missed.</summary>
    public ValueTask DisposeAsync() => throw new NotImplementedException();
}
