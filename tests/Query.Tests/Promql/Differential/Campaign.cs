using System.Collections.Concurrent;
using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Observe.Query.Promql;
using Observe.Query.Promql.Parsing;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Querying;

namespace Observe.Query.Tests.Promql.Differential;

/// <summary>Random queries over one random block, asked of Prometheus and of this engine. What differs is made small.</summary>
sealed class Campaign(Uri prometheus, IQuerier querier, int seed) : IDisposable
{
    const double Tolerance = 1e-12;
    const int Shrunk = 200;

    readonly HttpClient _client = new() { BaseAddress = prometheus };
    readonly PromqlEngine _engine = new(new EngineOptions { ExperimentalFunctions = true, DurationExpressions = true });
    readonly ConcurrentBag<string> _failures = [];
    int _shrinking;
    int _asked;
    int _inexact;
    int _errors;
    int _empty;
    int _undecided;

    /// <summary>Of differences that nothing explains: seed, number, small query, both answers.</summary>
    public IEnumerable<string> Failures => _failures.Order(StringComparer.Ordinal);

    /// <summary>How often each known difference showed.</summary>
    public ConcurrentDictionary<string, int> Known { get; } = new();

    public string Summary => string.Create(
        CultureInfo.InvariantCulture,
        $"seed {seed}: {_asked} queries ({_errors} errors, {_empty} empty): {_failures.Count} differ, {_inexact} within {Tolerance} only, {Known.Values.Sum()} known, {_undecided} undecided in Prometheus itself");

