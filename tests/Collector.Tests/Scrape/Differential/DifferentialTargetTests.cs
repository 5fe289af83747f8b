using System.Globalization;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Observe.Collector.Config;
using Observe.Testkit;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Collector.Tests.Scrape.Differential;

/// <summary>
/// Random jobs, whose targets are relabelled by a real Prometheus and by this scraper. RELABEL_SEED and RELABEL_JOBS make a campaign of it.
/// </summary>
public class DifferentialTargetTests(ITestOutputHelper output)
{
    /// <summary>Jobs of one Prometheus; then there is a new one.</summary>
    const int Round = 2_000;

    static readonly string[] s_names =
    [
        "a", "b", "c", "a_b", "job", "instance", "__address__", "__scheme__", "__metrics_path__", "__param_x", "__param_y", "__meta_a", "__meta_b_c", "__tmp", "__scrape_interval__", "é",
    ];

    static readonly string[] s_values =
    [
        "", "x", "y", "X_y", "1", "a:b", "é", "Straße", "İstanbul", "ſ", "ǆ", "/p", "p q", "/a//b?c#d", "$1", "30s", "10s", "https", "HTTP", "a b", "%41", "h:1", "{}", "\"", "\\", "\ud83d\ude00", "!*'()", ":@;,=+$&",
    ];

    [Fact]
    public async Task Random_rules_make_the_targets_that_Prometheus_makes()
    {
        var (seed, jobs) = (Setting("RELABEL_SEED", 1), Setting("RELABEL_JOBS", 600));
        var (differences, compared) = (new List<string>(), 0);
        for (var (round, left) = (0, jobs); left > 0; round++, left -= Round)
        {
            var texts = Enumerable.Range(0, Math.Min(left, Round)).Select(job => Job(new RandomText(((seed + round) * 1_000_003) + job), job)).ToList();
            compared += await CompareAsync(texts, differences);
        }

        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{jobs} jobs, {compared} targets, {differences.Count} jobs differ"));
        Assert.True(compared > jobs, $"{compared} targets only");
        Assert.True(differences.Count == 0, string.Join('\n', differences));
    }

    /// <summary>Every character that may have another case, as Go knows it and as we do.</summary>
    [Fact]
    public async Task Letters_have_the_cases_that_they_have_in_Go()
    {
        var text = new StringBuilder();
        var values = new List<string>();
        for (var c = 0x20; c < 0x1f000; c++)
        {
            // Two letters have capitals only since Unicode 17, which Prometheus may know or not.
            if (c is (>= 0xd800 and < 0xe000) or 0xa7d3 or 0xa7d5 || !Rune.IsLetter(new Rune(c)) && Rune.GetUnicodeCategory(new Rune(c)) is not (UnicodeCategory.NonSpacingMark or UnicodeCategory.LetterNumber or UnicodeCategory.OtherSymbol))
            {
                continue;
            }

            text.Append(char.ConvertFromUtf32(c));
            if (text.Length > 500)
            {
                values.Add(text.ToString());
                text.Clear();
            }
        }

        var jobs = values.Select((value, job) => $"""
            - job_name: j{job}
              static_configs: [{"{"}targets: ['h:1'], labels: {"{"}all: '{value}'{"}"}{"}"}]
              relabel_configs: [{"{"}action: lowercase, source_labels: [all], target_label: low{"}"}, {"{"}action: uppercase, source_labels: [all], target_label: up{"}"}]

            """).ToList();
        var differences = new List<string>();
        Assert.Equal(jobs.Count, await CompareAsync(jobs, differences));
        Assert.True(differences.Count == 0, string.Join('\n', differences));
    }

    static string Job(RandomText random, int job)
    {
        string Value() => RandomRules.Quote(random.One(s_values));
        var rules = new RandomRules(random, s_names).Rules(5);

        // Of several labels that Go's maps bring in random order, any may win when they lead to one name.
        var map = rules.Contains("labelmap", StringComparison.Ordinal);
        var config = new StringBuilder(string.Create(CultureInfo.InvariantCulture, $"- job_name: j{job}\n  static_configs:\n"));
        for (var group = 1 + random.Below(3); group > 0; group--)
        {
            var names = new HashSet<string>();
            var labels = Enumerable.Range(0, random.Below(map ? 2 : 7)).Select(_ => random.One(s_names)).Where(name => name != "__address__" && names.Add(name)).Select(name => $"{RandomRules.Quote(name)}: {Value()}").ToList();
            var targets = Enumerable.Range(0, 1 + random.Below(2)).Select(_ => RandomRules.Quote(random.One("h:1", "[::1]:2", "10.0.0.1:3", "127.1:9100", "0x7f000001:1", "localhost:80", "a.b", "é:1", "h:", "x@y:1", "a b:1", "h:99999", "127.0.0.1:09100")));
            config.Append(CultureInfo.InvariantCulture, $"  - {{targets: [{string.Join(", ", targets)}], labels: {{{string.Join(", ", labels)}}}}}\n");
        }

        if (random.OneIn(3))
        {
            config.Append(CultureInfo.InvariantCulture, $"  params: {{x: [{Value()}, {Value()}]{(map ? "" : $", 'z y': [{Value()}]")}}}\n");
        }

        if (random.OneIn(4))
        {
            config.Append(CultureInfo.InvariantCulture, $"  metrics_path: {Value()}\n");
        }

        return config.Append(CultureInfo.InvariantCulture, $"  relabel_configs: {rules}\n").ToString();
    }

