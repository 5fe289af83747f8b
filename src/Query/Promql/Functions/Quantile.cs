namespace Observe.Query.Promql.Functions;

/// <summary>Quantiles of plain values.</summary>
static class Quantile
{
    /// <summary>
    /// The quantile interpolated between the two nearest ranks; changes the order of the values. NaN where there are no values; infinite
    /// for a quantile outside 0..1.
    /// </summary>
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

        double n = values.Length;
        var rank = quantile * (n - 1);
        var lower = Math.Max(0, Math.Floor(rank));
        var upper = Math.Min(n - 1, lower + 1);
        var weight = rank - Math.Floor(rank);
        var (low, high) = Ranks(values, (int)lower, (int)upper);
        return (low * (1 - weight)) + (high * weight);
    }

    /// <summary>The values of two neighbouring ranks, or of one rank twice; NaNs rank first.</summary>
    static (double Low, double High) Ranks(Span<double> values, int lower, int upper)
    {
        var nans = 0;
        for (var i = 0; i < values.Length; i++)
        {
            if (double.IsNaN(values[i]))
            {
                (values[i], values[nans]) = (values[nans], values[i]);
                nans++;
            }
        }

        var rest = values[nans..];
        if (lower >= nans)
        {
            Select(rest, lower - nans);
        }

        var low = values[lower];
        if (upper == lower || upper < nans)
        {
            return (low, values[upper]);
        }

        var high = double.PositiveInfinity;
        foreach (var value in values[Math.Max(upper, nans)..])
        {
            high = value < high ? value : high;
        }

        return (low, high);
    }

    /// <summary>Moves the value of a rank to its index, lesser values before it and greater values behind it; there are no NaNs.</summary>
    static void Select(Span<double> values, int rank)
    {
        var (first, last) = (0, values.Length - 1);
        for (var patience = 2 * System.Numerics.BitOperations.Log2((uint)values.Length | 1); first < last; patience--)
        {
            if (patience < 0)
            {
                // Too many pivots were bad.
                values[first..(last + 1)].Sort();
                return;
            }

            var pivot = Middle(values[first], values[(first + last) / 2], values[last]);
            var (i, j) = (first, last);
            while (i <= j)
            {
                while (values[i] < pivot)
                {
                    i++;
                }

                while (values[j] > pivot)
                {
                    j--;
                }

                if (i <= j)
                {
                    (values[i], values[j]) = (values[j], values[i]);
                    i++;
                    j--;
                }
            }

            if (rank > j && rank < i)
            {
                return;
            }

            (first, last) = rank <= j ? (first, j) : (i, last);
        }
    }

    static double Middle(double a, double b, double c) => Math.Max(Math.Min(a, b), Math.Min(Math.Max(a, b), c));
}
