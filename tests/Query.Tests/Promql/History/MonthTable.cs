using System.Globalization;
using System.Text;
using Observe.Query.Promql;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Query.Tests.Promql.History;

/// <summary>What a query's answer from downsampled windows has to be.</summary>
enum MonthClaim
{
    /// <summary>What raw samples give, wherever steps and windows begin and end with those of the data.</summary>
    Exact,

    /// <summary>What raw samples give but for what lies between a range's edge and the window's end there.</summary>
    Rate,

    /// <summary>From averages: close to what raw samples give, with no point missing.</summary>
    Average,

    /// <summary>From raw samples, or with a warning.</summary>
    Raw,
}

/// <param name="Text">With WINDOW in the place of a range selector's window; without it of an instant selector.</param>
sealed record MonthQuery(string Text, MonthClaim Claim)
{
    public bool HasWindow => Text.Contains("WINDOW", StringComparison.Ordinal);

    /// <summary>The series begin and end within the data, and within ranges.</summary>
    public bool EndsWithin => Text.Contains("job", StringComparison.Ordinal) || Text.Contains("done", StringComparison.Ordinal);

    /// <summary>The shortest range of a range selector; of a plain selector as long as anything.</summary>
    public long RangeMs(long windowMs) =>
        !HasWindow ? long.MaxValue : Text.Contains("[1h]", StringComparison.Ordinal) ? Math.Min(windowMs, 3_600_000) : windowMs;
}

/// <summary>How an answer differs from the truth.</summary>
/// <param name="Aligned">The largest error where step and window are multiples of the coarsest resolution, as a part of the series' mean.</param>
/// <param name="Any">The largest error at all.</param>
/// <param name="Missing">Points that the truth has and the answer has not, save those of a series' first window.</param>
/// <param name="FirstMissing">One of them.</param>
/// <param name="Extra">Points that the answer has beyond the truth.</param>
sealed record MonthRow(
    MonthQuery Query, string Store, long StepMs, long WindowMs, double Aligned, double Any, int Missing, string FirstMissing, int Extra, int Points,
    IReadOnlyList<string> Warnings, IReadOnlyList<string> Infos)
{
    public string Where => FormattableString.Invariant(
        $"{Query.Text.Replace("WINDOW", Duration.Format(WindowMs), StringComparison.Ordinal)} step {Duration.Format(StepMs)} from {Store}");
}

/// <summary>Asks every function, at several steps and over several windows, of what is left of a month, and holds it against the truth.</summary>
sealed class MonthTable(MonthBuckets month) : IDisposable
{
    public const long Minute = 60_000;
    public const long Hour = 60 * Minute;

