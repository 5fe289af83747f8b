using System.Globalization;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Observe.Collector.Config;
using Observe.Collector.Discovery;
using Observe.Collector.Scrape;
using Observe.Testkit;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Head;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using MatchType = Observe.Tsdb.Model.MatchType;

namespace Observe.Collector.Tests.Scrape;

/// <summary>One scrape loop between a fake exporter and a real head, on a clock that the test moves.</summary>
sealed class LoopBench : IAsyncDisposable
{
    static readonly DateTimeOffset s_start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    readonly string _folder;
    readonly CancellationTokenSource _shutdown = new();
    readonly ScrapeClient _client;
    readonly ScrapeContext _context;
    readonly ScrapeConfig _config;

    LoopBench(string folder, FakeTimeProvider time, HeadBlock head, CollectorConfig config, long seriesLimit)
    {
        (_folder, Time, Head, _config) = (folder, time, head, config.ScrapeConfigs[0]);
        _context = new ScrapeContext(head, new ScrapeOptions { Time = time, SeriesLimit = seriesLimit }, Metrics, NullLogger.Instance);
        _client = new ScrapeClient(_config, TimeProvider.System, _context.Bodies);
        Target = Target.Create(_config, new TargetGroup("g", [Labels.Of(("__address__", Exporter.Address))], Labels.Of(("instance", "i"))), 0, out _)!;
        Loop = NewLoop(config);
    }

    public FakeExporter Exporter { get; } = FakeExporter.Start();

    public FakeTimeProvider Time { get; }

    public HeadBlock Head { get; }

    public ScrapeMetrics Metrics { get; } = new(new Prometheus.CollectorRegistry());

    public Target Target { get; }

    public ScrapeLoop Loop { get; private set; }

    public static async Task<LoopBench> StartAsync(string job = "", string rest = "", long seriesLimit = 0)
    {
        var folder = Checkout.NewFolder("loop");
        var time = new FakeTimeProvider(s_start);
        var head = await HeadBlock.OpenAsync(new HeadOptions { Directory = folder, Time = time, WalSyncInterval = TimeSpan.Zero }, CancellationToken.None);
        var config = CollectorConfig.Parse(
            $"global: {{external_labels: {{cluster: prod}}}}\n{rest}\nscrape_configs:\n- job_name: j\n  scrape_interval: 15s\n  {job.ReplaceLineEndings("\n  ")}", "x");
        return new LoopBench(folder, time, head, config, seriesLimit);
    }

    ScrapeLoop NewLoop(CollectorConfig config) => new(
        Target, new TargetSeries(_config, new SampleLabels(_config, new ScrapeJob(_config, config.OnConflict, config.Global.ExternalLabels).Rules, Target.Labels), _context.Families),
        _client, _context, _shutdown.Token);

    /// <summary>Moves the clock by an interval and scrapes.</summary>
    public async Task ScrapeAsync(FakeAnswer? answer = null)
    {
        if (answer is not null)
        {
            Exporter["/metrics"] = answer;
        }

        Time.Advance(TimeSpan.FromSeconds(15));
        await Loop.ScrapeAsync(Time.GetUtcNow(), CancellationToken.None);
    }

    /// <summary>Unix milliseconds of a second of the test.</summary>
    public static long At(double seconds) => s_start.ToUnixTimeMilliseconds() + (long)(seconds * 1000);

    /// <summary>The series of a metric without instance and job: <c>{a="b"} 15:1 30:2 45:stale</c>, seconds since the test began.</summary>
    public async Task<string> SamplesAsync(string metric)
    {
        var lines = new List<string>();
        var matchers = new[] { new Matcher(MatchType.Equal, "__name__", metric) };
        await foreach (var series in Head.SelectAsync(new QueryContext().Select(new SelectHints { Range = TimeRange.All }, matchers)))
        {
            var line = new StringBuilder(series.Labels.Without("__name__", "job", "instance").ToString());
            using var samples = series.Samples();
            var batch = new SampleBatch();
            while (samples.Read(batch))
            {
                for (var i = 0; i < batch.Count; i++)
                {
                    var value = StaleMarker.IsStale(batch.Values[i]) ? "stale" : GoText.Float(batch.Values[i]);
                    line.Append(CultureInfo.InvariantCulture, $" {(batch.Timestamps[i] - At(0)) / 1000.0}:{value}");
                }
            }

            lines.Add(line.ToString());
        }

        return string.Join('\n', lines);
    }

    /// <summary>The newest sample of <c>up</c>, which must be of the newest scrape.</summary>
    public async Task<double> UpAsync()
    {
        var up = (await SamplesAsync("up")).Split(' ')[^1].Split(':');
        Xunit.Assert.Equal((Time.GetUtcNow() - s_start).TotalSeconds, double.Parse(up[0], CultureInfo.InvariantCulture));
        return double.Parse(up[1], CultureInfo.InvariantCulture);
    }

    public async ValueTask DisposeAsync()
    {
        await _shutdown.CancelAsync();
        await Loop.Finished;
        Loop.Dispose();
        _client.Dispose();
        _context.Dispose();
        await Head.DisposeAsync();
        await Exporter.DisposeAsync();
        _shutdown.Dispose();
        Directory.Delete(_folder, recursive: true);
    }
}