    /// <summary>Compares the targets of each job; returns how many there are.</summary>
    static async Task<int> CompareAsync(List<string> jobs, List<string> differences)
    {
        var config = "global: {scrape_interval: 1h}\nscrape_configs:\n" + string.Concat(jobs);
        await using var bench = await ManagerBench.StartAsync();
        var folder = Directory.CreateDirectory(Path.Combine(bench.Folder, "prometheus")).FullName;
        await using var prometheus = await PrometheusServer.StartAsync(folder, config);
        await bench.Manager.ApplyAsync(CollectorConfig.Parse(config, "x", clusterRequired: false), CancellationToken.None);
        await ManagerBench.UntilAsync(() => Task.FromResult(bench.Manager.Pools().Count == jobs.Count && bench.Manager.Targets().DroppedCounts.Count == jobs.Count), "our targets");
        using var http = new HttpClient();
        var theirs = new Dictionary<string, List<string>>();
        var (counted, before) = (-1, -2);
        await ManagerBench.UntilAsync(
            async () =>
            {
                // All jobs come at once some seconds after the start.
                var data = (await http.GetFromJsonAsync<JsonElement>(new Uri(prometheus.Url, "api/v1/targets"))).GetProperty("data");
                theirs = data.GetProperty("activeTargets").EnumerateArray()
                    .Select(t => (Pool: t.GetProperty("scrapePool").GetString()!, Text: string.Join(' ', t.GetProperty("scrapeUrl"), t.GetProperty("globalUrl").GetString()!.Replace(Environment.MachineName, "me", StringComparison.OrdinalIgnoreCase), Text(t.GetProperty("labels")), Text(t.GetProperty("discoveredLabels")), t.GetProperty("scrapeInterval"), t.GetProperty("scrapeTimeout"))))
                    .Concat(data.GetProperty("droppedTargets").EnumerateArray().Select(t => (Pool: t.GetProperty("scrapePool").GetString()!, Text: "dropped " + Text(t.GetProperty("discoveredLabels")))))
                    .GroupBy(t => t.Pool).ToDictionary(group => group.Key, group => group.Select(t => t.Text).ToList());
                (before, counted) = (counted, theirs.Values.Sum(list => list.Count));
                return counted > 0 && counted == before;
            },
            "the targets of Prometheus");
        var snapshot = bench.Manager.Targets();
        var ours = snapshot.Active.Select(t => (Pool: t.ScrapePool, Text: string.Join(' ', t.ScrapeUrl, t.GlobalUrl, t.Labels, t.DiscoveredLabels, Duration.Format(t.ScrapeInterval), Duration.Format(t.ScrapeTimeout))))
            .Concat(snapshot.Dropped.Select(t => (Pool: t.ScrapePool, Text: "dropped " + t.DiscoveredLabels)))
            .GroupBy(t => t.Pool).ToDictionary(group => group.Key, group => group.Select(t => t.Text).ToList());
        for (var job = 0; job < jobs.Count; job++)
        {
            var name = "j" + job.ToString(CultureInfo.InvariantCulture);
            // Explained: a label without a name is not shown, and keeps its target down here as it does there.
            var (mine, other) = (ours.GetValueOrDefault(name, []).Order(StringComparer.Ordinal).ToList(), theirs.GetValueOrDefault(name, []).Order(StringComparer.Ordinal).ToList());
            // Explained: of several targets that relabelling makes equal, the discovered labels of any are shown.
            static string Relabelled(string target) => target.Split(" {__address__=")[0];
            if (!mine.SequenceEqual(other) && (mine.Distinct().Count() != mine.Count || !mine.Select(Relabelled).Order(StringComparer.Ordinal).SequenceEqual(other.Select(Relabelled).Order(StringComparer.Ordinal))))
            {
                differences.Add($"=== seed {jobs[job]}{string.Concat(mine.Except(other).Select(t => $"ours   {t}\n"))}{string.Concat(other.Except(mine).Select(t => $"theirs {t}\n"))}");
            }
        }

        return counted;
    }

    static string Text(JsonElement labels) => Labels.Of(
        [.. labels.EnumerateObject().Where(l => l.Name.Length > 0 && !l.Name.EndsWith("_histograms__", StringComparison.Ordinal) && !l.Name.EndsWith("_nhcb__", StringComparison.Ordinal)).Select(l => (l.Name, l.Value.GetString()!))]).ToString();

    static int Setting(string name, int standard) =>
        int.TryParse(Environment.GetEnvironmentVariable(name), CultureInfo.InvariantCulture, out var value) ? value : standard;
}
