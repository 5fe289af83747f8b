using System.Globalization;
using Observe.Benchmarks.QueryBench;
using Observe.Benchmarks.Scrape;

namespace Observe.Benchmarks.Live;

/// <summary>
/// Live slices measured with the real program; collectors and query share nothing but a bucket. <c>bench-live [--cases
/// freshness,deaths,handover] [--collectors 1] [--minutes 10] [--deaths 50] [--cuts 100] [--interval 15s] [--scrape 1s]
/// [--observe PATH] [--data FOLDER] [--s3 SCRIPT]</c>. Without a script, the bucket is a folder.
/// </summary>
sealed class LiveRuns
{
    readonly Dictionary<string, string> _options = [];
    readonly string _observe;
    readonly string _folder;
    readonly TimeSpan _scrape;
    readonly TimeSpan _live;

    LiveRuns(string[] arguments)
    {
        for (var i = 0; i + 1 < arguments.Length; i += 2)
        {
            _options[arguments[i]] = arguments[i + 1];
        }

        _observe = Path.GetFullPath(Option("--observe", "artifacts/bin/Observe/release/observe"));
        _folder = Path.GetFullPath(Option("--data", "artifacts/bench-live"));
        (_scrape, _live) = (Span("--scrape", "1s"), Span("--interval", "15s"));
    }

