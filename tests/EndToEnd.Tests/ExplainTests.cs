using System.Text.RegularExpressions;
using Observe.Testkit;
using Xunit;

namespace Observe.EndToEnd.Tests;

public sealed class ExplainTests : IDisposable
{
    readonly string _folder = Checkout.NewFolder("explain");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("instant", "1", "--time=60")]
    [InlineData("range", "3", "--start=60", "--end=180", "--step=1m")]
    public async Task The_plan_is_printed_as_a_tree_with_what_each_operator_did(string command, string steps, params string[] times)
    {
        var bucket = Directory.CreateDirectory(Path.Combine(_folder, "bucket")).FullName;
        await using var server = await ObserveProcess.StartAsync(
            "query", ["--objstore.config={type: FILESYSTEM, config: {directory: " + bucket + "}}", "--data-dir=" + Path.Combine(_folder, "query")]);

        var (code, output) = await ObserveProcess.RunAsync(
            ["promql", command, "--url=" + server.Url, "--explain", .. times, "sum by (a) (vector(time()) or rate(x[5m])) - vector(1)"]);

        Assert.True(code == 0, output);
        var lines = output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
            .SkipWhile(line => !line.StartsWith("OPERATOR", StringComparison.Ordinal)).Select(line => Regex.Replace(line, " +", " ")).ToList();
        Assert.Equal("OPERATOR STEPS SERIES SAMPLES TIME BYTES", lines[0]);
        string[] operators = ["Sub OneToOne ignoring ()", "├─ Sum by (\"a\")", "│ └─ Or ManyToMany ignoring ()", "│ ├─ vector", "│ └─ rate(", "└─ once"];
        foreach (var text in operators)
        {
            var line = Assert.Single(lines, line => line.StartsWith(text, StringComparison.Ordinal));
            Assert.Matches($@" {steps} \d+ [\d,]+ [\d.]+ m?s [\d.]+ (B|KiB|MiB)$", line);
        }

        Assert.Equal("│ reads raw samples", lines[1 + lines.FindIndex(line => line.Contains("rate(", StringComparison.Ordinal))]);
    }

    /// <summary>JSON that is nested deeper than readers take by default.</summary>
    [Fact]
    public async Task A_deep_plan_is_printed()
    {
        var bucket = Directory.CreateDirectory(Path.Combine(_folder, "bucket")).FullName;
        await using var server = await ObserveProcess.StartAsync(
            "query", ["--objstore.config={type: FILESYSTEM, config: {directory: " + bucket + "}}", "--data-dir=" + Path.Combine(_folder, "query")]);
        var chain = string.Join(" + ", Enumerable.Repeat("vector(time())", 400));
        var (code, output) = await ObserveProcess.RunAsync(["promql", "instant", "--url=" + server.Url, "--time=60", "--explain", chain]);
        Assert.True(code == 0, output);
        Assert.StartsWith("{} => 24000 @[60]", output, StringComparison.Ordinal);
        Assert.Equal(399, output.Split('\n').Count(line => line.Contains("Add OneToOne", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Without_the_flag_there_is_no_plan()
    {
        var bucket = Directory.CreateDirectory(Path.Combine(_folder, "bucket")).FullName;
        await using var server = await ObserveProcess.StartAsync(
            "query", ["--objstore.config={type: FILESYSTEM, config: {directory: " + bucket + "}}", "--data-dir=" + Path.Combine(_folder, "query")]);
        var (code, output) = await ObserveProcess.RunAsync(["promql", "instant", "--url=" + server.Url, "--time=60", "vector(1)"]);
        Assert.Equal((0, "{} => 1 @[60]"), (code, output.Trim()));
    }
}
