using System.Globalization;
using Xunit;

namespace Observe.Query.Tests.Promql.Differential;

/// <summary>
/// Random queries on a real Prometheus and on this engine, over the same block. FUZZ_SEED and FUZZ_QUERIES make a campaign of it
/// (<c>make fuzz-promql</c>); FUZZ_QUERY asks given queries instead, apart by ;;.
/// </summary>
public class DifferentialTests(ITestOutputHelper output)
{
    /// <summary>Queries over one block; then there is a new one.</summary>
    const int Round = 10_000;

    [Fact]
    public async Task Random_queries_give_what_Prometheus_gives()
    {
        var (seed, count) = (Setting("FUZZ_SEED", 1), Setting("FUZZ_QUERIES", 1500));
        var given = Environment.GetEnvironmentVariable("FUZZ_QUERY")?.Split(";;");
        var failures = new List<string>();
        for (var (round, left) = (0, given?.Length ?? count); left > 0; round++, left -= Round)
        {
            var campaign = await Campaign.RunAsync(seed + round, Math.Min(left, Round), given);
            failures.AddRange(campaign.Failures);
            var report = string.Join('\n', [
                .. campaign.Failures,
                .. campaign.Known.Select(k => string.Create(CultureInfo.InvariantCulture, $"KNOWN {k.Value} × {k.Key}")),
                campaign.Summary,
            ]);
            output.WriteLine(report);
            if (Environment.GetEnvironmentVariable("FUZZ_LOG") is { } log)
            {
                await File.AppendAllTextAsync(log, report + "\n");
            }
        }

        Assert.Empty(failures);
    }

    static int Setting(string name, int standard) =>
        int.TryParse(Environment.GetEnvironmentVariable(name), CultureInfo.InvariantCulture, out var value) ? value : standard;
}
