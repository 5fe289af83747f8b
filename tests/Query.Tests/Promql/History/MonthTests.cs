using System.Diagnostics;
using System.Globalization;
using Observe.Testkit;
using Xunit;

namespace Observe.Query.Tests.Promql.History;

/// <summary>
/// What every function answers from what is left of some days of three clusters, held against one uninterrupted series of each target.
/// <c>make history</c> does it with a month.
/// </summary>
public sealed class MonthTests
{
    const long Minute = MonthTable.Minute;
    const long Hour = MonthTable.Hour;

    /// <summary>Rounding of sums, in another order than raw samples' are made.</summary>
    const double Rounding = 1e-9;

    /// <summary>
    /// Replicas scrape at other times by a third of an interval, which functions of time see where one fills the other's gap, deriv over
    /// five minutes most.
    /// </summary>
    const double Phases = 0.2;

    /// <summary>
    /// Milliseconds of scrapes that a range may lack: where the first replica returns at the second scrape of a collector's block, the block
    /// alone does not show that it was away, and the other's sample is left out. In two days that does not happen, in a month it does once.
    /// </summary>
    const double LostScrapes = 60_000;

    static readonly (string Name, long ResolutionMs)[] s_stores = [("all", 0), ("1h, raw", Hour), ("5m+1h", 5 * Minute), ("1h", Hour)];

    [Fact]
    public async Task Every_function_answers_from_what_is_left_of_history()
    {
        var days = int.Parse(Environment.GetEnvironmentVariable("HISTORY_DAYS") ?? "2", CultureInfo.InvariantCulture);
        var output = TestContext.Current.TestOutputHelper!;
        var clock = Stopwatch.StartNew();
        await using var month = await MonthBuckets.MakeAsync(days, seed: 1);
        output.WriteLine($"{days} days of three clusters, made in {clock.Elapsed.TotalSeconds:0} s");
        foreach (var (resolution, size) in month.Sizes.OrderBy(s => s.Key))
        {
            output.WriteLine($"{resolution} ms: {size.Blocks} blocks, {size.Samples} samples, {size.Bytes} bytes");
        }

        long[] steps = month.IsShort ? [Minute, Hour] : [Minute, 10 * Minute, Hour, 6 * Hour];
        long[] windows = month.IsShort ? [5 * Minute, Hour, 6 * Hour] : [5 * Minute, Hour, 6 * Hour, 24 * Hour];
        var points = month.IsShort ? 40 : 150;
        using var table = new MonthTable(month);
        var rows = new List<MonthRow>();
        var faults = new List<string>();
        foreach (var query in MonthTable.Queries)
        {
            foreach (var step in steps)
            {
                foreach (var window in query.HasWindow ? windows : [Hour])
                {
                    foreach (var (store, resolution) in s_stores)
                    {
                        var row = await table.AskAsync(query, store, resolution, step, window, points);
                        rows.Add(row);
                        faults.AddRange(Faults(row, resolution, month.IsShort ? Rounding : LostScrapes / row.WindowMs).Select(fault => $"{row.Where}: {fault}"));
                    }
                }
            }
        }

        output.WriteLine($"asked {rows.Count} queries, {clock.Elapsed.TotalSeconds:0} s in all");
        var file = Environment.GetEnvironmentVariable("HISTORY_TABLE") ?? Path.Combine(Checkout.Root, "artifacts", "history.tsv");
        await File.WriteAllTextAsync(file, MonthTable.Lines(rows));
        await File.WriteAllTextAsync(Path.ChangeExtension(file, ".md"), MonthTable.Digest(rows));
        Assert.True(faults.Count == 0, $"{faults.Count} faults:\n{string.Join('\n', faults.Take(100))}");
    }

    /// <summary>What is wrong in a row, of data whose finest resolution is this.</summary>
    static IEnumerable<string> Faults(MonthRow row, long resolutionMs, double rounding)
    {
        var isOfRaw = resolutionMs == 0 && row.Query.Claim == MonthClaim.Raw;
        if (isOfRaw && row.Any > Phases)
        {
            yield return $"an error of {row.Any:G3} where raw samples are";
        }

        if (row.Query.Claim == MonthClaim.Raw)
        {
            if (!isOfRaw && row.Warnings.Count == 0)
            {
                yield return "no warning that it needs raw samples";
            }

            yield break;
        }

        // The coarsest that may answer where finer data is there too.
        var used = Math.Max(resolutionMs, Math.Min(row.StepMs, row.WindowMs) >= 25 * Minute ? 5 * Minute : 0);
        if (row.Missing > 0)
        {
            yield return $"{row.Missing} of {row.Points} points are missing: {row.FirstMissing}";
        }

        if (row.Query.Claim == MonthClaim.Exact && row.Aligned > rounding)
        {
            yield return $"an error of {row.Aligned:G3} over aligned windows";
        }

        // What raw samples leave to extrapolation at both ends, which windows say.
        if (row.Query.Claim == MonthClaim.Rate && row.Aligned > (used == 0 ? Phases : (0.3 * used / row.WindowMs) + 0.01))
        {
            yield return $"an error of {row.Aligned:G3} over aligned windows";
        }
    }
}
