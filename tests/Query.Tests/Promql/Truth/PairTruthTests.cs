using System.Globalization;
using System.Text;
using Observe.Query.Promql;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;

namespace Observe.Query.Tests.Promql.Truth;

/// <summary>
/// Queries over replicas, held against the truth: one series that nobody had to deduplicate. So many as TRUTH_CASES says are asked, from
/// TRUTH_SEED on. In memory and as they lie in a bucket and in heads.
/// </summary>
public sealed class PairTruthTests(ITestOutputHelper output)
{
    const long Start = 1_700_000_000_000;
    const long End = Start + 3_600_000;
    const int QueriesOfSet = 50;
    const int StoredSets = 12;

    /// <summary>NAME is the series' name, WINDOW a window.</summary>
    static readonly string[] s_ofAll =
    [
        "NAME", "count_over_time(NAME[WINDOW])", "sum_over_time(NAME[WINDOW])", "avg_over_time(NAME[WINDOW])", "last_over_time(NAME[WINDOW])",
        "changes(NAME[WINDOW])", "present_over_time(NAME[WINDOW])",
    ];

    static readonly string[] s_ofFloats =
    [
        "delta(NAME[WINDOW])", "idelta(NAME[WINDOW])", "min_over_time(NAME[WINDOW])", "max_over_time(NAME[WINDOW])", "stddev_over_time(NAME[WINDOW])",
    ];

    /// <summary>What these give of a gauge means nothing, and who asks for them says that it is a counter.</summary>
    static readonly string[] s_ofCounters = ["rate(NAME[WINDOW])", "irate(NAME[WINDOW])", "increase(NAME[WINDOW])", "resets(NAME[WINDOW])"];

    static readonly string[] s_ofHistograms = ["histogram_quantile(0.9, rate(NAME[WINDOW]))", "histogram_quantile(0.5, NAME)"];

    [Fact]
    public async Task Replicas_answer_as_one_series_of_their_samples_without_doubles()
    {
        var cases = int.Parse(Environment.GetEnvironmentVariable("TRUTH_CASES") ?? "4000", CultureInfo.InvariantCulture);
        var seed = int.Parse(Environment.GetEnvironmentVariable("TRUTH_SEED") ?? "1", CultureInfo.InvariantCulture);
        using var campaign = new Campaign();
        for (; campaign.Asked < cases && campaign.Failures.Count < 20; seed++)
        {
            var random = new Random(seed);
            if (seed % 30 == 0)
            {
                ReplicaSet[] sets = [.. Enumerable.Range(0, StoredSets).Select(i => new ReplicaSet(random, Start, End, i))];
                await using var stored = await StoredReplicas.CreateAsync(sets, random, Start, End);
                foreach (var set in sets)
                {
                    await campaign.AskAsync($"seed {seed} stored", set, stored.Querier, stored.Union(set), stored.Edges, random, 2 * QueriesOfSet);
                }
            }
            else
            {
                var set = new ReplicaSet(random, Start, End, 0);
                var replicas = new DedupQuerier(new TruthQuerier(set.Replicas.SelectMany((r, i) => set.Series($"{i}", r))), ["replica"]);
                await campaign.AskAsync($"seed {seed}", set, replicas, ReplicaUnion.Of(set.Replicas), [], random, QueriesOfSet);
            }
        }

        output.WriteLine($"{campaign}; seeds up to {seed - 1}");
        Assert.True(campaign.Failures.Count == 0, string.Join('\n', campaign.Failures));
        campaign.AssertSound();
    }

    sealed class Campaign : IDisposable
    {
        readonly PromqlEngine _engine = new(new EngineOptions());
        int _sets;
        int _alone;
        int _otherUnions;

        public int Asked { get; private set; }

        public List<string> Failures { get; } = [];

        public void Dispose() => _engine.Dispose();

        public override string ToString() =>
            $"{Asked} queries over {_sets} sets of replicas, {_alone} of them where the first replica missed nothing; "
            + $"of {_otherUnions} sets the union is another one than the rules say word for word";

        public void AssertSound() => Assert.True(_alone > Asked / 50 && _otherUnions <= 1 + (_sets / 50), ToString());

