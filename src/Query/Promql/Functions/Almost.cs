using Observe.Tsdb.Bytes;

namespace Observe.Query.Promql.Functions;

/// <summary>Equality of floats that were computed in different ways, as Prometheus judges it.</summary>
static class Almost
{
    const double SmallestNormal = 2.2250738585072014e-308;

    /// <summary>Within a part of their sum; any NaN equals any other but a staleness marker.</summary>
    public static bool Equal(double a, double b, double part)
    {
        if (StaleMarker.IsStale(a) || StaleMarker.IsStale(b))
        {
            return StaleMarker.IsStale(a) && StaleMarker.IsStale(b);
        }

        if (a == b || (double.IsNaN(a) && double.IsNaN(b)))
        {
            return true;
        }

        var (sum, difference) = (Math.Abs(a) + Math.Abs(b), Math.Abs(a - b));
        return a == 0 || b == 0 || sum < SmallestNormal
            ? difference < part * SmallestNormal
            : difference / Math.Min(sum, double.MaxValue) < part;
    }
}
