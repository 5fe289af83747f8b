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

    /// <param name="count">Samples, at least one.</param>
    /// <param name="before">From the range's start to the first; milliseconds, as all that follows.</param>
    /// <param name="after">From the last to the range's end.</param>
    /// <param name="span">From the first to the last.</param>
    /// <param name="started">From the counter's start within the window to the last; 0 where it did not start there.</param>
    public WindowGeometry(int count, long before, long after, long span, long started, long rangeMs)
    {
        (_count, _before, _after, _span, _started, _rangeMs) = (count, before, after, span, started, rangeMs);
        ToStart = before / 1000.0;
        ToEnd = after / 1000.0;
        Sampled = span / 1000.0;
        var average = count > 1 ? Sampled / (count - 1) : 0;

        // A bound is near when another sample could have been expected before it; a series that begins or ends further away
        // is taken to do so half an interval beyond its samples.
        var threshold = average * 1.1;
        if (started != 0)
        {
            ToStart = 0;
            Sampled = started / 1000.0;
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
        RateFactor = Factor / (rangeMs / 1000.0);
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
    public bool Fits(int count, long before, long after, long span, long started, long rangeMs) =>
        count == _count && before == _before && after == _after && span == _span && started == _started && rangeMs == _rangeMs;

    /// <summary>By how much an increase is to be multiplied, of a counter that cannot have been below zero.</summary>
    /// <param name="toZero">How many sampled intervals before the first sample a counter was zero; NaN where that does not matter.</param>
    public double FactorFrom(double toZero, bool isRate)
    {
        var durationToZero = Sampled * toZero;
        if (_started == 0 && durationToZero < ToStart)
        {
            var factor = Sampled == 0 ? 1 : (Sampled + durationToZero + ToEnd) / Sampled;
            return isRate ? factor / (_rangeMs / 1000.0) : factor;
        }

        return isRate ? RateFactor : Factor;
    }
}
