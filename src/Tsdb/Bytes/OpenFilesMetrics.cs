using Prometheus;

namespace Observe.Tsdb.Bytes;

/// <summary>What <see cref="OpenFiles"/> tells of itself.</summary>
public static class OpenFilesMetrics
{
    public static void Register(CollectorRegistry registry, OpenFiles files)
    {
        var metrics = Metrics.WithCustomRegistry(registry);
        var open = metrics.CreateGauge("observe_open_files", "Files of blocks that are open.");
        var limit = metrics.CreateGauge("observe_open_files_limit", "Files of blocks that may be open at a time.");
        var opened = metrics.CreateCounter(
            "observe_open_files_opened_total", "How often a file of a block was opened, again after it was closed for others among it.");
        var exhausted = metrics.CreateCounter(
            "observe_open_files_exhausted_total",
            "How often a file of a block was not opened because the process or the system had no descriptor left.");
        limit.Set(files.Limit);
        registry.AddBeforeCollectCallback(() =>
        {
            open.Set(files.Count);
            opened.IncTo(files.Opened);
            exhausted.IncTo(files.Exhausted);
        });
    }
}
