using System.Globalization;
using Observe.Query.Promql.Functions;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;

namespace Observe.Query.Promql.Scripts;

/// <summary>Compares a result with the one that a script expects, within upstream's tolerance; returns the difference, or null.</summary>
static class ResultComparison
{
    const double RelativeError = 0.000001;

    public static string? Compare(EvalCommand expected, QueryResult result) => result.Type switch
    {
        ResultType.Scalar => CompareScalar(expected, result.Scalar),
        ResultType.String => expected.Text == result.Text
            ? null
            : $"expected {(expected.Text is null ? "no string" : GoText.Quote(expected.Text))}, got the string {GoText.Quote(result.Text)}",
        ResultType.Vector => CompareVector(expected, [.. result.Series.Select(Point)]),
        _ => CompareMatrix(expected, result.Series),
    };

    public static string? CompareScalar(EvalCommand expected, double value) => expected.Scalar switch
    {
        null => $"expected series, got the scalar {GoText.FloatG(value)}",
        { } scalar when !AlmostEqual(scalar, value) => $"expected the scalar {GoText.FloatG(scalar)}, got {GoText.FloatG(value)}",
        _ => null,
    };

    public static string? CompareVector(EvalCommand expected, IReadOnlyList<(Labels Labels, double Value, Histogram? Histogram)> vector)
    {
        if (expected.Scalar is not null)
        {
            return $"expected the scalar {GoText.FloatG(expected.Scalar.Value)}, got a vector of {vector.Count}";
        }

        var seen = new HashSet<Labels>();
        for (var i = 0; i < vector.Count; i++)
        {
            var (labels, value, histogram) = vector[i];
            var got = histogram?.ToTestExpression() ?? GoText.FloatG(value);
            if (!expected.Series.TryGetValue(labels, out var series))
            {
                return $"unexpected series {labels} with value {got}";
            }

            if (expected.Expects(ExpectationKind.Ordered) && series.Position != i + 1)
            {
                return string.Create(
                    CultureInfo.InvariantCulture, $"expected {labels} at position {series.Position}, but it was at {i + 1}");
            }

            var wanted = series.Values.Count > 0 ? series.Values[0] : default;
            if (!Same(wanted, value, histogram))
            {
                return $"expected {wanted} for {labels}, got {got}";
            }

            if (!seen.Add(labels))
            {
                return $"{labels} is there twice";
            }
        }

        var missing = expected.InOrder.FirstOrDefault(s => !seen.Contains(s.Labels));
        return missing is null ? null : $"expected {missing.Labels} with {string.Join(' ', missing.Values)}, not found";
    }

    /// <summary>Unsorted series are a fault as well.</summary>
    public static string? CompareMatrix(EvalCommand expected, IReadOnlyList<ResultSeries> matrix)
    {
        if (expected.Expects(ExpectationKind.Ordered))
        {
            return "expected an ordered result, got a matrix";
        }

        if (expected.Scalar is not null)
        {
            return "expected a scalar, got a matrix";
        }

        if (Unsorted(matrix) is { } unsorted)
        {
            return unsorted;
        }

        var seen = new HashSet<Labels>();
        foreach (var series in matrix)
        {
            if (!expected.Series.TryGetValue(series.Labels, out var wanted))
            {
                return $"unexpected series {series.Labels}, has {Describe(series)}";
            }

            if (CompareSeries(expected, wanted, series) is { } fault)
            {
                return $"{fault} (result has {Describe(series)})";
            }

            seen.Add(series.Labels);
        }

        var missing = expected.InOrder.FirstOrDefault(s => !seen.Contains(s.Labels));
        return missing is null ? null : $"expected series {missing.Labels}, not found";
    }

    public static string? Unsorted(IReadOnlyList<ResultSeries> matrix)
    {
        for (var i = 1; i < matrix.Count; i++)
        {
            if (matrix[i - 1].Labels.CompareTo(matrix[i].Labels) > 0)
            {
                return $"series are not sorted: {matrix[i].Labels} comes after {matrix[i - 1].Labels}";
            }
        }

        return null;
    }

