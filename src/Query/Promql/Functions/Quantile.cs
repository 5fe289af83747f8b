namespace Observe.Query.Promql.Functions;

/// <summary>Quantiles of plain values.</summary>
static class Quantile
{
    /// <summary>Between the two nearest ranks by weight; sorts the values. NaN for none of them; infinite for a quantile outside 0..1.</summary>
    public static double Of(double quantile, Span<double> values)
    {
        if (values.IsEmpty || double.IsNaN(quantile))
        {
            return double.NaN;
        }

        if (quantile < 0)
        {
            return double.NegativeInfinity;
        }

        if (quantile > 1)
        {
            return double.PositiveInfinity;
        }

        values.Sort();
        double n = values.Length;
        var rank = quantile * (n - 1);
        var lower = Math.Max(0, Math.Floor(rank));
        var upper = Math.Min(n - 1, lower + 1);
        var weight = rank - Math.Floor(rank);
        return (values[(int)lower] * (1 - weight)) + (values[(int)upper] * weight);
    }
}