    /// <summary>0 unless a sample was lost or doubled that must not be.</summary>
    public static async Task<int> RunAsync(string[] arguments)
    {
        var (runs, faults) = (new LiveRuns(arguments), 0);
        foreach (var name in runs.Option("--cases", "freshness,deaths,handover").Split(','))
        {
            if (Directory.Exists(runs._folder))
            {
                Directory.Delete(runs._folder, recursive: true);
            }

            Directory.CreateDirectory(runs._folder);
            await using var bucket = await BenchBucket.StartAsync(runs.Option("--s3", ""), runs._folder);
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"{name}: slices every {runs._live.TotalSeconds} s, bucket {bucket.Name}, load {Load()}"));
            faults += name switch
            {
                "freshness" => await runs.FreshnessAsync(bucket),
                "deaths" => await runs.DeathsAsync(bucket),
                "handover" => await runs.HandOverAsync(bucket),
                _ => throw new ArgumentException($"there is no case {name}"),
            };
            Console.WriteLine($"load {Load()} at the end");
        }

        return faults == 0 ? 0 : 1;
    }

    /// <summary>How old each sample is when a query finds it first, and what it takes in requests.</summary>
    async Task<int> FreshnessAsync(BenchBucket bucket)
    {
        using var farm = await FarmProcess.StartAsync();
        var collectors = new List<(string Name, PeerProcess Server)>();
        for (var i = 0; i < Number("--collectors", "1"); i++)
        {
            collectors.Add(($"n{i}", await CollectorAsync(bucket, farm, i)));
        }

        await using var query = await QueryAsync(bucket);
        var reader = new SeenSamples(query, keep: 4 * _live);
        await reader.FollowAsync(TimeSpan.FromSeconds(3 * _live.TotalSeconds), default);
        var began = TimeProvider.System.GetUtcNow();
        var before = await BucketRequests.SumAsync([.. collectors.Select(one => one.Server), query]);
        var minutes = Number("--minutes", "10");
        await reader.FollowAsync(TimeSpan.FromMinutes(minutes), default);
        var ended = TimeProvider.System.GetUtcNow();
        var requests = (await BucketRequests.SumAsync([.. collectors.Select(one => one.Server), query])).Less(before);

        // What was scraped last is found later, or never.
        await reader.FollowAsync(4 * _live, default);
        var (ages, missing) = (new List<double>(), 0);
        foreach (var collector in collectors)
        {
            var own = new SeenSamples(collector.Server, keep: default, collector.Name);
            foreach (var sample in (await own.ReadAsync(ended, ended - began)).Keys)
            {
                if (reader.AgeOf(sample) is { } age)
                {
                    ages.Add(age);
                }
                else
                {
                    missing++;
                }
            }

            await collector.Server.DisposeAsync();
        }

        Console.WriteLine(
            $"  queryable after its scrape, of {ages.Count} samples of {collectors.Count} collectors: {Quantiles(ages)} s; "
            + $"{missing} not found");
        Console.WriteLine($"  requests a minute, collectors and query together: {requests.PerMinute(minutes)}");
        return missing;
    }

    /// <summary>Collectors die with their folders at random moments and start again: what was scraped and is nowhere.</summary>
    async Task<int> DeathsAsync(BenchBucket bucket)
    {
        using var farm = await FarmProcess.StartAsync();
        await using var query = await QueryAsync(bucket);
        var reader = new SeenSamples(query, keep: TimeSpan.FromMinutes(15));
        var (count, deaths) = (Number("--collectors", "1"), Number("--deaths", "50"));
        var kills = new List<(string Collector, long Time)>[count];
        using var ended = new CancellationTokenSource();
        var following = reader.FollowAsync(Timeout.InfiniteTimeSpan, ended.Token);
        await Task.WhenAll(Enumerable.Range(0, count).Select(async i =>
        {
            var random = new Random(i);
            kills[i] = [];
            for (var death = 0; death < (deaths + count - 1 - i) / count; death++)
            {
                await using (await CollectorAsync(bucket, farm, i))
                {
                    await Task.Delay(_live + (random.NextDouble() * 2 * _live));
                    kills[i].Add(($"n{i}", TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds()));
                }

                Directory.Delete(Path.Combine(_folder, $"n{i}"), recursive: true);
            }

            await using var last = await CollectorAsync(bucket, farm, i);
            await Task.Delay(4 * _live);
        }));
        await ended.CancelAsync();
        await following;
        var lost = kills.SelectMany(one => one)
            .Select(kill => (kill.Time - reader.NewestBefore(kill.Collector, kill.Time)) / 1000.0).ToList();
        var most = (_live + _scrape).TotalSeconds + 2;
        var over = lost.Count(seconds => seconds > most);
        Console.WriteLine(
            $"  lost at each of {lost.Count} deaths: {Quantiles(lost)} s; "
            + $"{over} of them lost more than {most} s (interval, scrape and a write)");
        return over;
    }

    /// <summary>Blocks are cut often: all samples that the collector had are found, each once, whether slice or block has them.</summary>
    async Task<int> HandOverAsync(BenchBucket bucket)
    {
        using var farm = await FarmProcess.StartAsync();
        var (range, cuts) = (TimeSpan.FromSeconds(20), Number("--cuts", "100"));
        await using var collector = await CollectorAsync(
            bucket, farm, 0, $"--storage.tsdb.min-block-duration={Seconds(range)}", "--storage.tsdb.retention.time=30d");
        await using var query = await QueryAsync(bucket);
        var (own, reader) = (new SeenSamples(collector, 4 * range, "n0"), new SeenSamples(query, 4 * range));
        var (checkedSamples, missing, doubled) = (0L, 0L, 0L);
        var until = TimeProvider.System.GetUtcNow() + (range * (cuts + 2));
        while (TimeProvider.System.GetUtcNow() < until)
        {
            // What was scraped more than two intervals ago must be there at any moment, and stay.
            var (to, span) = (TimeProvider.System.GetUtcNow() - (2 * _live) - _scrape, 5 * range);
            var has = await own.ReadAsync(to, span);
            var found = await reader.ReadAsync(to, span);
            checkedSamples += has.Count;
            missing += has.Keys.Count(sample => !found.ContainsKey(sample));
            doubled += found.Values.Count(times => times > 1) + found.Keys.Count(sample => !has.ContainsKey(sample));
            await Task.Delay(TimeSpan.FromSeconds(2));
        }

        Console.WriteLine($"  {checkedSamples} samples compared over {cuts} cuts, {missing} lost, {doubled} doubled");
        return (int)Math.Min(int.MaxValue, missing + doubled);
    }

    async Task<PeerProcess> CollectorAsync(BenchBucket bucket, FarmProcess farm, int number, params string[] flags)
    {
        var config = Path.Combine(_folder, $"n{number}.yml");
        await File.WriteAllTextAsync(
            config,
            $"global: {{scrape_interval: {Seconds(_scrape)}, scrape_timeout: {Seconds(_scrape)}, "
            + $"external_labels: {{cluster: bench, collector: n{number}}}}}\n"
            + $"scrape_configs: [{{job_name: farm, static_configs: [{{targets: ['{ScrapeFarm.Target(number, farm.Port)}']}}]}}]\n");
        return await PeerProcess.StartAsync(
            _observe, Path.Combine(_folder, $"n{number}.log"), TimeSpan.FromMinutes(3),
            [
                "collector", "--http-address=127.0.0.1:{port}", "--grpc-address=127.0.0.1:0", $"--config.file={config}",
                $"--data-dir={_folder}/n{number}", $"--collector.name=n{number}", $"--live.interval={Seconds(_live)}",
                bucket.Flag, .. flags,
            ]);
    }

    Task<PeerProcess> QueryAsync(BenchBucket bucket) => PeerProcess.StartAsync(
        _observe, Path.Combine(_folder, "query.log"), TimeSpan.FromMinutes(3),
        ["query", "--http-address=127.0.0.1:{port}", "--grpc-address=127.0.0.1:0", $"--data-dir={_folder}/query", bucket.Flag]);

    static string Quantiles(IReadOnlyCollection<double> values)
    {
        var sorted = values.Order().ToArray();
        return sorted.Length == 0 ? "none" : string.Create(
            CultureInfo.InvariantCulture,
            $"p50 {sorted[sorted.Length / 2]:F1}, p99 {sorted[(int)(sorted.Length * 0.99)]:F1}, max {sorted[^1]:F1}");
    }

    static string Load() => File.ReadAllText("/proc/loadavg").Split(' ')[0];

    static string Seconds(TimeSpan span) => string.Create(CultureInfo.InvariantCulture, $"{span.TotalMilliseconds:F0}ms");

    string Option(string name, string usual) => _options.GetValueOrDefault(name, usual);

    int Number(string name, string usual) => int.Parse(Option(name, usual), CultureInfo.InvariantCulture);

    TimeSpan Span(string name, string usual) =>
        TimeSpan.FromSeconds(double.Parse(Option(name, usual).TrimEnd('s'), CultureInfo.InvariantCulture));
}
