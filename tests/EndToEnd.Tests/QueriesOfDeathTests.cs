using System.Collections.Concurrent;
using System.Globalization;
using System.Text.RegularExpressions;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.EndToEnd.Tests;

/// <summary>
/// Hostile queries at every role in one process with 512 MiB, while it scrapes. DEATH_QUERIES, DEATH_SEED and DEATH_FIRST make a campaign
/// of it (<c>make death</c>).
/// </summary>
public sealed class QueriesOfDeathTests(ITestOutputHelper output) : IDisposable
{
    const int Series = 2000;
    const int Clients = 4;
    const int MemoryMiB = 512;

    /// <summary>What .NET takes for its heap in a container of 512 MiB: three quarters. Hexadecimal, which a native program reads without 0x only.</summary>
    const string HeapLimit = "18000000";

    static readonly TimeSpan s_limit = TimeSpan.FromSeconds(1);

    readonly string _folder = Checkout.NewFolder("death");

    static bool IsCampaign => Environment.GetEnvironmentVariable("DEATH_QUERIES") is { Length: > 0 };

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task No_query_harms_the_process_or_a_scrape()
    {
        var (seed, first, count) = (Setting("DEATH_SEED", 1), Setting("DEATH_FIRST", 0), Setting("DEATH_QUERIES", 150));
        KeepThreadsForClients();
        await using var exporter = await LedgerExporter.StartAsync(Series);
        await WriteHistoryAsync();
        var config = Path.Combine(_folder, "observe.yml");
        await File.WriteAllTextAsync(config, $$"""
            global: { scrape_interval: 2s, scrape_timeout: 2s, external_labels: { cluster: death } }
            scrape_configs:
              - job_name: ledger
                static_configs: [ {targets: ['{{exporter.Address}}'] } ]
            """);
        await using var observe = await ObserveProcess.StartAsync(
            "all",
            ["--config.file=" + config, "--data-dir=" + _folder, "--query.timeout=1s", "--enable-feature=promql-all"],
            environment: ("DOTNET_GCHeapHardLimit", HeapLimit));
        await Eventually.TrueAsync(
            async () => (await observe.QueryAsync("count(last_over_time(ledger{instance=\"before\"}[5h]))")).Any(r => r.Value == "2000"), TimeSpan.FromSeconds(60), "the history in the bucket");

        var (began, firstScrape) = (TimeProvider.System.GetTimestamp(), exporter.Scrapes);
        var answers = new ConcurrentBag<Answer>();
        await using (var probes = new ProbeQueries(observe))
        {
            await Parallel.ForAsync(first, first + count, new ParallelOptions { MaxDegreeOfParallelism = Clients }, async (i, _) =>
            {
                var now = TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds() / 1000.0;
                answers.Add(await AskAsync(observe, i, new HostileQueries(new Random((seed * 1_000_003) + i), now).Next(), probes));
            });
            Report(answers, probes);
        }

        var elapsed = TimeProvider.System.GetElapsedTime(began);
        Assert.False(observe.Process.HasExited, observe.Process.Output);
        output.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"seed {seed}: {count} queries from {first} in {elapsed.TotalSeconds:F0} s, peak resident memory {Peak(observe.Process.Id)} MiB, {exporter.Scrapes - firstScrape} scrapes"));
        await CheckScrapesAsync(observe, exporter, firstScrape, elapsed);
        Assert.InRange(Peak(observe.Process.Id), 0, MemoryMiB);
        Assert.Empty(answers.Where(a => a.Outcome.StartsWith("harm", StringComparison.Ordinal)).Select(a => a.ToString()));
        Assert.Empty(answers.Where(a => a.Took > s_limit + Slack(a)).Select(a => a.ToString()));
    }

    // The test's runner blocks threads of this process's pool, which replaces them twice a second: the clients would seem to wait for answers.
    static void KeepThreadsForClients()
    {
        ThreadPool.GetMinThreads(out var workers, out var ports);
        ThreadPool.SetMinThreads(Math.Max(workers, 4 * Clients), ports);
    }

    /// <summary>
    /// A campaign wants what is promised. The ordinary run has the machine for itself least of all: whatever kept the simplest query
    /// waiting meanwhile is not held against one that has more to clear away.
    /// </summary>
    static TimeSpan Slack(Answer answer) => IsCampaign
        ? TimeSpan.FromMilliseconds(Setting("DEATH_SLACK_MS", 100))
        : TimeSpan.FromMilliseconds(500) + (3 * answer.Stall);

    void Report(ConcurrentBag<Answer> answers, ProbeQueries probes)
    {
        foreach (var kind in answers.GroupBy(a => a.Query.Kind).OrderBy(g => g.Key, StringComparer.Ordinal))
        {
            var times = kind.Select(a => a.Took.TotalMilliseconds).Order().ToArray();
            output.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{kind.Key,-18} {kind.Count(),5}: {string.Join(", ", kind.GroupBy(a => a.Outcome).OrderByDescending(g => g.Count()).Take(8).Select(g => $"{g.Count()} × {g.Key}"))}; median {times[times.Length / 2]:F0} ms, most {times[^1]:F0} ms"));
        }

        foreach (var slow in answers.OrderByDescending(a => a.Took).Take(12))
        {
            output.WriteLine("  " + slow);
        }

        foreach (var limit in answers.Where(a => a.Limit.Length > 0).GroupBy(a => a.Limit).OrderByDescending(g => g.Count()))
        {
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{limit.Count(),5} refused or stopped by {limit.Key}"));
        }

        var (late, probed) = (answers.Select(a => (a.Took - s_limit).TotalMilliseconds).Order().ToArray(), probes.Durations);
        output.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"later than the limit: median {late[late.Length / 2]:F0} ms, 99 of 100 {late[late.Length * 99 / 100]:F0} ms, most {late[^1]:F0} ms; {late.Count(l => l > 100)} by more than 100 ms, {answers.Count(a => a.Took > s_limit + TimeSpan.FromMilliseconds(100) + a.Stall)} by more than 100 ms and what the simplest query took"));
        output.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"the simplest query, {probed.Length} times: median {probed[probed.Length / 2].TotalMilliseconds:F0} ms, 99 of 100 {probed[probed.Length * 99 / 100].TotalMilliseconds:F0} ms, most {probed[^1].TotalMilliseconds:F0} ms"));
    }

    /// <summary>What came of it, and when: at the headers, since how long a long answer is on its way is another matter.</summary>
    static async Task<Answer> AskAsync(ObserveProcess observe, int number, HostileQuery query, ProbeQueries probes)
    {
        static string Number(double value) => value.ToString("F3", CultureInfo.InvariantCulture);
        var form = new Dictionary<string, string> { ["query"] = query.Text };
        if (query.Step is { } step)
        {
            (form["start"], form["end"], form["step"]) = (Number(query.Start), Number(query.End), Number(step));
        }
        else
        {
            form["time"] = Number(query.End);
        }

        var sent = TimeProvider.System.GetTimestamp();
        var (outcome, limit) = ("", "");
        long answered = 0;
        try
        {
            using var content = new FormUrlEncodedContent(form);
            using var request = new HttpRequestMessage(HttpMethod.Post, query.Step is null ? "api/v1/query" : "api/v1/query_range") { Content = content };
            using var response = await observe.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
            answered = TimeProvider.System.GetTimestamp();
            if (response.IsSuccessStatusCode)
            {
                await using var body = await response.Content.ReadAsStreamAsync();
                await body.CopyToAsync(Stream.Null);
            }
            else
            {
                limit = LimitOf(await response.Content.ReadAsStringAsync());
            }

            var status = ((int)response.StatusCode).ToString(CultureInfo.InvariantCulture);
            outcome = status is "200" or "400" or "413" or "422" or "503" ? status : "harm " + status;
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            answered = answered > 0 ? answered : TimeProvider.System.GetTimestamp();
            outcome = "harm " + (e.InnerException ?? e).Message;
        }

        return new Answer(number, query, outcome, limit, TimeProvider.System.GetElapsedTime(sent, answered), probes.Longest(sent, answered));
    }

    /// <summary>The flag that an error names; else what it says, without what changes from query to query.</summary>
    static string LimitOf(string error) =>
        Regex.Match(error, "--[a-z.-]+") is { Success: true } flag ? flag.Value
        : error.Contains("nested more than", StringComparison.Ordinal) ? "nesting"
        : error.Contains("maximum resolution", StringComparison.Ordinal) ? "11,000 points"
        : error.Contains("label value of", StringComparison.Ordinal) ? "length of a label value"
        : "";

    /// <param name="Limit">What refused or stopped it; "" where nothing did, or it was wrong anyway.</param>
    /// <param name="Stall">The longest that the simplest query took meanwhile.</param>
    sealed record Answer(int Number, HostileQuery Query, string Outcome, string Limit, TimeSpan Took, TimeSpan Stall)
    {
        public override string ToString() => string.Create(
            CultureInfo.InvariantCulture,
            $"{Took.TotalMilliseconds,6:F0} ms ({Stall.TotalMilliseconds:F0} ms the simplest) {Outcome}: #{Number} {HostileQueries.Describe(Query)}");
    }

    /// <summary>Every scrape was made and kept: the values of a series are the scrapes' numbers, and follow one another.</summary>
    static async Task CheckScrapesAsync(ObserveProcess observe, LedgerExporter exporter, int first, TimeSpan elapsed)
    {
        var expected = (int)(elapsed.TotalSeconds / 2);
        Assert.InRange(exporter.Scrapes - first, expected - 2, expected + 2);
        var (kept, last) = (0, first);
        var answer = await observe.GetAsync("api/v1/query?query=" + Uri.EscapeDataString("ledger{series=\"7\",instance!=\"before\"}[1h]"));
        foreach (var sample in Assert.Single(answer["data"]!["result"]!.AsArray())!["values"]!.AsArray())
        {
            var value = int.Parse((string)sample![1]!, CultureInfo.InvariantCulture);
            if (value > first)
            {
                Assert.Equal(last + 1, value);
                (kept, last) = (kept + 1, value);
            }
        }

        Assert.InRange(kept, expected - 3, int.MaxValue);
        Assert.Equal("1", Assert.Single(await observe.QueryAsync("min_over_time(up{job=\"ledger\"}[1h])")).Value);
    }

    /// <summary>Two hours before now, every 15 s, in the bucket.</summary>
    async Task WriteHistoryAsync()
    {
        var now = TimeProvider.System.GetUtcNow();
        var end = (now.ToUnixTimeMilliseconds() / 3_600_000 * 3_600_000) - 3_600_000;
        var start = end - 7_200_000;
        var meta = new BlockMeta
        {
            Id = BlockId.New(now, new Random(1)),
            MinTime = start,
            MaxTime = end,
            Thanos = new ThanosSection { Labels = new Dictionary<string, string> { ["cluster"] = "death" } },
        };
        var series = Enumerable.Range(0, Series).Select(i => new TestSeries(
            Labels.Of([("__name__", "ledger"), ("instance", "before"), ("job", "ledger"), ("series", i.ToString(CultureInfo.InvariantCulture))]),
            [.. Enumerable.Range(0, 480).Select(n => (start + (n * 15_000L), 1e6 + n))]));
        await WrittenBlock.WriteAsync(Path.Combine(_folder, "bucket"), meta, [.. series]);
    }

    /// <summary>MiB.</summary>
    static long Peak(int process) => File.Exists($"/proc/{process}/status")
        ? long.Parse(File.ReadLines($"/proc/{process}/status").First(l => l.StartsWith("VmHWM:", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) / 1024
        : 0;

    static int Setting(string name, int standard) =>
        int.TryParse(Environment.GetEnvironmentVariable(name), CultureInfo.InvariantCulture, out var value) ? value : standard;
}
