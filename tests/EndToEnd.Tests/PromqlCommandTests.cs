using Observe.Testkit;
using Xunit;

namespace Observe.EndToEnd.Tests;

public sealed class PromqlCommandTests : IDisposable
{
    readonly string _folder = Checkout.NewFolder("promql");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Warnings_and_infos_are_told_apart_and_times_may_have_a_space()
    {
        var bucket = Directory.CreateDirectory(Path.Combine(_folder, "bucket")).FullName;
        await using var server = await ObserveProcess.StartAsync(
            "query", ["--objstore.config={type: FILESYSTEM, config: {directory: " + bucket + "}}", "--data-dir=" + Path.Combine(_folder, "query")]);

        var lines = await AskAsync("--time=1970-01-01 01:01:00+01:00", """rate(label_replace(vector(1), "__name__", "heat", "", "")[1m:10s]) + quantile(2, vector(1))""");
        Assert.Contains(lines, line => line.StartsWith("warning: PromQL warning: quantile value should be between 0 and 1, got 2", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.StartsWith("info: PromQL info: metric might not be a counter", StringComparison.Ordinal));
        Assert.Equal("{} => +Inf @[60]", lines[^1]);
        Assert.Equal(["{} => 60 @[60]"], await AskAsync("--time=1970-01-01T00:01:00z", "vector(time())"));

        var (code, output) = await ObserveProcess.RunAsync("promql", "instant", "--url=" + server.Url, "--time=2025-09-12 17:00:00", "vector(1)");
        Assert.Equal(1, code);
        Assert.Contains("--time: \"2025-09-12 17:00:00\" has no zone (write 2025-09-12T17:00:00Z, or seconds since the epoch)", output, StringComparison.Ordinal);

        async Task<string[]> AskAsync(string time, string query)
        {
            var (exitCode, answer) = await ObserveProcess.RunAsync("promql", "instant", "--url=" + server.Url, time, query);
            Assert.True(exitCode == 0, answer);
            return answer.Trim().Split('\n');
        }
    }
}
