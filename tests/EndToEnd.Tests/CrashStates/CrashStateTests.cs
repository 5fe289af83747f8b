using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using System.Text.Json.Nodes;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Head;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;

namespace Observe.EndToEnd.Tests.CrashStates;

/// <summary>
/// The system calls of a real collector are recorded while it scrapes and cuts blocks; then every state in which a power cut may have left
/// its disk is recovered from, and held against the samples that it had shown by then.
/// </summary>
public sealed class CrashStateTests(ITestOutputHelper output) : IDisposable
{
    const int Blocks = 4;
    const int Answers = 30;

    static readonly int s_states = int.Parse(Environment.GetEnvironmentVariable("CRASH_STATES") ?? "100", CultureInfo.InvariantCulture);
    static readonly int[] s_series = [0, 17];

    // The disk's own syncs are of no interest while states are recovered from.
    readonly string _folder = Directory.Exists("/dev/shm") ? Directory.CreateDirectory($"/dev/shm/observe-crash-{Guid.NewGuid():N}").FullName : Checkout.NewFolder("crash");
    readonly List<(double Time, int Series, HashSet<long> Values)> _shown = [];

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task No_power_cut_costs_a_sample_that_was_shown()
    {
        var operations = await RecordAsync();
        var seed = int.Parse(Environment.GetEnvironmentVariable("CRASH_SEED") ?? "1", CultureInfo.InvariantCulture);
        output.WriteLine($"seed {seed}, {operations.Count} operations, {operations.Count(o => o.Change == DiskChange.Sync)} syncs, {_shown.Count} answers");
        var random = new Random(seed);
        var held = 0L;
        for (var state = 0; state < s_states; state++)
        {
            var (lost, found) = await RecoverAsync(operations, random);
            Assert.True(lost is null, $"state {state} of seed {seed}: {lost}");
            held += found;
        }

        output.WriteLine($"{s_states} states, {held} samples held against what was shown, 0 lost");
        Assert.True(held > 0);

        // A program that syncs nothing would be found out.
        var careless = operations.Where(operation => operation.Change != DiskChange.Sync).ToList();
        for (var state = 0; (await RecoverAsync(careless, random)).Lost is null; state++)
        {
            Assert.True(state < 1_000, "nothing was lost though nothing was synced");
        }
    }

    /// <summary>Recovers from one state; says what is lost of what was shown by then, and how many samples were looked for.</summary>
    async Task<(string? Lost, long Held)> RecoverAsync(List<DiskOperation> operations, Random random)
    {
        var end = random.Next(operations.Count) + 1;
        var crashed = Path.Combine(_folder, "state");
        new CrashedDisk(operations, end, random).WriteTo(crashed);
        var until = end < operations.Count ? operations[end].Time : double.MaxValue;
        try
        {
            await using var head = await HeadBlock.OpenAsync(
                new HeadOptions { Directory = crashed, Time = TimeProvider.System, BlockRangeMs = 2_000, WalSyncInterval = TimeSpan.Zero }, default);
            using var blocks = new LocalBlocks(crashed, NullLogger.Instance);
            var held = 0L;
            foreach (var series in s_series)
            {
                var found = await ValuesAsync(new MergeQuerier([head, blocks]), series);
                foreach (var (_, _, values) in _shown.Where(shown => shown.Series == series && shown.Time <= until))
                {
                    held += values.Count;
                    if (!values.IsSubsetOf(found))
                    {
                        return ($"after {end} operations series {series} lacks {string.Join(' ', values.Except(found).Order())} of {values.Count}; {string.Join("; ", head.Damages)}\n"
                            + $"head {head.Range}, blocks {blocks.Range}, damaged {string.Join(' ', blocks.DamagedBlocks)}\n{List(crashed)}\n{Last(operations, end)}", held);
                    }
                }
            }

            return (null, held);
        }
        finally
        {
            Directory.Delete(crashed, recursive: true);
        }
    }

