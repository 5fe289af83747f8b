using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Observe.Benchmarks.QueryBench;

namespace Observe.Benchmarks.MetadataBench;

/// <summary>
/// Searches for labels and series, asked of Prometheus and of Observe over the same blocks, in turns of both after passes over all of them.
/// The answers, warnings among them, have to be equal.
/// </summary>
static class MetadataComparison
{
    /// <summary>Of one request's runs of both servers together.</summary>
    static readonly TimeSpan s_share = TimeSpan.FromSeconds(4);

    const int WarmUpPasses = 2;

    sealed record Row(string Request, double[] Median, double[] Processor, int Items, string Equality)
    {
        public double Ratio => Median[1] / Median[0];
    }

    public static async Task<int> RunAsync(string[] arguments)
    {
        var options = new Dictionary<string, string>();
        for (var i = 0; i + 1 < arguments.Length; i += 2)
        {
            options[arguments[i]] = arguments[i + 1];
        }

        var observe = Path.GetFullPath(options.GetValueOrDefault("--observe", "artifacts/bin/Observe/release/observe"));
        var folder = Path.GetFullPath(options.GetValueOrDefault("--data", "artifacts/bench"));
        var runs = int.Parse(options.GetValueOrDefault("--runs", "9"), CultureInfo.InvariantCulture);
        var only = new Regex(options.GetValueOrDefault("--only", ""));
        var isEqual = true;
        foreach (var text in options.GetValueOrDefault("--series", "150000,1000000").Split(','))
        {
            var series = int.Parse(text, CultureInfo.InvariantCulture);
            isEqual &= await CompareAsync(observe, Path.Combine(folder, $"metadata-{series}"), series, runs, only);
        }

        return isEqual ? 0 : 1;
    }

    static async Task<bool> CompareAsync(string observe, string folder, int series, int runs, Regex only)
    {
        var blocks = new MetadataBlocks(folder, series);
        await blocks.MakeAsync();
        await using var prometheus = await PeerProcess.StartAsync(
            PeerProcess.Find("prometheus"), Path.Combine(folder, "prometheus.log"), "--config.file=/dev/null", $"--storage.tsdb.path={blocks.Prometheus}",
            "--storage.tsdb.retention.time=100y", "--storage.tsdb.min-block-duration=2h", "--storage.tsdb.max-block-duration=2h",
            "--web.listen-address=127.0.0.1:{port}");
        await using var own = await PeerProcess.StartAsync(
            observe, Path.Combine(folder, "observe.log"), "query", $"--objstore.config={blocks.ObjstoreConfig}", "--http-address=127.0.0.1:{port}",
            "--grpc-address=127.0.0.1:0", $"--data-dir={Path.Combine(folder, "observe")}");
        PeerProcess[] servers = [prometheus, own];
        var requests = MetadataRequests.All.Where(request => only.IsMatch(request)).ToList();
        for (var pass = 0; pass < WarmUpPasses; pass++)
        {
            foreach (var request in requests)
            {
                await servers[0].GetAsync("/api/v1/" + request);
                await servers[1].GetAsync("/api/v1/" + request);
            }
        }

        var rows = new List<Row>();
        Console.WriteLine($"{"items",8} {"P ms",8} {"O ms",8} {"ratio",6} {"P CPU",7} {"O CPU",7}  result   request ({series} series)");
        foreach (var request in requests)
        {
            var row = await MeasureAsync(servers, request, runs);
            rows.Add(row);
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{row.Items,8} {row.Median[0],8:F2} {row.Median[1],8:F2} {row.Ratio,6:F2} {row.Processor[0],7:F1} {row.Processor[1],7:F1}  "
                + $"{(row.Equality == "equal" ? "equal" : "differs"),-8} {Uri.UnescapeDataString(request)}"));
        }

        Console.WriteLine();
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{series} series: geometric mean of the ratios {Math.Exp(rows.Average(r => Math.Log(r.Ratio))):F3}; above 1.0: {rows.Count(r => r.Ratio > 1)} of {rows.Count}; "
            + $"equal {rows.Count(r => r.Equality == "equal")}; peak resident memory: Prometheus {prometheus.PeakMemory() >> 20} MiB, Observe {own.PeakMemory() >> 20} MiB; "
            + $"CPU: Prometheus {prometheus.ProcessorTime():F1} s, Observe {own.ProcessorTime():F1} s"));
        foreach (var row in rows.Where(r => r.Equality != "equal"))
        {
            Console.WriteLine($"{Uri.UnescapeDataString(row.Request)}: {row.Equality}");
        }

        Console.WriteLine();
        return rows.All(r => r.Equality == "equal");
    }

    static async Task<Row> MeasureAsync(PeerProcess[] servers, string request, int runs)
    {
        List<double>[] times = [[], []];
        double[] processor = [0, 0];
        var answers = new (string Warnings, List<string> Items)[2];
        var clock = Stopwatch.GetTimestamp();
        for (var run = 0; run <= runs && (run <= 3 || Stopwatch.GetElapsedTime(clock) < s_share); run++)
        {
            for (var s = 0; s < 2; s++)
            {
                var before = servers[s].ProcessorTime();
                var (milliseconds, answer) = await servers[s].GetAsync("/api/v1/" + request);
                if (run == 0)
                {
                    answers[s] = Parse(answer);
                    continue;
                }

                times[s].Add(milliseconds);
                processor[s] += servers[s].ProcessorTime() - before;
            }
        }

        var equality = Compare(answers[0], answers[1]);
        if (equality != "equal" && Regex.Match(request, "[?&]limit=[0-9]+") is { Success: true } limit)
        {
            // Which ones come within a limit is each server's choice.
            var (_, all) = await servers[0].GetAsync("/api/v1/" + request.Remove(limit.Index + 1, limit.Length - 1));
            var isSome = answers[0].Items.Count == answers[1].Items.Count && !answers[1].Items.Except(Parse(all).Items).Any();
            equality = isSome && answers[0].Warnings == answers[1].Warnings ? "equal" : equality;
        }

        return new Row(
            request,
            [.. times.Select(t => t.Order().ElementAt(t.Count / 2))],
            [.. processor.Select(seconds => 1000 * seconds / times[0].Count)],
            answers[0].Items.Count,
            equality);
    }

    static (string Warnings, List<string> Items) Parse(byte[] json)
    {
        using var document = JsonDocument.Parse(json);
        var root = document.RootElement;
        var warnings = root.TryGetProperty("warnings", out var texts) ? texts.GetRawText() : "";
        return root.TryGetProperty("data", out var data)
            ? (warnings, [.. data.EnumerateArray().Select(item => item.GetRawText())])
            : (root.GetProperty("error").GetString()!, []);
    }

    static string Compare((string Warnings, List<string> Items) a, (string Warnings, List<string> Items) b)
    {
        if (a.Warnings != b.Warnings)
        {
            return $"warnings {a.Warnings} and {b.Warnings}";
        }

        for (var i = 0; i < Math.Min(a.Items.Count, b.Items.Count); i++)
        {
            if (a.Items[i] != b.Items[i])
            {
                return $"item {i}: {a.Items[i]} and {b.Items[i]}";
            }
        }

        return a.Items.Count == b.Items.Count ? "equal" : $"{a.Items.Count} and {b.Items.Count} items";
    }
}
