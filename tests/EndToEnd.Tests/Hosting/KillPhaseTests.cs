using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Head;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.EndToEnd.Tests.Hosting;

/// <summary>
/// Each role, with data in its log, its folder and its bucket, is killed in each phase of its start and of its stop, starts again as it is,
/// and has all that it ever showed.
/// </summary>
/// <remarks>
/// The phases are what the program shows of them: each line that it logs from its first to its last begins one, and a replay is held for as
/// long as it takes. KILLS=N lets each phase be met by each signal N times; without it some phases of each role are met by one signal, the other the next.
/// </remarks>
public sealed partial class KillPhaseTests(ITestOutputHelper output) : IDisposable
{
    const string Spawned = "spawned";
    const string Replay = "replay";
    const string LastPhase = "msg=\"stop: close the server\"";
    const int Series = 1_000;
    const int Samples = 200;
    const int OldSamples = 60;

    /// <summary>So many of the phases that a role logs are met without KILLS.</summary>
    const int MostPhases = 4;

    static readonly TimeSpan s_patience = TimeSpan.FromMinutes(2);

    readonly string _folder = Checkout.NewFolder("phases");
    readonly Dictionary<string, HashSet<string>> _shown = [];

    string Data => Path.Combine(_folder, "data");

    string Bucket => Path.Combine(_folder, "bucket");

