using System.Globalization;
using Observe.Testkit;
using Xunit;

namespace Observe.EndToEnd.Tests;

/// <summary>The whole way through a real S3 server that checks signatures.</summary>
public sealed class S3Tests(S3Server server) : IClassFixture<S3Server>, IDisposable
{
    readonly string _folder = Checkout.NewFolder("s3-way");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Blocks_are_shipped_listed_verified_compacted_served_and_queried()
    {
        var s3 = await server.NewBucketAsync();
        var objstore = Objstore(s3.Bucket, S3Server.SecretKey);
        await using var exporter = await LedgerExporter.StartAsync(series: 20);
        var config = Path.Combine(_folder, "observe.yml");
        await File.WriteAllTextAsync(config,
            $"global: {{scrape_interval: 200ms, scrape_timeout: 200ms, external_labels: {{cluster: s3}}}}\nscrape_configs: [{{job_name: ledger, static_configs: [{{targets: ['{exporter.Address}']}}]}}]\n");
        await using (var collector = await ObserveProcess.StartAsync("collector",
            ["--config.file=" + config, "--data-dir=" + Path.Combine(_folder, "data"), objstore, "--storage.tsdb.min-block-duration=3s"]))
        {
            await Eventually.TrueAsync(() => Task.FromResult(exporter.Scrapes >= 50), TimeSpan.FromSeconds(60), "fifty scrapes");
            Assert.Equal(0, await collector.Process.StopAsync());
        }

        var (exitCode, listed) = await ObserveProcess.RunAsync("bucket", "ls", objstore);
        Assert.Equal(0, exitCode);
        Assert.True(listed.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length >= 2, listed);
        (exitCode, var verified) = await ObserveProcess.RunAsync("bucket", "verify", objstore);
        Assert.True(exitCode == 0, verified);
        (exitCode, var inspected) = await ObserveProcess.RunAsync("bucket", "inspect", objstore);
        Assert.True(exitCode == 0 && inspected.Contains("s3", StringComparison.Ordinal), inspected);

        await using var store = await ObserveProcess.StartAsync("store", [objstore, "--data-dir=" + Path.Combine(_folder, "store")]);
        await using var query = await ObserveProcess.StartAsync("query", ["--endpoint=" + store.GrpcAddress]);
        await Eventually.TrueAsync(async () => (await query.QueryAsync("count(last_over_time(ledger[1h]))")) is [(_, "20")], TimeSpan.FromSeconds(30), "all series through the store");
        var (metric, newest) = (await query.QueryAsync("max by (cluster) (last_over_time(ledger[1h]))"))[0];
        Assert.Equal("s3", (string?)metric["cluster"]);
        Assert.InRange(int.Parse(newest, CultureInfo.InvariantCulture), exporter.Scrapes - 1, exporter.Scrapes);

        // A scrape that took too long has no value; all others are there, the same for each series.
        var kept = (await query.QueryAsync("min(count_over_time(ledger[1h]))"))[0].Value;
        Assert.Equal(kept, (await query.QueryAsync("max(count_over_time(ledger[1h]))"))[0].Value);
        Assert.Equal(kept, (await query.QueryAsync("sum(sum_over_time(up[1h]))"))[0].Value);
        Assert.InRange(int.Parse(kept, CultureInfo.InvariantCulture), exporter.Scrapes / 2, exporter.Scrapes);
    }

    [Fact]
    public async Task A_wrong_secret_is_refused_with_a_clear_message()
    {
        var s3 = await server.NewBucketAsync();
        var (exitCode, text) = await ObserveProcess.RunAsync("bucket", "ls", Objstore(s3.Bucket, "wrong-secret"));
        Assert.Equal(1, exitCode);
        Assert.Contains("refused", text, StringComparison.Ordinal);
        Assert.Contains(S3Server.AccessKey, text, StringComparison.Ordinal);
        Assert.DoesNotContain("wrong-secret", text, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", text, StringComparison.Ordinal);
    }

    string Objstore(string bucket, string secret) =>
        $"--objstore.config={{type: S3, config: {{bucket: {bucket}, endpoint: '{server.Endpoint}', insecure: true, access_key: {S3Server.AccessKey}, secret_key: {secret}, bucket_lookup_type: path}}}}";
}
