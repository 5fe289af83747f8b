using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace Observe.Benchmarks.QueryBench;

/// <summary>
/// Queries of dashboards and alert rules, asked of two servers over the same blocks: of Prometheus and of Observe, or of Observe that reads
/// the bucket itself and of Observe that asks a store, or over the blocks of one replica and over those of two. Each is asked once of servers that have just started, then, after passes over all
/// queries, in turns of both, until enough is known; nothing is cached but files' pages.
/// </summary>
static class QueryComparison
{
    /// <summary>One side of the comparison.</summary>
    /// <param name="Letter">Heads its columns.</param>
    sealed record Side(string Name, char Letter, Func<Task<Servers>> Start);

    /// <summary>The processes of a side; the first is asked.</summary>
    sealed class Servers(params PeerProcess[] processes) : IAsyncDisposable
    {
        public PeerProcess Asked => processes[0];

        public long PeakMemory => processes.Sum(process => process.PeakMemory());

        public string ProcessorTime =>
            string.Join(" + ", processes.Select(process => process.ProcessorTime().ToString("F1", CultureInfo.InvariantCulture)));

        public async ValueTask DisposeAsync()
        {
            foreach (var process in processes)
            {
                await process.DisposeAsync();
            }
        }
    }

    /// <summary>Of one query's warm runs of both servers together.</summary>
    static readonly TimeSpan s_share = TimeSpan.FromSeconds(4);

    const int WarmUpPasses = 3;

    sealed record Row(int Number, BenchQuery Query, double[] Cold, double[][] Warm, QueryAnswer[] Answers, string Equality)
    {
        public double Median(int server) => Warm[server].Order().ElementAt(Warm[server].Length / 2);

        public double Ratio => Median(1) / Median(0);
    }