    /// <summary>The functions of ranges and what stands around plain selectors.</summary>
    public static IReadOnlyList<MonthQuery> Queries { get; } =
    [
        new("count_over_time(temperature[WINDOW])", MonthClaim.Exact),
        new("count_over_time(requests_total[WINDOW])", MonthClaim.Exact),
        new("count_over_time(duration_seconds[WINDOW])", MonthClaim.Exact),
        new("sum_over_time(temperature[WINDOW])", MonthClaim.Exact),
        new("min_over_time(temperature[WINDOW])", MonthClaim.Exact),
        new("max_over_time(temperature[WINDOW])", MonthClaim.Exact),
        new("avg_over_time(temperature[WINDOW])", MonthClaim.Exact),
        new("present_over_time(temperature[WINDOW])", MonthClaim.Exact),
        new("absent_over_time(nothing[WINDOW])", MonthClaim.Exact),
        new("histogram_count(sum_over_time(duration_seconds[WINDOW]))", MonthClaim.Exact),
        new("histogram_sum(avg_over_time(duration_seconds[WINDOW]))", MonthClaim.Exact),
        new("histogram_quantile(0.9, sum_over_time(size_bytes[WINDOW]))", MonthClaim.Exact),
        new("sum_over_time(job_info[WINDOW])", MonthClaim.Exact),
        new("rate(steady_total[WINDOW])", MonthClaim.Rate),
        new("rate(requests_total[WINDOW])", MonthClaim.Rate),
        new("increase(requests_total[WINDOW])", MonthClaim.Rate),
        new("increase(done_total[WINDOW])", MonthClaim.Rate),
        new("histogram_quantile(0.9, rate(latency_seconds_bucket[WINDOW]))", MonthClaim.Rate),
        new("histogram_quantile(0.9, rate(duration_seconds[WINDOW]))", MonthClaim.Rate),
        new("histogram_count(rate(duration_seconds[WINDOW]))", MonthClaim.Rate),
        new("histogram_sum(increase(duration_seconds[WINDOW]))", MonthClaim.Rate),
        new("histogram_avg(rate(duration_seconds[WINDOW]))", MonthClaim.Rate),
        new("histogram_fraction(0, 0.5, rate(duration_seconds[WINDOW]))", MonthClaim.Rate),
        new("histogram_count(rate(size_bytes[WINDOW]))", MonthClaim.Rate),
        new("histogram_quantile(0.9, rate(size_bytes[WINDOW]))", MonthClaim.Rate),
        new("sum(rate(requests_total[WINDOW]))", MonthClaim.Rate),
        new("changes(queue[WINDOW])", MonthClaim.Raw),
        new("resets(requests_total[WINDOW])", MonthClaim.Raw),
        new("delta(temperature[WINDOW])", MonthClaim.Raw),
        new("idelta(temperature[WINDOW])", MonthClaim.Raw),
        new("irate(requests_total[WINDOW])", MonthClaim.Raw),
        new("deriv(temperature[WINDOW])", MonthClaim.Raw),
        new("predict_linear(temperature[WINDOW], 600)", MonthClaim.Raw),
        new("double_exponential_smoothing(temperature[WINDOW], 0.3, 0.3)", MonthClaim.Raw),
        new("stddev_over_time(temperature[WINDOW])", MonthClaim.Raw),
        new("stdvar_over_time(temperature[WINDOW])", MonthClaim.Raw),
        new("mad_over_time(temperature[WINDOW])", MonthClaim.Raw),
        new("quantile_over_time(0.9, temperature[WINDOW])", MonthClaim.Raw),
        new("first_over_time(temperature[WINDOW])", MonthClaim.Raw),
        new("last_over_time(temperature[WINDOW])", MonthClaim.Raw),
        new("ts_of_max_over_time(temperature[WINDOW])", MonthClaim.Raw),
        new("avg_over_time(temperature[WINDOW:5m])", MonthClaim.Average),
        new("max_over_time(rate(requests_total[1h])[WINDOW:30m])", MonthClaim.Average),
        new("temperature", MonthClaim.Average),
        new("max(temperature)", MonthClaim.Average),
        new("min(temperature)", MonthClaim.Average),
        new("sum(temperature)", MonthClaim.Average),
        new("avg by (cluster) (temperature)", MonthClaim.Average),
        new("count(temperature)", MonthClaim.Average),
        new("job_info", MonthClaim.Average),
        new("histogram_quantile(0.9, duration_seconds)", MonthClaim.Average),
        new("histogram_count(size_bytes)", MonthClaim.Average),
    ];

    readonly PromqlEngine _engine = new(new EngineOptions().WithAllFeatures());
    readonly Dictionary<(string, long), Dictionary<string, SortedDictionary<long, double>>> _truths = [];

    public void Dispose() => _engine.Dispose();

    /// <param name="points">Steps of a query; its middle is the edge of two blocks.</param>
    public async Task<MonthRow> AskAsync(MonthQuery query, string store, long resolutionMs, long stepMs, long windowMs, int points)
    {
        var text = query.Text.Replace("WINDOW", Duration.Format(windowMs), StringComparison.Ordinal);
        var (from, to) = Range(stepMs, windowMs, points);
        if (!_truths.TryGetValue((text, stepMs), out var truth))
        {
            _truths[(text, stepMs)] = truth = Points(await RangeAsync(month.Truth, text, from, to, stepMs, 0));
        }

        var answer = await RangeAsync(month[store], text, from, to, stepMs, maxResolutionMs: null);
        var found = Points(answer);
        var (aligned, any, missing, firstMissing, extra, count) = (0.0, 0.0, 0, "", 0, 0);
        foreach (var labels in truth.Keys.Union(found.Keys))
        {
            var expected = truth.GetValueOrDefault(labels) ?? [];
            var actual = found.GetValueOrDefault(labels) ?? [];
            var mean = expected.Values.Where(double.IsFinite).Select(Math.Abs).DefaultIfEmpty(1).Average();
            count += expected.Count;
            var late = expected.Keys.FirstOrDefault() + resolutionMs;
            foreach (var time in expected.Keys.Where(time => !actual.ContainsKey(time) && time >= late))
            {
                missing++;
                firstMissing = firstMissing.Length == 0 ? $"{labels} at {DateTimeOffset.FromUnixTimeMilliseconds(time):u}" : firstMissing;
            }

            extra += actual.Keys.Count(time => !expected.ContainsKey(time));
            foreach (var (time, value) in expected)
            {
                if (!actual.TryGetValue(time, out var given))
                {
                    continue;
                }

                var error = value.Equals(given) ? 0 : Math.Abs(given - value) / (mean > 0 ? mean : 1);
                error = double.IsNaN(error) ? double.PositiveInfinity : error;
                any = Math.Max(any, error);
                if (time % Hour == 0 && windowMs % Hour == 0)
                {
                    aligned = Math.Max(aligned, error);
                }
            }
        }

        return new MonthRow(query, store, stepMs, windowMs, aligned, any, missing, firstMissing, extra, count, answer.Warnings, answer.Infos);
    }

