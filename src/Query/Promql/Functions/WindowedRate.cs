namespace Observe.Query.Promql.Functions;

/// <summary>
/// rate and increase where a range begins among downsampled windows. A counter's windows say what it had at their ends; what it had at the
/// range's bounds lies on the line between the ends next to them, also where the range is shorter than a window. So nothing is extrapolated,
/// save to the end of a range that ends among raw samples.
/// </summary>
static class WindowedRate
{
    /// <summary>False where the range has raw samples only; then nothing was done.</summary>
    public static bool TryGet(Window window, bool isRate, out Point point)
    {
        point = Point.None;
        if (!window.TryWiden())
        {
            return false;
        }

        window.Smoothed = true;
        if (window.Times.Length > 1 && window.HistogramTimes.IsEmpty)
        {
            point = ExtendedRate.OfFloats(window, isCounter: true, isRate);
        }
        else if (window.HistogramTimes.Length > 1 && window.Times.IsEmpty)
        {
            point = ExtendedRate.OfHistograms(window, isCounter: true, isRate);
        }

        if (point.Exists)
        {
            var factor = ToEnd(window, window.Times.IsEmpty ? window.HistogramTimes : window.Times);
            point = point.Histogram is null ? point.Value * factor : point.Histogram.Mul(factor);
        }

        window.Smoothed = false;
        window.Narrow();
        return true;
    }

    /// <summary>The factor for what the range has behind its last sample, where that is a raw one.</summary>
    static double ToEnd(Window window, ReadOnlySpan<long> times)
    {
        var (last, distance) = (times[^1], times[^1] - times[^2]);
        if (last >= window.RangeEnd || window.ResolutionAt(last) > 0)
        {
            return 1;
        }

        var span = (double)(last - Math.Max(times[0], window.RangeStart));
        var after = window.RangeEnd - last;
        return span <= 0 ? 1 : (span + (after < distance * 1.1 ? after : distance / 2.0)) / span;
    }
}
