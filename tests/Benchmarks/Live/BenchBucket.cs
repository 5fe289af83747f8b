using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using Amazon.Runtime;
using Amazon.S3;
using Observe.Benchmarks.QueryBench;

namespace Observe.Benchmarks.Live;

/// <summary>A bucket of an S3 server that is started for it, or a folder.</summary>
sealed class BenchBucket : IAsyncDisposable
{
    const string Key = "observe-bench";

    readonly string? _script;
    readonly string _folder;

    BenchBucket(string? script, string folder, string name, string config) =>
        (_script, _folder, Name, Flag) = (script, folder, name, "--objstore.config=" + config);

    public string Name { get; }

    /// <summary>As the program takes it.</summary>
    public string Flag { get; }

    /// <param name="script">Starts and stops the server; "" for a folder.</param>
    public static async Task<BenchBucket> StartAsync(string script, string folder)
    {
        if (script.Length == 0)
        {
            return new BenchBucket(null, folder, "of a folder", $"{{type: FILESYSTEM, config: {{directory: \"{folder}/bucket\"}}}}");
        }

        var (path, state) = (Path.GetFullPath(script), Path.Combine(folder, "s3"));
        var port = PeerProcess.FreePort().ToString(CultureInfo.InvariantCulture);
        Directory.CreateDirectory(state);
        await ScriptAsync(path, "start", state, port, Key, Key);
        using var client = new AmazonS3Client(new BasicAWSCredentials(Key, Key), new AmazonS3Config
        {
            ServiceURL = "http://127.0.0.1:" + port,
            AuthenticationRegion = "us-east-1",
            ForcePathStyle = true,
            RequestChecksumCalculation = RequestChecksumCalculation.WHEN_REQUIRED,
            ResponseChecksumValidation = ResponseChecksumValidation.WHEN_REQUIRED,
        });
        await client.PutBucketAsync("bench");
        return new BenchBucket(
            path, state, "of an S3 server",
            $"{{type: S3, config: {{bucket: bench, endpoint: \"127.0.0.1:{port}\", insecure: true, access_key: {Key}, secret_key: {Key}, "
                + "bucket_lookup_type: path}}");
    }

    public async ValueTask DisposeAsync()
    {
        if (_script is not null)
        {
            await ScriptAsync(_script, "stop", _folder);
        }
    }

    static async Task ScriptAsync(string path, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo("/bin/bash", [path, .. arguments]))!;
        await process.WaitForExitAsync();
        if (process.ExitCode != 0)
        {
            throw new InvalidOperationException($"{path} {arguments[0]} failed");
        }
    }
}

/// <summary>Requests to a bucket by operation, as servers count them.</summary>
sealed partial record BucketRequests(IReadOnlyDictionary<string, double> Counts)
{
    public static async Task<BucketRequests> SumAsync(IEnumerable<PeerProcess> servers)
    {
        var counts = new SortedDictionary<string, double>();
        foreach (var server in servers)
        {
            foreach (Match match in Operations().Matches(await MetricsAsync(server)))
            {
                var operation = match.Groups[1].Value;
                counts[operation] =
                    counts.GetValueOrDefault(operation) + double.Parse(match.Groups[2].Value, CultureInfo.InvariantCulture);
            }
        }

        return new BucketRequests(counts);
    }

    public BucketRequests Less(BucketRequests before) =>
        new(Counts.ToDictionary(pair => pair.Key, pair => pair.Value - before.Counts.GetValueOrDefault(pair.Key)));

    public string PerMinute(int minutes) => string.Join(", ", Counts.Where(pair => pair.Value > 0).Select(
        pair => string.Create(CultureInfo.InvariantCulture, $"{pair.Key} {pair.Value / minutes:F1}")));

    static async Task<string> MetricsAsync(PeerProcess server) =>
        System.Text.Encoding.UTF8.GetString((await server.GetAsync("/metrics")).Answer);

    [GeneratedRegex("""^thanos_objstore_bucket_operations_total\{[^}]*operation="([^"]+)"[^}]*\} (\S+)""", RegexOptions.Multiline)]
    private static partial Regex Operations();
}

/// <summary>A <see cref="Scrape.ScrapeFarm"/> in a process of its own.</summary>
sealed class FarmProcess : IDisposable
{
    readonly Process _process;

    FarmProcess(Process process, int port) => (_process, Port) = (process, port);

    public int Port { get; }

    public static async Task<FarmProcess> StartAsync()
    {
        var process = Process.Start(new ProcessStartInfo(Environment.ProcessPath!, "farm") { RedirectStandardOutput = true })!;
        var line = (await process.StandardOutput.ReadLineAsync())!;
        return new FarmProcess(process, int.Parse(line.Split(' ')[1], CultureInfo.InvariantCulture));
    }

    public void Dispose()
    {
        _process.Kill();
        _process.Dispose();
    }
}
