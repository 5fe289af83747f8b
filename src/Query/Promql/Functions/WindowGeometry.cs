namespace Observe.Query.Promql.Functions;

/// <summary>
/// How samples lie in a window, and by how much the increase between them is to be multiplied so that it stands for the whole window. A
/// target that is scraped in step has the same geometry at most steps, so that it is computed once.
/// </summary>
readonly struct WindowGeometry
{
    readonly int _count;
    readonly long _before;
    readonly long _after;
    readonly long _span;
    readonly long _started;
    readonly long _rangeMs;

    /// <param name="times">Of the samples, at least one.</param>
    /// <param name="start">When the counter started within the window; 0 where it did not.</param>
    public WindowGeometry(Window window, ReadOnlySpan<long> times, long start)
    {
        var (firstTime, lastTime) = (times[0], times[^1]);
        (_count, _before, _after, _span) = (times.Length, firstTime - window.RangeStart, window.RangeEnd - lastTime, lastTime - firstTime);
        _started = start == 0 ? 0 : lastTime - start;
        _rangeMs = window.RangeMs;
        ToStart = _before / 1000.0;
        ToEnd = _after / 1000.0;
        Sampled = _span / 1000.0;
        var average = times.Length > 1 ? Sampled / (times.Length - 1) : 0;

        // A bound is near when another sample could have been expected before it; a series that begins or ends further away
        // is taken to do so half an interval beyond its samples.
        var threshold = average * 1.1;
        if (start != 0)
        {
            ToStart = 0;
            Sampled = _started / 1000.0;
        }
        else if (ToStart >= threshold)
        {
            ToStart = average / 2;
        }

        if (ToEnd >= threshold)
        {
            ToEnd = average / 2;
        }

        Factor = Sampled == 0 ? 1 : (Sampled + ToStart + ToEnd) / Sampled;
        RateFactor = Factor / (_rangeMs / 1000.0);
    }

    /// <summary>Seconds between the first sample, or the counter's start, and the last.</summary>
    public double Sampled { get; }

    /// <summary>Seconds to extrapolate before the first sample.</summary>
    public double ToStart { get; }

    /// <summary>Seconds to extrapolate after the last.</summary>
    public double ToEnd { get; }

    /// <summary>For an increase over the window.</summary>
    public double Factor { get; }

    /// <summary>For an increase a second.</summary>
    public double RateFactor { get; }

    /// <summary>Whether it is that of other samples too.</summary>
    public bool Fits(Window window, ReadOnlySpan<long> times, long start) =>
        times.Length == _count && times[0] - window.RangeStart == _before && window.RangeEnd - times[^1] == _after
        && times[^1] - times[0] == _span && (start == 0 ? 0 : times[^1] - start) == _started && window.RangeMs == _rangeMs;
}