    /// <param name="what">
    /// <c>bench-store</c>: compare the bucket inside with <c>observe store</c>; <c>bench-pair</c>: one replica with two; otherwise Prometheus
    /// with Observe.
    /// </param>
    public static async Task<int> RunAsync(string what, string[] arguments)
    {
        var options = new Dictionary<string, string>();
        for (var i = 0; i + 1 < arguments.Length; i += 2)
        {
            options[arguments[i]] = arguments[i + 1];
        }

        var observe = Path.GetFullPath(options.GetValueOrDefault("--observe", "artifacts/bin/Observe/release/observe"));
        var folder = Path.GetFullPath(options.GetValueOrDefault("--data", "artifacts/bench"));
        var runs = int.Parse(options.GetValueOrDefault("--runs", "7"), CultureInfo.InvariantCulture);
        var cold = options.GetValueOrDefault("--cold", "yes") == "yes";
        var only = new Regex(options.GetValueOrDefault("--only", ""));
        var blocks = new FleetBlocks(folder, observe);
        await blocks.MakeAsync();
        if (what == "bench-pair")
        {
            await blocks.MakePairAsync();
        }

        Side[] sides = what switch
        {
            "bench-store" => [new("the bucket inside", 'I', InsideAsync), new("over observe store", 'S', OverStoreAsync)],
            "bench-pair" => [new("one replica", '1', InsideAsync), new("a pair", '2', PairAsync)],
            _ => [new("Prometheus", 'P', PrometheusAsync), new("Observe", 'O', InsideAsync)],
        };
        async Task<Servers> PrometheusAsync() => new(
            await PeerProcess.StartAsync(
                PeerProcess.Find("prometheus"), Path.Combine(folder, "prometheus.log"), "--config.file=/dev/null", $"--storage.tsdb.path={blocks.Prometheus}",
                "--storage.tsdb.retention.time=100y", "--storage.tsdb.min-block-duration=2h", "--storage.tsdb.max-block-duration=2h",
                "--web.listen-address=127.0.0.1:{port}"));
        Task<Servers> InsideAsync() => ObserveAsync(blocks.ObjstoreConfig, "observe");
        Task<Servers> PairAsync() => ObserveAsync(blocks.PairConfig, "observe-pair");
        async Task<Servers> ObserveAsync(string bucket, string name) => new(
            await PeerProcess.StartAsync(
                observe, Path.Combine(folder, name + ".log"), "query", $"--objstore.config={bucket}", "--http-address=127.0.0.1:{port}",
                "--grpc-address=127.0.0.1:0", $"--data-dir={Path.Combine(folder, name)}"));
        async Task<Servers> OverStoreAsync()
        {
            var endpoint = $"127.0.0.1:{PeerProcess.FreePort()}";
            var store = await PeerProcess.StartAsync(
                observe, Path.Combine(folder, "store.log"), "store", $"--objstore.config={blocks.ObjstoreConfig}", "--http-address=127.0.0.1:{port}",
                $"--grpc-address={endpoint}", $"--data-dir={Path.Combine(folder, "store")}");
            var query = await PeerProcess.StartAsync(
                observe, Path.Combine(folder, "query.log"), "query", $"--endpoint={endpoint}", "--http-address=127.0.0.1:{port}", "--grpc-address=127.0.0.1:0");
            return new(query, store);
        }

        var queries = BenchQueries.All.Select((query, i) => (Number: i + 1, Query: query)).Where(q => only.IsMatch(q.Query.Promql)).ToList();
        var coldTimes = new double[BenchQueries.All.Count + 1][];
        var clock = Stopwatch.GetTimestamp();
        foreach (var (number, query) in queries)
        {
            coldTimes[number] = [double.NaN, double.NaN];
            for (var s = 0; s < (cold ? 2 : 0); s++)
            {
                await using var started = await sides[s].Start();
                coldTimes[number][s] = (await started.Asked.AskAsync(query)).Milliseconds;
            }
        }

        await using var first = await sides[0].Start();
        await using var second = await sides[1].Start();
        PeerProcess[] asked = [first.Asked, second.Asked];
        await WarmUpAsync(asked, queries.Select(q => q.Query));
        var rows = new List<Row>();
        var (one, other) = (sides[0].Letter, sides[1].Letter);
        Console.WriteLine(
            $"{"",3} {"range",5} {"step",5} {"series",6} {"samples",8} {"cold " + one,7} {"cold " + other,7} {"warm " + one,7} {"warm " + other,7} {"ratio",6}  result   query");
        foreach (var (number, query) in queries)
        {
            var row = await MeasureAsync(asked, number, query, coldTimes[number], runs);
            rows.Add(row);
            Console.WriteLine(Line(row));
        }

        Console.WriteLine();
        var geometric = Math.Exp(rows.Average(r => Math.Log(r.Ratio)));
        var coldMean = Math.Exp(rows.Average(r => Math.Log(r.Cold[1] / r.Cold[0])));
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"geometric mean of the ratios: warm {geometric:F3}, cold {coldMean:F3}; worst {rows.Max(r => r.Ratio):F2}; warm above 1.0: {rows.Count(r => r.Ratio > 1)}; "
            + $"equal {rows.Count(r => r.Equality == "equal")}, within 1e-12 {rows.Count(r => r.Equality == "1e-12")}, different {rows.Count(r => r.Equality is not ("equal" or "1e-12"))}"));
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"peak resident memory: {sides[0].Name} {first.PeakMemory >> 20} MiB, {sides[1].Name} {second.PeakMemory >> 20} MiB, "
            + $"ratio {(double)second.PeakMemory / first.PeakMemory:F2}; CPU: {sides[0].Name} {first.ProcessorTime} s, "
            + $"{sides[1].Name} {second.ProcessorTime} s; {Stopwatch.GetElapsedTime(clock).TotalSeconds:F0} s in all"));
        foreach (var row in rows.Where(r => r.Equality is not ("equal" or "1e-12")))
        {
            Console.WriteLine($"{row.Number}: {row.Equality}");
        }

        // A pair fills the gaps of its first replica.
        return what == "bench-pair" || rows.All(r => r.Equality is "equal" or "1e-12") ? 0 : 1;
    }

    // Servers that have been at work for a while: pages are read, code is compiled for good.
    static async Task WarmUpAsync(PeerProcess[] servers, IEnumerable<BenchQuery> queries)
    {
        for (var pass = 0; pass < WarmUpPasses; pass++)
        {
            foreach (var query in queries)
            {
                foreach (var server in servers)
                {
                    await server.AskAsync(query);
                }
            }
        }
    }

    static async Task<Row> MeasureAsync(PeerProcess[] servers, int number, BenchQuery query, double[] cold, int runs)
    {
        List<double>[] times = [[], []];
        var answers = new QueryAnswer[2];
        var clock = Stopwatch.GetTimestamp();
        for (var run = 0; run <= runs && (run <= 3 || Stopwatch.GetElapsedTime(clock) < s_share); run++)
        {
            for (var s = 0; s < 2; s++)
            {
                var (milliseconds, answer) = await servers[s].AskAsync(query);
                if (run == 0)
                {
                    answers[s] = QueryAnswer.Parse(answer);
                }
                else
                {
                    times[s].Add(milliseconds);
                }
            }
        }

        return new Row(number, query, cold, [.. times.Select(t => t.ToArray())], answers, answers[0].Compare(answers[1]));
    }

    static string Line(Row row)
    {
        var (range, step) = row.Query.Hours == 0 ? ("now", "") : ($"{row.Query.Hours}h", $"{row.Query.StepSeconds}s");
        var equality = row.Equality is "equal" or "1e-12" ? row.Equality : "differs";
        var text = row.Query.Promql.Length > 100 ? row.Query.Promql[..97] + "…" : row.Query.Promql;
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{row.Number,3} {range,5} {step,5} {row.Answers[0].Series.Count,6} {row.Answers[0].Samples,8} {row.Cold[0],7:F1} {row.Cold[1],7:F1} {row.Median(0),7:F1} {row.Median(1),7:F1} {row.Ratio,6:F2}  {equality,-8} {text}");
    }
}
