using System.Collections.Concurrent;
using System.Globalization;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using Observe.Collector.Config;
using Observe.Collector.Scrape;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Head;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;
using MatchType = Observe.Tsdb.Model.MatchType;

namespace Observe.Collector.Tests.Scrape.Differential;

/// <summary>
/// Many targets of one server, each of which says something else at each of a few scrapes and then fails for ever. A Prometheus and a
/// <see cref="ScrapeManager"/> scrape them under one configuration; then all that either has stored is compared, to the staleness marker.
/// </summary>
static class ScrapeCampaign
{
    /// <summary>The label that tells targets apart whatever they say.</summary>
    public const string Id = "zz";

    public const int Answers = 3;

    /// <summary>Explained: limits that are on unless they are set.</summary>
    const string NoLimits = "body_size_limit: 0, label_limit: 0, label_name_length_limit: 0, label_value_length_limit: 0";

    static readonly string[] s_jobs =
    [
        "honor_labels: false",
        "honor_labels: true",
        "honor_timestamps: false",
        "track_timestamps_staleness: true",
        "metric_name_validation_scheme: legacy\n  metric_name_escaping_scheme: underscores",
        "sample_limit: 4",
        "label_limit: 5",
        "label_name_length_limit: 8\n  label_value_length_limit: 19",
        "body_size_limit: 150B",
        "fallback_scrape_protocol: PrometheusText0.0.4",
        "fallback_scrape_protocol: OpenMetricsText1.0.0\n  enable_compression: false",
    ];