    static string? CompareSeries(EvalCommand expected, ExpectedSeries wanted, ResultSeries series)
    {
        var (floats, histograms) = (0, 0);
        for (var i = 0; i < wanted.Values.Count; i++)
        {
            var (value, time) = (wanted.Values[i], expected.StartMs + (i * expected.StepMs));
            if (time > expected.EndMs)
            {
                return $"expected {wanted.Values.Count} points for {wanted.Labels}, but the range has not that many";
            }

            if (value.Omitted)
            {
                continue;
            }

            var isFloat = value.Histogram is null;
            var times = isFloat ? series.Timestamps.Span : series.HistogramTimestamps.Span;
            var index = isFloat ? floats++ : histograms++;
            if (index >= times.Length || times[index] != time)
            {
                return string.Create(CultureInfo.InvariantCulture, $"expected {value} for {wanted.Labels} at {time}, not found");
            }

            var got = isFloat ? new SequenceValue(series.Values.Span[index]) : new SequenceValue(0, series.Histograms.Span[index]);
            if (!Same(value, got.Value, got.Histogram))
            {
                return string.Create(CultureInfo.InvariantCulture, $"expected {value} for {wanted.Labels} at {time}, got {got}");
            }
        }

        return floats == series.Timestamps.Length && histograms == series.HistogramTimestamps.Length
            ? null
            : $"expected {floats} floats and {histograms} histograms for {wanted.Labels}";
    }

    static (Labels Labels, double Value, Histogram? Histogram) Point(ResultSeries series) => series.Histograms.Length > 0
        ? (series.Labels, 0, series.Histograms.Span[0])
        : (series.Labels, series.Values.Span[0], null);

    static string Describe(ResultSeries series)
    {
        var points = new List<string>();
        for (var i = 0; i < series.Timestamps.Length; i++)
        {
            points.Add(
                string.Create(CultureInfo.InvariantCulture, $"{GoText.FloatG(series.Values.Span[i])} @[{series.Timestamps.Span[i]}]"));
        }

        for (var i = 0; i < series.HistogramTimestamps.Length; i++)
        {
            points.Add(string.Create(
                CultureInfo.InvariantCulture, $"{series.Histograms.Span[i].ToTestExpression()} @[{series.HistogramTimestamps.Span[i]}]"));
        }

        return string.Join(' ', points);
    }

    static bool Same(SequenceValue expected, double value, Histogram? histogram) => (expected.Histogram, histogram) switch
    {
        (null, null) => AlmostEqual(expected.Value, value),
        ({ } a, { } b) => Same(a.Copy().Compact(0), b.Copy().Compact(0)) && (!expected.HasHint || a.CounterResetHint == b.CounterResetHint),
        _ => false,
    };

    static bool Same(Histogram a, Histogram b) =>
        a.Schema == b.Schema && AlmostEqual(a.Count, b.Count) && AlmostEqual(a.Sum, b.Sum)
        && (!a.UsesCustomBuckets || (a.CustomValues ?? []).AsSpan().SequenceEqual(b.CustomValues ?? []))
        && a.ZeroThreshold == b.ZeroThreshold && AlmostEqual(a.ZeroCount, b.ZeroCount)
        && a.PositiveSpans.SequenceEqual(b.PositiveSpans) && AllAlmostEqual(a.PositiveBuckets, b.PositiveBuckets)
        && a.NegativeSpans.SequenceEqual(b.NegativeSpans) && AllAlmostEqual(a.NegativeBuckets, b.NegativeBuckets);

    static bool AllAlmostEqual(double[] a, double[] b) => a.Length == b.Length && a.Zip(b).All(p => AlmostEqual(p.First, p.Second));

    static bool AlmostEqual(double a, double b) => Almost.Equal(a, b, RelativeError);
}