    /// <summary>The range of a query: around an edge of blocks, as far as data and a window before reach.</summary>
    (long From, long To) Range(long stepMs, long windowMs, int points)
    {
        var first = MonthBuckets.StartTime + windowMs + (6 * Hour);
        var grid = Math.Max(stepMs, Hour);
        var from = Math.Max(month.Edge - (points / 2 * stepMs), first) / grid * grid;
        return (from, Math.Min(from + ((points - 1) * stepMs), month.EndTime - (2 * Hour)));
    }

    public Task<QueryResult> RangeAsync(IQuerier querier, string query, long from, long to, long step, long? maxResolutionMs) =>
        _engine.RangeAsync(querier, new RangeQuery(query, from, to, step) { MaxResolutionMs = maxResolutionMs }, CancellationToken.None);

    static Dictionary<string, SortedDictionary<long, double>> Points(QueryResult result)
    {
        var points = new Dictionary<string, SortedDictionary<long, double>>();
        foreach (var series in result.Series)
        {
            var list = points[series.Labels.ToString()] = [];
            for (var i = 0; i < series.Timestamps.Length; i++)
            {
                list[series.Timestamps.Span[i]] = series.Values.Span[i];
            }
        }

        return points;
    }

    /// <summary>All rows, one a line, with tabs between the columns.</summary>
    public static string Lines(IEnumerable<MonthRow> rows)
    {
        var text = new StringBuilder("query\twindow\tstep\tfrom\terror aligned\terror\tmissing\textra\tpoints\twarnings\n");
        foreach (var row in rows)
        {
            text.AppendLine(CultureInfo.InvariantCulture,
                $"{row.Query.Text}\t{(row.Query.HasWindow ? Duration.Format(row.WindowMs) : "-")}\t{Duration.Format(row.StepMs)}\t{row.Store}\t{row.Aligned:G3}\t{row.Any:G3}\t{row.Missing}\t{row.Extra}\t{row.Points}\t{row.Warnings.Count}");
        }

        return text.ToString();
    }

    /// <summary>
    /// The rows as a table for people: of each query and range the largest error over all steps, where these are aligned and anywhere.
    /// </summary>
    public static string Digest(IReadOnlyList<MonthRow> rows)
    {
        var text = new StringBuilder();
        var windows = rows.Where(row => row.Query.HasWindow).Select(row => row.WindowMs).Distinct().Order().ToList();
        foreach (var store in rows.Select(row => row.Store).Distinct())
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"| from {store} | {string.Join(" | ", windows.Select(w => $"[{Duration.Format(w)}]"))} |");
            text.AppendLine($"|---|{string.Concat(windows.Select(_ => "---|"))}");
            foreach (var query in rows.Where(row => row.Store == store).GroupBy(row => row.Query))
            {
                var cells = windows.Select(window => query.Key.HasWindow
                    ? Cell([.. query.Where(row => row.WindowMs == window)]) : window == windows[0] ? Cell([.. query]) : "");
                text.AppendLine(CultureInfo.InvariantCulture, $"| `{query.Key.Text.Replace("[WINDOW", "[w", StringComparison.Ordinal)}` | {string.Join(" | ", cells)} |");
            }

            text.AppendLine();
        }

        return text.ToString();
    }

    static string Cell(IReadOnlyList<MonthRow> rows)
    {
        var missing = rows.Sum(row => row.Missing);
        var (aligned, any) = (Percent(rows.Max(row => row.Aligned)), Percent(rows.Max(row => row.Any)));
        var isAligned = rows[0].WindowMs % Hour == 0 && rows[0].Query.HasWindow;
        return rows[0].Query.Claim == MonthClaim.Raw && rows[0].Warnings.Count > 0 ? "warns"
            : (isAligned && aligned != any ? $"{aligned}, {any}" : any) + (missing > 0 ? $", {missing} missing" : "");
    }

    static string Percent(double error) => error <= 1e-9 ? "0"
        : error < 1e-4 ? "< 0.01 %" : (error * 100).ToString("G3", CultureInfo.InvariantCulture) + " %";
}