        /// <summary>Asks of what a set's replicas are as one series, and of that one series.</summary>
        /// <param name="edges">Times at which blocks were cut before they were deduplicated.</param>
        /// <param name="union">By the rules, but for the one that a counter does not fall, which clocks that differ bring about.</param>
        public async Task AskAsync(string name, ReplicaSet set, IQuerier replicas, Scrape[] union, IReadOnlyList<long> edges, Random random, int queries)
        {
            _sets++;
            var read = await ReadAsync(replicas, set);
            var expected = set.Series("", union).ToList();
            foreach (var series in read)
            {
                if (UnionChecks.Fault(set, series, edges) is { } fault)
                {
                    Failures.Add($"{name}: {series.Labels}: {fault}");
                }
            }

            if (!(set.IsSkewed && set.IsCounter) && !expected.Zip(read).All(p => p.First.Times.SequenceEqual(p.Second.Times)))
            {
                _otherUnions++;
            }

            // What is given near a time depends on what lies near it alone, so that all that is read at once is what each part has to be.
            var one = new TruthQuerier(read);
            for (var i = 0; i < queries; i++)
            {
                var window = set.IntervalMs * random.Next(1, 40) / 2;
                var query = Query(set, random).Replace("NAME", set.Name, StringComparison.Ordinal)
                    .Replace("WINDOW", $"{window}ms", StringComparison.Ordinal);
                window = query.Contains('[', StringComparison.Ordinal) ? window : new EngineOptions().LookbackMs;
                var from = random.NextInt64(Start - 60_000, End + 60_000);
                var (to, step) = random.Next(2) == 0 ? (from, 0) : (from + random.NextInt64(1_800_000), random.NextInt64(1_000, 120_000));
                to = step == 0 ? to : to - ((to - from) % step);
                Asked++;
                using var truth = await RunAsync(one, query, from, to, step);
                using var answer = await RunAsync(replicas, query, from, to, step);
                if (!IsSame(truth, answer))
                {
                    var parts = await ReadAsync(replicas, set, new TimeRange(from - window, to));
                    Failures.Add(
                        $"{name}: {query} from {from - Start} to {to - Start} step {step}, interval {set.IntervalMs}\n  {Text(truth)}\n  {Text(answer)}\n"
                        + string.Join('\n', read.Zip(parts).Select(p => UnionChecks.Difference(set, p.First.Within(from - window, to), p.Second))));
                }

                // Where the first replica missed nothing, it alone is the truth.
                if (IsWhole(set, from - window, to, edges))
                {
                    _alone++;
                    var alone = set.Series("", set.Replicas[0]).First().Within(from - window, to);
                    if (read[0].Within(from - window, to) is var part && !part.Times.SequenceEqual(alone.Times))
                    {
                        Failures.Add(
                            $"{name}: the first replica missed nothing from {from - window - Start} to {to - Start}\n{UnionChecks.Difference(set, alone, part)}");
                    }
                }
            }
        }

        static string Query(ReplicaSet set, Random random)
        {
            string[] functions = set.Kind switch
            {
                TargetKind.Gauge => [.. s_ofAll, .. s_ofFloats],
                TargetKind.Counter => [.. s_ofAll, .. s_ofFloats, .. s_ofCounters, .. s_ofCounters],
                TargetKind.ClassicHistogram => ["histogram_quantile(0.9, sum by (le) (rate(NAME[WINDOW])))", "increase(NAME[WINDOW])", "sum(NAME)", "count_over_time(NAME[WINDOW])"],
                _ => [.. s_ofAll, .. s_ofCounters, .. s_ofHistograms],
            };
            var query = functions[random.Next(functions.Length)];
            return set.Kind == TargetKind.NativeHistogram && query is not ("count_over_time(NAME[WINDOW])" or "changes(NAME[WINDOW])"
                or "present_over_time(NAME[WINDOW])" or "resets(NAME[WINDOW])") && !query.StartsWith("histogram_", StringComparison.Ordinal)
                ? $"{(random.Next(2) == 0 ? "histogram_sum" : "histogram_count")}({query})"
                : query;
        }

