using System.Globalization;
using Observe.Query.Promql;
using Observe.Testkit;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;

namespace Observe.Query.Tests.Promql.Truth;

/// <summary>
/// Queries over pairs of replicas, held against the truth: one series that nobody had to deduplicate. So many as TRUTH_CASES says are asked,
/// from TRUTH_SEED on.
/// </summary>
public sealed class PairTruthTests(ITestOutputHelper output)
{
    const long Start = 1_700_000_000_000;
    const long End = Start + 3_600_000;
    const int QueriesOfPair = 40;

    /// <summary>Beyond the ends of a range so much is read, in milliseconds.</summary>
    const long Margin = 300_000;

    static readonly string[] s_overTime =
    [
        "delta", "idelta", "changes", "count_over_time", "sum_over_time", "avg_over_time", "min_over_time", "max_over_time", "last_over_time",
        "stddev_over_time", "present_over_time",
    ];

    /// <summary>What these give of a gauge means nothing, and who asks for them says that it is a counter.</summary>
    static readonly string[] s_ofCounters = ["rate", "irate", "increase", "resets"];

    [Fact]
    public async Task A_pair_answers_as_one_series_of_its_samples_without_doubles()
    {
        var cases = int.Parse(Environment.GetEnvironmentVariable("TRUTH_CASES") ?? "4000", CultureInfo.InvariantCulture);
        var seed = int.Parse(Environment.GetEnvironmentVariable("TRUTH_SEED") ?? "1", CultureInfo.InvariantCulture);
        using var engine = new PromqlEngine(new EngineOptions());
        var (asked, alone, silent, failures) = (0, 0, 0, new List<string>());
        for (; asked < cases && failures.Count < 20; seed++)
        {
            var random = new Random(seed);
            var functions = new List<string>(s_overTime);
            var pair = new ReplicaPair(random, Start, End);
            var (name, union) = (pair.IsCounter ? "m_total" : "m", pair.Union());
            functions.AddRange(pair.IsCounter ? s_ofCounters : []);
            var replicas = new DedupQuerier(
                new MemoryQuerier([Series(name, "a", pair.First), Series(name, "b", pair.Second)]), ["replica"]);
            var (one, first) = (new MemoryQuerier([Series(name, "", [.. union])]), new MemoryQuerier([Series(name, "", pair.First)]));
            for (var i = 0; i < QueriesOfPair && asked < cases; i++, asked++)
            {
                var (window, isPlain) = (pair.IntervalMs * random.Next(1, 40) / 2, random.Next(8) == 0);
                var selector = isPlain ? name : $"{functions[random.Next(functions.Count)]}({name}[{window}ms])";
                window = isPlain ? new EngineOptions().LookbackMs : window;
                var from = random.NextInt64(Start - 60_000, End + 60_000);
                var (to, step) = random.Next(2) == 0
                    ? (from, 0)
                    : (from + random.NextInt64(1_800_000), random.NextInt64(1_000, 120_000));
                to = step == 0 ? to : to - ((to - from) % step);
                var (expected, answer) = (await AskAsync(engine, one, selector, from, to, step), await AskAsync(engine, replicas, selector, from, to, step));
                if (expected != answer && IsSilent(pair, from - window, to))
                {
                    // Both end, or begin, within an interval and a half, and nothing near shows that the first one has left.
                    silent++;
                }
                else if (expected != answer)
                {
                    failures.Add(
                        $"seed {seed}: {selector} from {from - Start} to {to - Start} step {step}, interval {pair.IntervalMs}\n  {expected}\n  {answer}\n"
                        + await DifferenceAsync(replicas, new TimeRange(from - window, to), union, pair));
                }

                // Where the first replica missed nothing, it alone is the truth.
                if (IsWhole(pair, from - window, to) && ++alone > 0)
                {
                    Assert.Equal(await AskAsync(engine, first, selector, from, to, step), answer);
                }
            }
        }

        output.WriteLine($"{asked} queries, {alone} of them where the first replica missed nothing, {silent} differ where both were silent for five minutes; seeds up to {seed - 1}");
        Assert.True(failures.Count == 0, string.Join('\n', failures));
        Assert.True(alone > asked / 50 && silent <= 1 + (asked / 1_000));
    }

    /// <summary>Whether neither replica has anything for as long as is read beyond one of the ends.</summary>
    static bool IsSilent(ReplicaPair pair, long from, long to)
    {
        var times = pair.First.Concat(pair.Second).Select(s => s.Time).ToArray();
        var (last, first) = (times.Where(t => t <= to).DefaultIfEmpty(long.MinValue).Max(), times.Where(t => t >= from).DefaultIfEmpty(long.MaxValue).Min());
        return !Array.Exists(times, t => t > last && t <= to + Margin) || !Array.Exists(times, t => t < first && t >= from - Margin);
    }

    static bool IsWhole(ReplicaPair pair, long from, long to)
    {
        var around = pair.First.Where(s => s.Time >= from - (2 * pair.IntervalMs) && s.Time <= to + (2 * pair.IntervalMs)).ToArray();
        return around.Length > 0 && around[0].Time <= from && around[^1].Time >= to && !Array.Exists(around, ReplicaPair.IsStale)
            && around.Zip(around.Skip(1)).All(p => p.Second.Time - p.First.Time <= pair.IntervalMs * 3 / 2);
    }

    static TestSeries Series(string name, string replica, (long, double)[] samples) =>
        new(Labels.Of(("__name__", name)), samples) { External = Labels.Of(("replica", replica)) };

    /// <summary>Where the samples of a range first differ from what they should be.</summary>
    static async Task<string> DifferenceAsync(
        DedupQuerier replicas, TimeRange range, List<(long Time, double Value)> union, ReplicaPair pair)
    {
        await foreach (var series in replicas.SelectAsync(new QueryContext().Select(new SelectHints { Range = range }, [])))
        {
            var read = Samples.Floats(series.Samples());
            var expected = union.Where(s => range.Contains(s.Time)).ToList();
            var at = expected.Zip(read).TakeWhile(p => p.First.Time == p.Second.Timestamp).Count();
            var around = at < expected.Count ? expected[at].Time : at < read.Count ? read[at].Timestamp : range.MaxTime;
            return $"  expected {Near(expected)}\n  read     {Near(read)}\n  first    {Near(pair.First)}\n  second   {Near(pair.Second)}";

            string Near(IEnumerable<(long Time, double Value)> samples) => string.Join(
                ' ', samples.Where(s => Math.Abs(s.Time - around) < 5 * pair.IntervalMs).Select(s => $"{s.Time - Start}{(ReplicaPair.IsStale(s) ? "s" : "")}"));
        }

        return "  nothing was read";
    }

    static async Task<string> AskAsync(PromqlEngine engine, IQuerier querier, string query, long from, long to, long step)
    {
        var result = step == 0
            ? await engine.InstantAsync(querier, new InstantQuery(query, from), CancellationToken.None)
            : await engine.RangeAsync(querier, new RangeQuery(query, from, to, step), CancellationToken.None);
        return string.Join(
            "; ",
            result.Series.Select(s => $"{s.Labels}: " + string.Join(
                ' ', s.Timestamps.ToArray().Zip(s.Values.ToArray(), (t, v) => $"{t - Start}:{v.ToString("R", CultureInfo.InvariantCulture)}"))));
    }
}