    string Objstore => "--objstore.config={type: FILESYSTEM, config: {directory: " + Bucket + "}}";

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("collector", "data", "loaded early ledger{series='7'}", "--config.file=CONFIG", "--wal.sync-interval=0s")]
    [InlineData("store", "", "")]
    [InlineData("compact", "", "", "--wait", "--consistency-delay=0s")]
    [InlineData("query", "", "old")]
    [InlineData("all", "data/collector", "old loaded early ledger{series='7'}", "--config.file=CONFIG", "--wal.sync-interval=0s", "--consistency-delay=0s")]
    public async Task A_role_that_is_killed_in_any_phase_has_all_it_had(string role, string head, string metrics, params string[] more)
    {
        await using var exporter = await LedgerExporter.StartAsync(series: 200);
        var config = Path.Combine(_folder, "observe.yml");
        await File.WriteAllTextAsync(config, $$"""
            global: { scrape_interval: 100ms, scrape_timeout: 100ms, external_labels: { cluster: a } }
            scrape_configs: [ { job_name: ledger, static_configs: [ { targets: ['{{exporter.Address}}'] } ] } ]
            """);
        var folder = head.Length == 0 ? null : Path.Combine(_folder, head);
        await PrepareAsync(folder);
        string[] flags = [.. more.Select(flag => flag.Replace("CONFIG", config, StringComparison.Ordinal)), Objstore, "--data-dir=" + Data];
        await KillAsync(role, flags, folder is null ? null : Path.Combine(folder, "wal"), metrics.Split(' ', StringSplitOptions.RemoveEmptyEntries), async () =>
        {
            if (folder is not null)
            {
                var scrapes = exporter.Scrapes;
                await Eventually.TrueAsync(() => Task.FromResult(exporter.Scrapes > scrapes + 1), s_patience, "a scrape");
            }
        });

        // All of it is in the bucket, and whole.
        await using var query = await ObserveProcess.StartAsync("query", [Objstore, "--data-dir=" + Path.Combine(_folder, "query")], s_patience);
        await CheckAsync(query.Http, folder is null ? ["old"] : ["old", "loaded", "early", "ledger{series='7'}"]);
        Assert.Equal(0, await query.Process.StopAsync());
    }

    [Fact]
    public async Task The_demo_that_is_killed_in_any_phase_has_all_it_had()
    {
        // A pair is merged to one in the bucket: of dev, which is none, all samples stay.
        string[] flags = ["--data-dir=" + Data], metrics = ["up{cluster=\"dev\"}"];
        await using (var first = await ObserveProcess.StartAsync("demo", flags, s_patience))
        {
            await Eventually.TrueAsync(async () => (await first.QueryAsync("count(up{cluster=\"dev\"})")).Count == 1, s_patience, "scrapes");
            await CheckAsync(first.Http, metrics);
            await first.Process.KillAsync();
        }

        await KillAsync("demo", flags, Path.Combine(Data, "dev", "wal"), metrics, () => Task.CompletedTask);
    }

    /// <summary>Kills a role in each phase; the start after it is the next one that is killed, or the last.</summary>
    /// <param name="wal">The log that it replays; null where it has none.</param>
    /// <param name="metrics">What it shows.</param>
    /// <param name="work">Waits for something new to show.</param>
    async Task KillAsync(string role, string[] flags, string? wal, string[] metrics, Func<Task> work)
    {
        var kept = Path.Combine(_folder, "kept");
        Copy(Data, Path.Combine(kept, "data"));
        Copy(Bucket, Path.Combine(kept, "bucket"));
        var shown = _shown.ToList();
        var (start, stop) = await PhasesAsync(role, flags, metrics);
        _shown.Clear();
        shown.ForEach(metric => _shown.Add(metric.Key, metric.Value));
        Directory.Delete(Data, recursive: true);
        Copy(Path.Combine(kept, "data"), Data);
        if (Directory.Exists(Bucket))
        {
            Directory.Delete(Bucket, recursive: true);
            Copy(Path.Combine(kept, "bucket"), Bucket);
        }

        var rounds = int.Parse(Environment.GetEnvironmentVariable("KILLS") ?? "0", CultureInfo.InvariantCulture);
        List<string> all = [.. start, .. stop];
        var step = rounds > 0 ? 1 : (all.Count + MostPhases - 1) / MostPhases;
        List<string> phases = [Spawned, .. wal is null ? Array.Empty<string>() : [Replay], .. all.Where((_, i) => i % step == 0)];
        var random = new Random(rounds);
        var kills = 0;
        foreach (var round in Enumerable.Range(0, Math.Max(rounds, 1)))
        {
            foreach (var (phase, i) in phases.Select((phase, i) => (phase, i)))
            {
                foreach (var signal in rounds > 0 ? new[] { "KILL", "TERM" } : i % 2 == 0 ? ["KILL"] : ["TERM"])
                {
                    var late = TimeSpan.FromMilliseconds(round == 0 ? 0 : random.Next(50));
                    var (exit, last) = await KillAsync(role, flags, phase, stop.Contains(phase), signal, late, wal, metrics, work);
                    output.WriteLine($"{role}: {signal} at '{phase}': exit code {exit}, at '{last}'");
                    kills++;
                }
            }
        }

        await using var process = Start(role, flags);
        using var http = await ReadyAsync(process);
        await CheckAsync(http, metrics);
        Assert.Equal(0, await process.StopAsync("TERM", s_patience));
        output.WriteLine($"{role}: {kills} kills in {phases.Count} of {all.Count + 1 + (wal is null ? 0 : 1)} phases");
    }

    async Task<(int ExitCode, string Last)> KillAsync(
        string role, string[] flags, string phase, bool stops, string signal, TimeSpan late, string? wal, string[] metrics, Func<Task> work)
    {
        using var replay = phase == Replay ? new HeldReplay(wal!) : null;
        await using var process = Start(role, flags);
        if (stops)
        {
            using var http = await ReadyAsync(process);
            await work();
            await CheckAsync(http, metrics);
            await process.SignalAsync("TERM");
        }

        if (replay is not null)
        {
            await replay.ReachedAsync();
        }
        else if (phase != Spawned)
        {
            // Where a phase is left out (there was nothing to compact, or to ship), the start and the stop come to their ends.
            await Task.WhenAny(process.LineAsync(phase, s_patience), stops ? process.WaitAsync(s_patience) : process.LineAsync("is ready: ", s_patience));
        }

        if (late > TimeSpan.Zero)
        {
            using var timer = new PeriodicTimer(late);
            await timer.WaitForNextTickAsync();
        }

        await process.SignalAsync(signal);
        replay?.Release();
        var exit = await process.WaitAsync(s_patience);
        Assert.False(FaultLine().IsMatch(process.Output), $"{role}: {signal} at '{phase}'\n{process.Output}");

        // The system's own answer before the program listens to signals, and when its stop is over; its own, 0, in between.
        var last = Phase(process.Output.TrimEnd('\n').Split('\n')[^1]) ?? "";
        int[] expected = signal == "TERM" ? phase == Spawned || last == LastPhase ? [0, 143] : [0] : stops ? [0, 137] : [137];
        Assert.True(expected.Contains(exit), $"{role}: exit code {exit} after {signal} at '{phase}'\n{process.Output}");
        return (exit, last);
    }

    /// <summary>What a role logs on its way from the begin of its start to the end of its stop: a phase a line.</summary>
    async Task<(List<string> Start, List<string> Stop)> PhasesAsync(string role, string[] flags, string[] metrics)
    {
        await using var process = Start(role, flags);
        using var http = await ReadyAsync(process);
        await CheckAsync(http, metrics);
        Assert.Equal(0, await process.StopAsync("TERM", s_patience));
        var lines = process.Output.Split('\n').Select(Phase).OfType<string>().Distinct().ToList();
        var stop = lines.IndexOf("msg=stopping");
        Assert.True(stop > 0 && lines[^1] == LastPhase, process.Output);
        return ([.. lines[..stop], "is ready: "], lines[stop..]);
    }

    /// <summary>What a line of the log says, without what differs from one time to the next.</summary>
    static string? Phase(string line) => LogLine().Match(line) is { Success: true } match ? match.Value : null;

    static ChildProcess Start(string role, string[] flags) =>
        ChildProcess.Start(ObserveProcess.Program, [role, "--http-address=127.0.0.1:0", "--grpc-address=127.0.0.1:0", .. flags]);

    static async Task<HttpClient> ReadyAsync(ChildProcess process)
    {
        var line = await process.LineAsync("is ready: ", s_patience);
        return new HttpClient { BaseAddress = new Uri(line[(line.IndexOf("is ready: ", StringComparison.Ordinal) + 10)..].Split(' ')[0]) };
    }

    /// <summary>All that was prepared is shown, and all that was ever shown.</summary>
    async Task CheckAsync(HttpClient http, string[] metrics)
    {
        foreach (var metric in metrics)
        {
            if (metric is "loaded" or "early" or "old")
            {
                var count = Assert.Single(await QueryAsync(http, $"sum(count_over_time({metric}[3d]))"))!["value"]![1];
                Assert.Equal((metric, metric == "loaded" ? Series * Samples : 2 * OldSamples), (metric, int.Parse((string)count!, CultureInfo.InvariantCulture)));
                continue;
            }

            HashSet<string> now = [.. (await QueryAsync(http, $"{metric}[3d]"))
                .SelectMany(series => series!["values"]!.AsArray().Select(sample => $"{series["metric"]} {sample}"))];
            var lost = _shown.GetValueOrDefault(metric)?.Except(now).ToList() ?? [];
            Assert.True(lost.Count == 0, $"{metric} lacks {lost.Count} of {_shown.GetValueOrDefault(metric)?.Count} samples: {string.Join(' ', lost.Take(10))}");
            _shown[metric] = now;
        }
    }

    static async Task<JsonArray> QueryAsync(HttpClient http, string query)
    {
        var answer = JsonNode.Parse(await http.GetStringAsync("api/v1/query?dedup=false&query=" + Uri.EscapeDataString(query)))!;
        Assert.Null(answer["warnings"]);
        return answer["data"]!["result"]!.AsArray();
    }

    /// <summary>A bucket with two blocks that overlap, and of a head its log and a block that is not in the bucket yet.</summary>
    async Task PrepareAsync(string? head)
    {
        var now = DateTimeOffset.FromUnixTimeMilliseconds(TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds() / 7_200_000 * 7_200_000);
        await WriteBlockAsync(Bucket, "old", 0, now.AddDays(-2), "a");
        await WriteBlockAsync(Bucket, "old", 1, now.AddDays(-2), "a");
        if (head is null)
        {
            return;
        }

        await WriteBlockAsync(head, "early", 0, now.AddHours(-8), null);
        await WriteBlockAsync(head, "early", 1, now.AddHours(-12), null);
        await using var open = await HeadBlock.OpenAsync(new HeadOptions { Directory = head, Time = TimeProvider.System }, default);
        using var appender = open.Appender();
        var series = Enumerable.Range(0, Series).Select(i => appender.GetOrAdd(Labels.Of(("__name__", "loaded"), ("i", $"{i}")))).ToList();
        var newest = TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds();
        for (var i = Samples; i > 0; i--)
        {
            series.ForEach(one => appender.Append(one, newest - (i * 1_000), i));
            appender.Commit();
        }
    }

    static Task WriteBlockAsync(string folder, string metric, int series, DateTimeOffset start, string? cluster)
    {
        var (id, from) = (BlockId.New(start.AddHours(2), new Random(series)), start.ToUnixTimeMilliseconds());
        var samples = Enumerable.Range(0, OldSamples).Select(i => (from + (i * 60_000L), (double)i)).ToArray();
        Directory.CreateDirectory(folder);
        return WrittenBlock.WriteAsync(
            folder,
            new BlockMeta
            {
                Id = id,
                MinTime = from,
                MaxTime = from + 7_200_000,
                Stats = new BlockStats { Samples = OldSamples, Series = 1, Chunks = 1 },
                Compaction = new BlockCompaction { Level = 1, Sources = [id] },
                Thanos = cluster is null ? null : new ThanosSection { Labels = new Dictionary<string, string> { ["cluster"] = cluster }, Source = "sidecar" },
            },
            [new TestSeries(Labels.Of(("__name__", metric), ("i", $"{series}")), samples)]);
    }

    static void Copy(string from, string to)
    {
        foreach (var file in Directory.Exists(from) ? Directory.GetFiles(from, "*", SearchOption.AllDirectories) : [])
        {
            var copy = Path.Combine(to, Path.GetRelativePath(from, file));
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            File.Copy(file, copy);
        }
    }

    /// <summary>A stack, or an error.</summary>
    [GeneratedRegex("^   at | level=ERROR ", RegexOptions.Multiline)]
    private static partial Regex FaultLine();

    /// <summary>The message up to what may differ: a path, a count.</summary>
    [GeneratedRegex(@"msg=(""stop: [^""]*""|""[^"":]*[:""]|[^ ]*)")]
    private static partial Regex LogLine();
}