        async Task<QueryResult> RunAsync(IQuerier querier, string query, long from, long to, long step) => step == 0
            ? await _engine.InstantAsync(querier, new InstantQuery(query, from), CancellationToken.None)
            : await _engine.RangeAsync(querier, new RangeQuery(query, from, to, step), CancellationToken.None);

        static async Task<List<TruthSeries>> ReadAsync(IQuerier querier, ReplicaSet set, TimeRange? range = null)
        {
            var (all, batch) = (new List<TruthSeries>(), new SampleBatch());
            var selection = new QueryContext().Select(
                new SelectHints { Range = range ?? TimeRange.All }, [new Matcher(Tsdb.Model.MatchType.Equal, "__name__", set.Name)]);
            await foreach (var series in querier.SelectAsync(selection))
            {
                var (times, values, histograms) = (new List<long>(), new List<double>(), new List<Tsdb.Histograms.Histogram>());
                using var samples = series.Samples();
                while (samples.Read(batch))
                {
                    times.AddRange(batch.Timestamps.AsSpan(0, batch.Count));
                    if (batch.Kind == SampleKind.Float)
                    {
                        values.AddRange(batch.Values.AsSpan(0, batch.Count));
                    }
                    else
                    {
                        histograms.AddRange(batch.Histograms.AsSpan(0, batch.Count));
                    }
                }

                all.Add(new TruthSeries(
                    series.Labels.Copy(), "", [.. times], set.Kind == TargetKind.NativeHistogram ? null : [.. values],
                    set.Kind == TargetKind.NativeHistogram ? [.. histograms] : null));
            }

            return all;
        }

        /// <summary>
        /// Whether the first replica missed nothing in a range, and kept its interval near; where another one keeps a shorter one, also that it
        /// was not restarted near, and that neither it nor a deduplicated block begins or ends there. A block that is shorter than its interval has
        /// perhaps nothing of it.
        /// </summary>
        static bool IsWhole(ReplicaSet set, long from, long to, IReadOnlyList<long> edges)
        {
            const long Near = 150_000;
            var (interval, isShortest) = (set.FirstIntervalMs, set.FirstIntervalMs == set.IntervalMs);
            var cuts = edges.Where(edge => edge > from - (2 * interval) && edge < to + (2 * interval)).Order().ToArray();
            if (cuts.Zip(cuts.Skip(1)).Any(p => p.Second - p.First < interval * 3 / 2))
            {
                return false;
            }

            var near = Array.FindAll(set.Replicas[0], s => s.Time >= from - Near - interval && s.Time <= to + Near + interval);
            return near.Length > 0 && (isShortest || !edges.Any(edge => edge > from - Near && edge < to + Near)) && !Array.Exists(near, s => s.IsStale)
                && near[0].Time <= (isShortest ? from : from - Near) && near[^1].Time >= (isShortest ? to : to + Near)
                && near.Zip(near.Skip(1), (a, b) => b.Time - a.Time).All(d => isShortest ? d <= interval * 7 / 5 : d > interval * 4 / 5 && d <= interval * 6 / 5);
        }

        static bool IsSame(QueryResult a, QueryResult b)
        {
            if (a.Series.Count != b.Series.Count)
            {
                return false;
            }

            for (var i = 0; i < a.Series.Count; i++)
            {
                var (x, y) = (a.Series[i], b.Series[i]);
                if (x.Labels != y.Labels || !x.Timestamps.Span.SequenceEqual(y.Timestamps.Span) || !x.Values.Span.SequenceEqual(y.Values.Span)
                    || x.HistogramTimestamps.Length + y.HistogramTimestamps.Length > 0)
                {
                    return false;
                }
            }

            return true;
        }

        static string Text(QueryResult result)
        {
            var text = new StringBuilder();
            foreach (var series in result.Series)
            {
                text.Append(series.Labels).Append(':');
                for (var i = 0; i < series.Values.Length; i++)
                {
                    text.Append(CultureInfo.InvariantCulture, $" {series.Timestamps.Span[i] - Start}:{series.Values.Span[i]:R}");
                }
            }

            return text.ToString();
        }
    }
}
