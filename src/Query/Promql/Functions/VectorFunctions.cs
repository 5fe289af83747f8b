using Observe.Query.Promql.Parsing;
using Observe.Tsdb.Histograms;

namespace Observe.Query.Promql.Functions;

/// <summary>A function of one float, with scalar arguments at the same step.</summary>
delegate double FloatKernel(double value, ReadOnlySpan<double> arguments);

/// <summary>
/// Functions that make a float of each element of a vector: those over floats ignore histograms, those over histograms ignore floats.
/// </summary>
static class VectorFunctions
{
    static readonly Dictionary<FunctionId, FloatKernel> s_ofFloats = new()
    {
        [FunctionId.Abs] = static (v, _) => Math.Abs(v),
        [FunctionId.Acos] = static (v, _) => GoMath.Acos(v),
        [FunctionId.Acosh] = static (v, _) => GoMath.Acosh(v),
        [FunctionId.Asin] = static (v, _) => GoMath.Asin(v),
        [FunctionId.Asinh] = static (v, _) => GoMath.Asinh(v),
        [FunctionId.Atan] = static (v, _) => GoMath.Atan(v),
        [FunctionId.Atanh] = static (v, _) => GoMath.Atanh(v),
        [FunctionId.Ceil] = static (v, _) => Math.Ceiling(v),
        [FunctionId.Clamp] = static (v, a) => GoMath.Max(a[0], GoMath.Min(a[1], v)),
        [FunctionId.ClampMax] = static (v, a) => GoMath.Max(double.NegativeInfinity, GoMath.Min(a[0], v)),
        [FunctionId.ClampMin] = static (v, a) => GoMath.Max(a[0], GoMath.Min(double.PositiveInfinity, v)),
        [FunctionId.Cos] = static (v, _) => GoMath.Cos(v),
        [FunctionId.Cosh] = static (v, _) => GoMath.Cosh(v),
        [FunctionId.Deg] = static (v, _) => v * 180 / Math.PI,
        [FunctionId.Exp] = static (v, _) => GoMath.Exp(v),
        [FunctionId.Floor] = static (v, _) => Math.Floor(v),
        [FunctionId.Ln] = static (v, _) => GoMath.Log(v),
        [FunctionId.Log10] = static (v, _) => GoMath.Log10(v),
        [FunctionId.Log2] = static (v, _) => GoMath.Log2(v),
        [FunctionId.Rad] = static (v, _) => v * Math.PI / 180,
        [FunctionId.Round] = static (v, a) => Round(v, a.IsEmpty ? 1 : a[0]),
        [FunctionId.Sgn] = static (v, _) => v < 0 ? -1 : v > 0 ? 1 : v,
        [FunctionId.Sin] = static (v, _) => GoMath.Sin(v),
        [FunctionId.Sinh] = static (v, _) => GoMath.Sinh(v),
        [FunctionId.Sqrt] = static (v, _) => Math.Sqrt(v),
        [FunctionId.Tan] = static (v, _) => GoMath.Tan(v),
        [FunctionId.Tanh] = static (v, _) => GoMath.Tanh(v),
        [FunctionId.DayOfMonth] = static (v, _) => TimeFunctions.DayOfMonth(v),
        [FunctionId.DayOfWeek] = static (v, _) => TimeFunctions.DayOfWeek(v),
        [FunctionId.DayOfYear] = static (v, _) => TimeFunctions.DayOfYear(v),
        [FunctionId.DaysInMonth] = static (v, _) => TimeFunctions.DaysInMonth(v),
        [FunctionId.Hour] = static (v, _) => TimeFunctions.Hour(v),
        [FunctionId.Minute] = static (v, _) => TimeFunctions.Minute(v),
        [FunctionId.Month] = static (v, _) => TimeFunctions.Month(v),
        [FunctionId.Year] = static (v, _) => TimeFunctions.Year(v),
    };

    static readonly Dictionary<FunctionId, Func<Histogram, double>> s_ofHistograms = new()
    {
        [FunctionId.HistogramAvg] = static h => h.Sum / h.Count,
        [FunctionId.HistogramCount] = static h => h.Count,
        [FunctionId.HistogramStddev] = static h => Math.Sqrt(HistogramStatistics.Variance(h)),
        [FunctionId.HistogramStdvar] = HistogramStatistics.Variance,
        [FunctionId.HistogramSum] = static h => h.Sum,
    };

    public static FloatKernel? OfFloats(FunctionId id) => s_ofFloats.GetValueOrDefault(id);

    public static Func<Histogram, double>? OfHistograms(FunctionId id) => s_ofHistograms.GetValueOrDefault(id);

    // Ties are rounded up. Multiplying by the inverse rounds fewer values wrong than dividing does.
    static double Round(double value, double to)
    {
        var inverse = 1.0 / to;
        return Math.Floor((value * inverse) + 0.5) / inverse;
    }
}
