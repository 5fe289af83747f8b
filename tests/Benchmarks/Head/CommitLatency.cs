using System.Diagnostics;
using System.Globalization;
using Observe.Tsdb.Head;
using Observe.Tsdb.Ingest;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using MatchType = Observe.Tsdb.Model.MatchType;

namespace Observe.Benchmarks.Head;

/// <summary>
/// How long commits take while a reader selects everything in a loop: <c>dotnet run -c Release --project tests/Benchmarks -- commits [series] [seconds]</c>.
/// Commits of 1 000 samples, one every 20 ms, as the scrapes of 50 targets.
/// </summary>
static class CommitLatency
{
    const int PerCommit = 1_000;

    public static async Task RunAsync(string[] args)
    {
        var series = args.Length > 0 ? int.Parse(args[0], CultureInfo.InvariantCulture) : 300_000;
        var seconds = args.Length > 1 ? int.Parse(args[1], CultureInfo.InvariantCulture) : 15;
        var directory = Directory.CreateTempSubdirectory("observe-commits-").FullName;
        try
        {
            await using var head = await HeadBlock.OpenAsync(new HeadOptions { Directory = directory, Time = TimeProvider.System }, default);
            using var appender = head.Appender();
            var references = Enumerable.Range(0, series).Select(i => appender.GetOrAdd(Labels.Of(
                ("__name__", $"metric_{i % 1000}"), ("instance", $"10.0.{i / 256_000}.{i / 1000 % 256}:9100"), ("job", "node")))).ToArray();
            var time = 1_700_000_000_000;
            Commit(references);
            Report("idle", Measure());
            using var stop = new CancellationTokenSource();
            var selections = 0;
            var reader = Task.Run(async () =>
            {
                while (!stop.IsCancellationRequested)
                {
                    Matcher[] all = [new Matcher(MatchType.Regex, "__name__", ".+")];
                    await foreach (var _ in head.SelectAsync(new QueryContext().Select(new SelectHints { Range = TimeRange.All }, all)))
                    {
                    }

                    selections++;
                }
            });
            Report("beside a reader", Measure());
            await stop.CancelAsync();
            await reader;
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"selections of {series} series: {selections}"));

            List<double> Measure()
            {
                var taken = new List<double>();
                var start = Stopwatch.GetTimestamp();
                for (var i = 0; Stopwatch.GetElapsedTime(start).TotalSeconds < seconds; i++)
                {
                    var at = i * PerCommit % (series - PerCommit);
                    taken.Add(Commit(references.AsSpan(at, PerCommit)));
                    using var wait = new ManualResetEventSlim();
                    wait.Wait(20);
                }

                taken.Sort();
                return taken;
            }

            double Commit(ReadOnlySpan<SeriesRef> of)
            {
                time++;
                foreach (var reference in of)
                {
                    appender.Append(reference, time, time);
                }

                var start = Stopwatch.GetTimestamp();
                appender.Commit();
                return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
            }
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    static void Report(string what, List<double> taken) => Console.WriteLine(string.Create(
        CultureInfo.InvariantCulture,
        $"commits {what}: {taken.Count}, median {taken[taken.Count / 2]:F2} ms, 99 % {taken[taken.Count * 99 / 100]:F2} ms, worst {taken[^1]:F2} ms"));
}