    /// <summary>A random block, a Prometheus on it, and queries.</summary>
    public static async Task<Campaign> RunAsync(int seed, int count, IReadOnlyList<string>? given = null)
    {
        var folder = Checkout.NewFolder("differential");
        try
        {
            var meta = new BlockMeta
            {
                Id = BlockId.New(DateTimeOffset.FromUnixTimeMilliseconds(RandomSeries.End), new Random(seed)),
                MinTime = RandomSeries.Start - (10 * 60_000),
                MaxTime = RandomSeries.End + 1,
            };
            await WrittenBlock.WriteAsync(folder, meta, RandomSeries.Make(new Random(seed)));
            await using var server = await PrometheusServer.StartAsync(folder, flags: "--enable-feature=promql-experimental-functions,promql-duration-expr");
            using var block = Block.Open(Path.Combine(folder, meta.Id.ToString()));
            using var campaign = new Campaign(server.Url, block, seed);
            await Parallel.ForAsync(0, given?.Count ?? count, new ParallelOptions { MaxDegreeOfParallelism = 3 }, (i, _) => campaign.CompareAsync(i, given?[i]));
            return campaign;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    public void Dispose()
    {
        _client.Dispose();
        _engine.Dispose();
    }

    async ValueTask CompareAsync(int number, string? given)
    {
        var random = new Random((seed * 1_000_003) + number);
        var tree = new RandomQueries(random).Next();
        if (given is not null)
        {
            tree = new QueryTree(ExprType.None, System.Runtime.CompilerServices.FormattableStringFactory.Create("{0}", given));
        }

        var times = Times.Random(random, isInstant: tree.Type == ExprType.Matrix || random.Next(3) == 0);
        var (expected, actual) = await AskAsync(tree, times);
        Interlocked.Increment(ref _asked);
        Interlocked.Add(ref _errors, expected.Error is null ? 0 : 1);
        Interlocked.Add(ref _empty, expected.Error is null && expected.Series.Count == 0 ? 1 : 0);
        if (actual.Difference(expected, Tolerance, isStrict: true) is { } difference)
        {
            await ExplainAsync(number, tree, times, expected, actual, difference);
            return;
        }

        Interlocked.Add(ref _inexact, actual.Difference(expected, 0) is null ? 0 : 1);
    }

    async Task ExplainAsync(int number, QueryTree tree, Times times, Answer expected, Answer actual, Difference difference)
    {
        if (await IsUndecidedAsync(tree, times, expected, actual, 60))
        {
            Interlocked.Increment(ref _undecided);
            return;
        }

        // A known difference of values explains no more than what is left of the query when it is small; notes are too many for that.
        var original = tree;
        if (difference.Kind == DifferenceKind.Notes && IsKnown(tree, times, difference))
        {
            return;
        }

        if (Interlocked.Increment(ref _shrinking) <= Shrunk)
        {
            (tree, times, difference) = await ShrinkAsync(tree, times, difference);
        }

        if (IsKnown(tree, times, difference))
        {
            return;
        }

        _failures.Add(string.Create(
            CultureInfo.InvariantCulture,
            $"seed {seed} query {number} [{times.Start} {times.End} {times.Step} {times.LookbackMs}]: {tree}\n    {difference.Kind}: {difference.Text}\n    was: {original}"));
    }

    bool IsKnown(QueryTree tree, Times times, Difference difference)
    {
        if (KnownDifference.ReasonOf(tree.ToString(), times.IsInstant, difference) is not { } reason)
        {
            return false;
        }

        Known.AddOrUpdate(reason, 1, (_, old) => old + 1);
        return true;
    }

    /// <summary>The smallest query, and if possible one time, at which the two differ in the same manner.</summary>
    async Task<(QueryTree Tree, Times Times, Difference Difference)> ShrinkAsync(QueryTree tree, Times times, Difference difference)
    {
        async Task<Difference?> DifferAsync(QueryTree tree, Times times)
        {
            var (expected, actual) = await AskAsync(tree, times);
            return actual.Difference(expected, Tolerance, isStrict: true) is { } found && found.Kind == difference.Kind
                && (found.Kind is not (DifferenceKind.Error or DifferenceKind.NoError) || Bare(found.Text) == Bare(difference.Text))
                && !await IsUndecidedAsync(tree, times, expected, actual, 10) ? found : null;
        }

        var budget = 400;
        for (var isSmaller = true; isSmaller && budget > 0;)
        {
            isSmaller = false;
            if (!times.IsInstant && difference.Time is { } time && await DifferAsync(tree, times with { Start = time, End = time }) is { } atOnce)
            {
                (times, difference, isSmaller) = (times with { Start = time, End = time }, atOnce, true);
            }

            foreach (var candidate in tree.Smaller())
            {
                if (budget-- > 0 && await DifferAsync(candidate, times) is { } found)
                {
                    (tree, difference, isSmaller) = (candidate, found, true);
                    break;
                }
            }
        }

        return (tree, times, difference);
    }

    /// <summary>Prometheus evaluates some expressions in the random order of a Go map: ties in topk fall this way or that, and sums round so or so.</summary>
    async Task<bool> IsUndecidedAsync(QueryTree tree, Times times, Answer expected, Answer actual, int tries)
    {
        var isStrict = actual.Difference(expected, Tolerance) is null;
        for (var i = 0; i < tries; i++)
        {
            var again = await AskPrometheusAsync(tree.ToString(), times);
            if (again.Difference(expected, Tolerance, isStrict) is not null || actual.Difference(again, Tolerance, isStrict) is null)
            {
                return true;
            }
        }

        return false;
    }

    async Task<(Answer Expected, Answer Actual)> AskAsync(QueryTree tree, Times times)
    {
        var query = tree.ToString();
        return (await AskPrometheusAsync(query, times), await AskEngineAsync(query, times));
    }

    async Task<Answer> AskPrometheusAsync(string query, Times times)
    {
        static string Seconds(long milliseconds) => (milliseconds / 1000.0).ToString(CultureInfo.InvariantCulture);
        var form = times.IsInstant
            ? new Dictionary<string, string> { ["query"] = query, ["time"] = Seconds(times.Start) }
            : new Dictionary<string, string> { ["query"] = query, ["start"] = Seconds(times.Start), ["end"] = Seconds(times.End), ["step"] = $"{times.Step}ms" };
        if (times.LookbackMs is { } lookback)
        {
            form["lookback_delta"] = $"{lookback}ms";
        }

        using var content = new FormUrlEncodedContent(form);
        using var response = await _client.PostAsync(new Uri(times.IsInstant ? "api/v1/query" : "api/v1/query_range", UriKind.Relative), content);
        using var json = await JsonDocument.ParseAsync(await response.Content.ReadAsStreamAsync());
        return Answer.Of(json.RootElement);
    }

    async Task<Answer> AskEngineAsync(string query, Times times)
    {
        try
        {
            using var result = times.IsInstant
                ? await _engine.InstantAsync(querier, new InstantQuery(query, times.Start) { LookbackMs = times.LookbackMs }, CancellationToken.None)
                : await _engine.RangeAsync(querier, new RangeQuery(query, times.Start, times.End, times.Step) { LookbackMs = times.LookbackMs }, CancellationToken.None);
            return Answer.Of(result);
        }
        catch (Exception e) when (e is ParseException or QueryException or LimitException)
        {
            return new Answer(e.Message, new(StringComparer.Ordinal), []);
        }
    }

    /// <summary>A text without what changes from query to query.</summary>
    static string Bare(string note) => Regex.Replace(Regex.Replace(Regex.Replace(note, " \\(\\d+:\\d+\\)", ""), "\"[^\"]*\"|\\{[^}]*\\}", "…"), "-?[0-9.]+(e[-+]?\\d+)?", "#");

    readonly record struct Times(long Start, long End, long Step)
    {
        static readonly long?[] s_lookbacks = [null, null, null, null, null, null, 15_000, 45_000, 3_600_000];

        public bool IsInstant => Start == End;

        public long? LookbackMs { get; init; }

        public static Times Random(Random random, bool isInstant)
        {
            var start = RandomSeries.Start + (random.Next(-60, 40 * 60) * 1000L) + (random.Next(3) == 0 ? random.Next(1000) : 0);
            var step = random.Next(8) switch { 0 => random.Next(1, 4000), 1 or 2 => random.Next(1, 20) * 7_001L, _ => random.Next(1, 20) * 15_000L };
            return new Times(start, isInstant ? start : start + (step * random.Next(1, 30)) + random.Next(2), step) { LookbackMs = s_lookbacks[random.Next(s_lookbacks.Length)] };
        }
    }
}
