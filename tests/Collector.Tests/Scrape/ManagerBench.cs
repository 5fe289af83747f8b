using System.Globalization;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Observe.Collector.Config;
using Observe.Collector.Scrape;
using Observe.Testkit;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Head;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using MatchType = Observe.Tsdb.Model.MatchType;

namespace Observe.Collector.Tests.Scrape;

/// <summary>A scrape manager over a real head, in real time.</summary>
sealed class ManagerBench : IAsyncDisposable
{
    readonly string _folder;

    ManagerBench(string folder, HeadBlock head)
    {
        (_folder, Head) = (folder, head);
        Manager = new ScrapeManager(head, new ScrapeOptions { Time = TimeProvider.System, ExternalHost = "me" }, Metrics, NullLoggerFactory.Instance);
    }

    public HeadBlock Head { get; }

    public ScrapeMetrics Metrics { get; } = new(new Prometheus.CollectorRegistry());

    public ScrapeManager Manager { get; }

    /// <summary>A folder of the test's own.</summary>
    public string Folder => _folder;

    public static async Task<ManagerBench> StartAsync()
    {
        var folder = Checkout.NewFolder("manager");
        var options = new HeadOptions { Directory = Path.Combine(folder, "head"), Time = TimeProvider.System };
        return new ManagerBench(folder, await HeadBlock.OpenAsync(options, CancellationToken.None));
    }

    public Task ApplyAsync(string jobs, string external = "{cluster: prod}") => Manager.ApplyAsync(
        CollectorConfig.Parse($"global: {{external_labels: {external}, scrape_interval: 500ms}}\nscrape_configs:\n{jobs}", "x"), CancellationToken.None);

    /// <summary>All series that match, with their samples.</summary>
    public async Task<List<(Labels Labels, List<(long Timestamp, double Value)> Samples)>> SelectAsync(params (string Name, string Value)[] equal)
    {
        var found = new List<(Labels, List<(long, double)>)>();
        var matchers = equal.Select(m => new Matcher(MatchType.Equal, m.Name, m.Value)).ToList();
        await foreach (var series in Head.SelectAsync(new QueryContext().Select(new SelectHints { Range = TimeRange.All }, matchers)))
        {
            var samples = new List<(long, double)>();
            using var iterator = series.Samples();
            var batch = new SampleBatch();
            while (iterator.Read(batch))
            {
                samples.AddRange(Enumerable.Range(0, batch.Count).Select(i => (batch.Timestamps[i], batch.Values[i])));
            }

            found.Add((series.Labels, samples));
        }

        return found;
    }

    /// <summary>The values of one metric, series by series: <c>{job="a"} 1 1 stale</c>.</summary>
    public async Task<string> ValuesAsync(string metric, params string[] labels)
    {
        var text = new StringBuilder();
        foreach (var (series, samples) in await SelectAsync(("__name__", metric)))
        {
            text.Append(series.Only(labels)).AppendJoin("", samples.Select(s => string.Create(
                CultureInfo.InvariantCulture, $" {(StaleMarker.IsStale(s.Value) ? "stale" : GoText.Float(s.Value))}"))).Append('\n');
        }

        return text.ToString();
    }

    public static Task UntilAsync(Func<Task<bool>> condition, string what) => Eventually.TrueAsync(condition, TimeSpan.FromSeconds(30), what);

    /// <summary>Until each target has been scraped, so many times.</summary>
    public Task UntilScrapedAsync(int count = 1) => UntilAsync(
        async () => Manager.Targets().Active is { Count: > 0 } targets && targets.All(t => t.Health != TargetHealth.Unknown)
            && (await SelectAsync(("__name__", "up"))).TrueForAll(s => s.Samples.Count >= count),
        $"{count} scrapes");

    public async ValueTask DisposeAsync()
    {
        await Manager.DisposeAsync();
        await Head.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }
}
