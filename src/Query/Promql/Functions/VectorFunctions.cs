using Observe.Tsdb.Histograms;

namespace Observe.Query.Promql.Functions;

/// <summary>A function of one float, with scalar arguments at the same step.</summary>
delegate double FloatKernel(double value, ReadOnlySpan<double> arguments);

/// <summary>Functions that make a float of each element of a vector: those over floats ignore histograms, those over histograms ignore floats.</summary>
static class VectorFunctions
{
    static readonly Dictionary<string, FloatKernel> s_ofFloats = new(StringComparer.Ordinal)
    {
        ["abs"] = static (v, _) => Math.Abs(v),
        ["acos"] = static (v, _) => GoMath.Acos(v),
        ["acosh"] = static (v, _) => GoMath.Acosh(v),
        ["asin"] = static (v, _) => GoMath.Asin(v),
        ["asinh"] = static (v, _) => GoMath.Asinh(v),
        ["atan"] = static (v, _) => GoMath.Atan(v),
        ["atanh"] = static (v, _) => GoMath.Atanh(v),
        ["ceil"] = static (v, _) => Math.Ceiling(v),
        ["clamp"] = static (v, a) => GoMath.Max(a[0], GoMath.Min(a[1], v)),
        ["clamp_max"] = static (v, a) => GoMath.Max(double.NegativeInfinity, GoMath.Min(a[0], v)),
        ["clamp_min"] = static (v, a) => GoMath.Max(a[0], GoMath.Min(double.PositiveInfinity, v)),
        ["cos"] = static (v, _) => GoMath.Cos(v),
        ["cosh"] = static (v, _) => GoMath.Cosh(v),
        ["deg"] = static (v, _) => v * 180 / Math.PI,
        ["exp"] = static (v, _) => GoMath.Exp(v),
        ["floor"] = static (v, _) => Math.Floor(v),
        ["ln"] = static (v, _) => GoMath.Log(v),
        ["log10"] = static (v, _) => GoMath.Log10(v),
        ["log2"] = static (v, _) => GoMath.Log2(v),
        ["rad"] = static (v, _) => v * Math.PI / 180,
        ["round"] = static (v, a) => Round(v, a.IsEmpty ? 1 : a[0]),
        ["sgn"] = static (v, _) => v < 0 ? -1 : v > 0 ? 1 : v,
        ["sin"] = static (v, _) => GoMath.Sin(v),
        ["sinh"] = static (v, _) => GoMath.Sinh(v),
        ["sqrt"] = static (v, _) => Math.Sqrt(v),
        ["tan"] = static (v, _) => GoMath.Tan(v),
        ["tanh"] = static (v, _) => GoMath.Tanh(v),
        ["day_of_month"] = static (v, _) => TimeFunctions.DayOfMonth(v),
        ["day_of_week"] = static (v, _) => TimeFunctions.DayOfWeek(v),
        ["day_of_year"] = static (v, _) => TimeFunctions.DayOfYear(v),
        ["days_in_month"] = static (v, _) => TimeFunctions.DaysInMonth(v),
        ["hour"] = static (v, _) => TimeFunctions.Hour(v),
        ["minute"] = static (v, _) => TimeFunctions.Minute(v),
        ["month"] = static (v, _) => TimeFunctions.Month(v),
        ["year"] = static (v, _) => TimeFunctions.Year(v),
    };

    static readonly Dictionary<string, Func<Histogram, double>> s_ofHistograms = new(StringComparer.Ordinal)
    {
        ["histogram_avg"] = static h => h.Sum / h.Count,
        ["histogram_count"] = static h => h.Count,
        ["histogram_stddev"] = static h => Math.Sqrt(HistogramStatistics.Variance(h)),
        ["histogram_stdvar"] = HistogramStatistics.Variance,
        ["histogram_sum"] = static h => h.Sum,
    };

    public static FloatKernel? OfFloats(string name) => s_ofFloats.GetValueOrDefault(name);

    public static Func<Histogram, double>? OfHistograms(string name) => s_ofHistograms.GetValueOrDefault(name);

    // Ties go up; by the inverse, as fewer values go wrong that way.
    static double Round(double value, double to)
    {
        var inverse = 1.0 / to;
        return Math.Floor((value * inverse) + 0.5) / inverse;
    }
}
