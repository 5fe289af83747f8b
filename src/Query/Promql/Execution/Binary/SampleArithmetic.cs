using Observe.Query.Promql.Functions;
using Observe.Query.Promql.Parsing;
using Observe.Tsdb.Histograms;

namespace Observe.Query.Promql.Execution.Binary;

/// <summary>One operand of a binary operation at one step.</summary>
readonly record struct Operand(double Value, Histogram? Histogram)
{
    public static Operand Of(Column column, int step) => column.Presence[step] == Presence.Float
        ? new Operand(column.Values[step], null)
        : new Operand(0, column.Histogram(step));
}

/// <summary>What a binary operation between two samples gives.</summary>
/// <param name="Exists">False: the samples can't be combined, and there is no result, not even under bool.</param>
/// <param name="Keep">False: a comparison that does not hold.</param>
readonly record struct Combined(bool Exists, bool Keep, double Value, Histogram? Histogram);

/// <summary>Binary operations between samples.</summary>
static class SampleArithmetic
{
    public static bool IsComparison(Operator op) => op is >= Operator.Equal and <= Operator.LessOrEqual;

    public static bool IsSet(Operator op) => op is Operator.And or Operator.Or or Operator.Unless;

    /// <summary>The operation's result is no longer the metric, so that the metric's name is dropped.</summary>
    public static bool ChangesMeaning(Operator op) =>
        op is Operator.Add or Operator.Sub or Operator.Mul or Operator.Div or Operator.Mod or Operator.Pow or Operator.Atan2;

    /// <summary>Between scalars: a comparison gives 1 or 0.</summary>
    public static Func<double, double, double> OfScalars(Operator op) => op switch
    {
        Operator.Add => static (a, b) => a + b,
        Operator.Sub => static (a, b) => a - b,
        Operator.Mul => static (a, b) => a * b,
        Operator.Div => static (a, b) => a / b,
        Operator.Mod => static (a, b) => a % b,
        Operator.Pow => static (a, b) => GoMath.Pow(a, b),
        Operator.Atan2 => static (a, b) => GoMath.Atan2(a, b),
        Operator.Equal => static (a, b) => a == b ? 1 : 0,
        Operator.NotEqual => static (a, b) => a != b ? 1 : 0,
        Operator.Greater => static (a, b) => a > b ? 1 : 0,
        Operator.Less => static (a, b) => a < b ? 1 : 0,
        Operator.GreaterOrEqual => static (a, b) => a >= b ? 1 : 0,
        Operator.LessOrEqual => static (a, b) => a <= b ? 1 : 0,
        _ => throw new QueryException($"operator {Printer.NameOf(op)} between scalars is not supported yet"),
    };

    public static bool Compare(Operator op, double left, double right) => op switch
    {
        Operator.Equal => left == right,
        Operator.NotEqual => left != right,
        Operator.Greater => left > right,
        Operator.Less => left < right,
        Operator.GreaterOrEqual => left >= right,
        _ => left <= right,
    };

    public static double Compute(Operator op, double left, double right) => op switch
    {
        Operator.Add => left + right,
        Operator.Sub => left - right,
        Operator.Mul => left * right,
        Operator.Div => left / right,
        Operator.Mod => left % right,
        Operator.Pow => GoMath.Pow(left, right),
        _ => GoMath.Atan2(left, right),
    };

    public static Combined Combine(Operator op, in Operand left, in Operand right, AnnotationSite site)
    {
        if (left.Histogram is null && right.Histogram is null)
        {
            if (IsComparison(op))
            {
                return new Combined(true, Compare(op, left.Value, right.Value), left.Value, null);
            }

            return op is Operator.TrimLower or Operator.TrimUpper
                ? Incompatible(op, "float", "float", site)
                : new Combined(true, true, Compute(op, left.Value, right.Value), null);
        }

        if (left.Histogram is null)
        {
            return op == Operator.Mul
                ? Made(right.Histogram!.Copy().Mul(left.Value).Compact(0))
                : Incompatible(op, "float", "histogram", site);
        }

        if (right.Histogram is null)
        {
            return op switch
            {
                Operator.Mul => Made(left.Histogram.Copy().Mul(right.Value).Compact(0)),
                Operator.Div => Made(left.Histogram.Copy().Div(right.Value).Compact(0)),
                Operator.TrimUpper => Made(left.Histogram.Copy().TrimBuckets(right.Value, upper: true)),
                Operator.TrimLower => Made(left.Histogram.Copy().TrimBuckets(right.Value, upper: false)),
                _ => Incompatible(op, "histogram", "float", site),
            };
        }

        return op switch
        {
            Operator.Add or Operator.Sub => Sum(op, left.Histogram, right.Histogram, site),
            Operator.Equal => new Combined(true, left.Histogram.Equals(right.Histogram), 0, left.Histogram),
            Operator.NotEqual => new Combined(true, !left.Histogram.Equals(right.Histogram), 0, left.Histogram),
            _ => Incompatible(op, "histogram", "histogram", site),
        };
    }

    static Combined Sum(Operator op, Histogram left, Histogram right, AnnotationSite site)
    {
        var result = left.Copy();
        var outcome = op == Operator.Add ? result.Add(right) : result.Sub(right);
        if (outcome.HasFlag(HistogramOutcome.IncompatibleSchemas))
        {
            site.IncompatibleBucketLayout(Printer.NameOf(op));
            return default;
        }

        var operation = op == Operator.Add ? AnnotationTexts.Addition : AnnotationTexts.Subtraction;
        if (op == Operator.Sub)
        {
            result.CounterResetHint = CounterResetHint.Gauge;
        }

        if (outcome.HasFlag(HistogramOutcome.CounterResetCollision))
        {
            // As in Prometheus, which warns here and gives no result.
            site.CounterResetCollision(operation);
            return default;
        }

        if (outcome.HasFlag(HistogramOutcome.BoundsReconciled))
        {
            site.MismatchedCustomBuckets(operation);
        }

        return Made(result.Compact(0));
    }

    static Combined Made(Histogram histogram) => new(true, true, 0, histogram);

    static Combined Incompatible(Operator op, string left, string right, AnnotationSite site)
    {
        site.IncompatibleTypes(left, Printer.NameOf(op), right);
        return default;
    }
}