    /// <returns>What differs, one text a target.</returns>
    public static async Task<IReadOnlyList<Difference>> RunAsync(int seed, int targets)
    {
        var now = TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds();
        var interval = Math.Max(8, targets / 40);
        var answers = new ConcurrentDictionary<int, FakeAnswer[]>();
        var asked = new ConcurrentDictionary<(int Target, string Who), int>();
        FakeAnswer[] AnswersOf(int target) => answers.GetOrAdd(target, t =>
        {
            var random = new RandomAnswer(new RandomText((seed * 1_000_003) + t), now);
            return [random.Next(), random.Next(), random.Next()];
        });

        await using var exporter = FakeExporter.Start(choose: request =>
        {
            var target = int.Parse(request.Target.Split('/')[^1], CultureInfo.InvariantCulture);
            var count = asked.AddOrUpdate((target, request.Headers["user-agent"].Split('/')[0]), 1, (_, n) => n + 1);
            return count <= Answers ? AnswersOf(target)[count - 1] : new FakeAnswer { Status = 500 };
        });
        var config = Config(seed, targets, interval, exporter.Address);
        var folder = Checkout.NewFolder("differential");
        try
        {
            var data = Directory.CreateDirectory(Path.Combine(folder, "prometheus")).FullName;
            await using var prometheus = await PrometheusServer.StartAsync(data, config, "--web.enable-admin-api", "--enable-feature=extra-scrape-metrics");
            await using var head = await HeadBlock.OpenAsync(new HeadOptions { Directory = Path.Combine(folder, "head"), Time = TimeProvider.System }, CancellationToken.None);
            await using (var manager = new ScrapeManager(
                head, new ScrapeOptions { Time = TimeProvider.System }, new ScrapeMetrics(new Prometheus.CollectorRegistry()), NullLoggerFactory.Instance))
            {
                await manager.ApplyAsync(CollectorConfig.Parse(config.Replace("global: {", "global: {extra_scrape_metrics: true, ", StringComparison.Ordinal), "x", clusterRequired: false), CancellationToken.None);
                await Eventually.TrueAsync(
                    () => Task.FromResult(asked.Count >= 2 * targets && asked.Values.All(count => count > Answers + 1)),
                    TimeSpan.FromSeconds(60 + (interval * (Answers + 4))), "enough scrapes of every target");
            }

            using var http = new HttpClient();
            using var snapshot = await http.PostAsync(new Uri(prometheus.Url, "api/v1/admin/tsdb/snapshot"), null);
            var name = (await snapshot.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("data").GetProperty("name").GetString()!;
            var theirs = new Dictionary<int, TargetRecord>();
            foreach (var directory in Directory.GetDirectories(Path.Combine(data, "snapshots", name)))
            {
                using var block = Block.Open(directory);
                await ReadAsync(block, theirs);
            }

            var ours = new Dictionary<int, TargetRecord>();
            await ReadAsync(head, ours);
            var late = Enumerable.Range(0, targets).Where(t => ours[t].IsLate(interval) || theirs[t].IsLate(interval)).ToHashSet();
            Assert.True(late.Count <= targets / 4, $"{late.Count} of {targets} targets were not scraped within their timeout: the machine is too busy");
            return [.. Enumerable.Range(0, targets).Where(t => !late.Contains(t))
                .Select(t => (Target: t, Ours: ours[t].Describe(), Theirs: theirs[t].Describe()))
                .Where(t => t.Ours != t.Theirs)
                .Select(t => new Difference(seed, t.Target, JobOf(seed, t.Target), AnswersOf(t.Target), t.Ours, t.Theirs))];
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>The first jobs are the fixed ones; as many again relabel at random.</summary>
    static string JobOf(int seed, int target)
    {
        var job = target % (s_jobs.Length * 2);
        return job < s_jobs.Length
            ? s_jobs[job]
            : "metric_relabel_configs: " + new RandomRules(new RandomText((seed * 1_009) + job), ["a", "b", "c", "job", "instance", "__name__", "le", "exported_job"]).Rules(3);
    }

    static string Config(int seed, int targets, int interval, string address)
    {
        var config = new StringBuilder(string.Create(
            CultureInfo.InvariantCulture, $"global: {{scrape_interval: {interval}s, scrape_timeout: {interval}s, {NoLimits}}}\nscrape_configs:\n"));
        for (var job = 0; job < s_jobs.Length * 2 && job < targets; job++)
        {
            config.Append(CultureInfo.InvariantCulture, $"- job_name: j{job}\n  {JobOf(seed, job)}\n  static_configs:\n");
            for (var target = job; target < targets; target += s_jobs.Length * 2)
            {
                config.Append(CultureInfo.InvariantCulture, $"  - {{targets: ['{address}'], labels: {{__metrics_path__: '/{target}', {Id}: '{target}', team: t}}}}\n");
            }
        }

        return config.ToString();
    }

    static async Task ReadAsync(IQuerier querier, Dictionary<int, TargetRecord> into)
    {
        await foreach (var series in querier.SelectAsync(new QueryContext().Select(new SelectHints { Range = TimeRange.All }, [new Matcher(MatchType.NotEqual, Id, "")])))
        {
            if (!int.TryParse(series.Labels.Get(Id), NumberStyles.None, CultureInfo.InvariantCulture, out var id))
            {
                continue;
            }

            if (!into.TryGetValue(id, out var target))
            {
                into[id] = target = new TargetRecord();
            }

            var samples = new List<(long, double)>();
            using var iterator = series.Samples();
            var batch = new SampleBatch();
            while (iterator.Read(batch))
            {
                samples.AddRange(Enumerable.Range(0, batch.Count).Select(i => (batch.Timestamps[i], batch.Values[i])));
            }

            target.Add(new LabelsBuilder(series.Labels).Build(), samples);
        }
    }
}

/// <summary>A target about which the two scrapers disagree.</summary>
sealed record Difference(int Seed, int Target, string Job, FakeAnswer[] Answers, string Ours, string Theirs)
{
    public override string ToString()
    {
        var text = new StringBuilder(string.Create(CultureInfo.InvariantCulture, $"=== seed {Seed}, target {Target}, {Job}\n"));
        for (var i = 0; i < Answers.Length; i++)
        {
            text.Append(CultureInfo.InvariantCulture, $"--- {i}: {Answers[i].Status} {string.Join(" | ", Answers[i].Headers.Select(h => $"{h.Name}: {Short(h.Value)}"))}\n{Short(Encoding.UTF8.GetString(Answers[i].Body))}\n");
        }

        var (ours, theirs) = (Ours.Split('\n'), Theirs.Split('\n'));
        text.AppendJoin("", ours.Except(theirs).Select(line => $"ours   {Short(line)}\n"));
        text.AppendJoin("", theirs.Except(ours).Select(line => $"theirs {Short(line)}\n"));
        return text.ToString();
    }

    static string Short(string text) => text.Length > 1500 ? string.Concat(text.AsSpan(0, 1000), "…", text.AsSpan(text.Length - 400)) : text;
}

/// <summary>All series of one target.</summary>
sealed class TargetRecord
{
    readonly List<(Labels Labels, List<(long Timestamp, double Value)> Samples)> _series = [];

    public void Add(Labels labels, List<(long, double)> samples) => _series.Add((labels, samples));

    /// <summary>Whether a scrape took most of its timeout, and may have been broken off.</summary>
    /// <param name="timeout">Seconds.</param>
    public bool IsLate(int timeout) => Reports("scrape_duration_seconds").Any(sample => sample.Value > timeout * 0.9);

    List<(long Timestamp, double Value)> Reports(string name) =>
        _series.Where(s => s.Labels.Get("__name__") == name && s.Labels.Count == 5 && s.Labels.Get("team") == "t").Select(s => s.Samples).FirstOrDefault([]);

    /// <summary>
    /// The target's series up to its first scrape without an answer; what has a scrape's time shows that scrape's number. Left out are
    /// staleness markers by which the two differ for a reason:
    /// a body that breaks off is there the beginning of a scrape, so that its series get no marker at once, and one at the next scrape
    /// though nothing of them was stored, while here a failed scrape has no samples; and there a series is marked too of which every
    /// sample was refused. Such a marker makes explicit timestamps before it too old, and what a failed scrape has seen is there not new to
    /// the next one, so that after a body that broke off neither explicit timestamps nor the number of new series are compared.
    /// </summary>
    public string Describe()
    {
        var reports = Reports("up");
        var scrapes = reports.Select((sample, index) => (sample.Timestamp, index)).ToDictionary(s => s.Timestamp, s => s.index);
        var last = reports.Skip(ScrapeCampaign.Answers).Select(sample => sample.Timestamp).FirstOrDefault(long.MaxValue);
        bool HasFailed(int scrape) => scrape >= 0 && scrape < Math.Min(ScrapeCampaign.Answers, reports.Count) && reports[scrape].Value == 0;
        var broken = Reports("scrape_samples_scraped").Index().Where(sample => sample.Item.Value > 0 && HasFailed(sample.Index)).Select(sample => sample.Index).FirstOrDefault(int.MaxValue);
        var lines = new List<string>();
        foreach (var (labels, samples) in _series)
        {
            var duration = labels.Get("__name__") == "scrape_duration_seconds" && !labels.Has("own");
            var added = labels.Get("__name__") == "scrape_series_added";
            var line = new StringBuilder();
            foreach (var (timestamp, value) in samples)
            {
                var scrape = scrapes.GetValueOrDefault(timestamp, -1);
                var stale = StaleMarker.IsStale(value);
                if ((scrape < 0 ? broken == int.MaxValue : timestamp <= last) && !(stale && (line.Length == 0 || HasFailed(scrape) || HasFailed(scrape - 1))))
                {
                    line.Append(CultureInfo.InvariantCulture, $" {(scrape < 0 ? timestamp : "#" + scrape)}:");
                    line.Append(stale ? "stale" : double.IsNaN(value) ? $"NaN{BitConverter.DoubleToInt64Bits(value):x}" : duration || (added && scrape > broken) ? "?" : GoText.Float(value));
                }
            }

            if (line.Length > 0)
            {
                lines.Add(labels.ToString() + line);
            }
        }

        lines.Sort(StringComparer.Ordinal);
        return string.Join('\n', lines);
    }
}