    static string List(string folder) => string.Join('\n', new DirectoryInfo(folder).EnumerateFiles("*", SearchOption.AllDirectories)
        .Select(file => $"{Path.GetRelativePath(folder, file.FullName)} {file.Length}").Order(StringComparer.Ordinal));

    static string Last(List<DiskOperation> operations, int end) => string.Join('\n', operations.Take(end).TakeLast(40)
        .Select(o => $"{o.Time:F3} {o.Change} {o.Node} {o.Folder}/{o.Name} {o.NewName} at {o.Offset} {o.Data.Length}"));

    async Task<List<DiskOperation>> RecordAsync()
    {
        var strace = Required.Program("strace", "apt-get install strace");
        await using var exporter = await LedgerExporter.StartAsync(series: 40);
        var (config, data, log) = (Path.Combine(_folder, "observe.yml"), Path.Combine(_folder, "data"), Path.Combine(_folder, "calls"));
        Directory.CreateDirectory(data);
        await File.WriteAllTextAsync(config, $"""
            global: {"{"}scrape_interval: 100ms, scrape_timeout: 100ms, external_labels: {"{"}cluster: crash{"}"}{"}"}
            scrape_configs:
              - job_name: ledger
                static_configs: [{"{"}targets: ['{exporter.Address}']{"}"}]
            """);
        await using (var process = ChildProcess.Start(strace, [
            "-f", "-ttt", "-y", "-xx", "-s", "16777216", "-e", "trace=" + SystemCallLog.Calls, "-o", log,
            ObserveProcess.Program, "collector", "--http-address=127.0.0.1:0", "--grpc-address=127.0.0.1:0", "--config.file=" + config, "--data-dir=" + data,
            "--objstore.config={type: FILESYSTEM, config: {directory: " + Path.Combine(_folder, "bucket") + "}}",
            "--storage.tsdb.min-block-duration=2s", "--wal.sync-interval=0s", "--storage.snapshot-after=8KB",
        ]))
        {
            var ready = await process.LineAsync("is ready: ", TimeSpan.FromMinutes(3));
            using var http = new HttpClient { BaseAddress = new Uri(ready[(ready.IndexOf("is ready: ", StringComparison.Ordinal) + 10)..].Split(' ')[0]) };
            await Eventually.TrueAsync(
                async () =>
                {
                    foreach (var series in s_series)
                    {
                        var values = await ShownAsync(http, series);
                        _shown.Add(((TimeProvider.System.GetUtcNow() - DateTimeOffset.UnixEpoch).TotalSeconds, series, values));
                    }

                    return Directory.EnumerateDirectories(data).Count(d => BlockId.TryParse(Path.GetFileName(d), out _)) >= Blocks && _shown.Count >= Answers;
                },
                TimeSpan.FromMinutes(3),
                "some blocks and answers");
        }

        return SystemCallLog.Read(log, data);
    }

    static async Task<HashSet<long>> ShownAsync(HttpClient http, int series)
    {
        var answer = JsonNode.Parse(await http.GetStringAsync("api/v1/query?query=" + Uri.EscapeDataString($"ledger{{series=\"{series}\"}}[1h]")))!;
        return [.. answer["data"]!["result"]!.AsArray().SelectMany(s => s!["values"]!.AsArray()).Select(s => long.Parse((string)s![1]!, CultureInfo.InvariantCulture))];
    }

    static async Task<HashSet<long>> ValuesAsync(IQuerier querier, int series)
    {
        var (values, batch) = (new HashSet<long>(), new SampleBatch());
        Matcher[] matchers = [new(Tsdb.Model.MatchType.Equal, "__name__", "ledger"), new(Tsdb.Model.MatchType.Equal, "series", series.ToString(CultureInfo.InvariantCulture))];
        await foreach (var found in querier.SelectAsync(new QueryContext().Select(new SelectHints { Range = TimeRange.All }, matchers)))
        {
            using var samples = found.Samples();
            while (samples.Read(batch))
            {
                for (var i = 0; i < batch.Count; i++)
                {
                    values.Add((long)batch.Values[i]);
                }
            }
        }

        return values;
    }
}
