namespace Observe.Query.Promql.Functions;

/// <summary>
/// The distances of samples to a window's bounds, and the factors that turn the increase between the samples into that of the whole window.
/// A target that is scraped at even intervals has the same geometry at most steps, so that it is computed once.
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
    /// <param name="before">From the range's start to the first sample; milliseconds, as the parameters that follow.</param>
    /// <param name="after">From the last sample to the range's end.</param>
    /// <param name="span">From the first sample to the last.</param>
    /// <param name="started">From the counter's start to the last sample; 0 where the counter did not start within the window.</param>
    public WindowGeometry(int count, long before, long after, long span, long started, long rangeMs)
    {
        (_count, _before, _after, _span, _started, _rangeMs) = (count, before, after, span, started, rangeMs);
        ToStart = before / 1000.0;
        ToEnd = after / 1000.0;
        Sampled = span / 1000.0;
        var average = count > 1 ? Sampled / (count - 1) : 0;

        // A bound is near when no further sample was to be expected before it. A series whose samples begin or end further away is taken to
        // begin or end half an interval beyond them.
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

    /// <summary>The factor for an increase over the window.</summary>
    public double Factor { get; }

    /// <summary>The factor for an increase a second.</summary>
    public double RateFactor { get; }

    /// <summary>Whether other samples have the same geometry.</summary>
    public bool Fits(int count, long before, long after, long span, long started, long rangeMs) =>
        count == _count && before == _before && after == _after && span == _span && started == _started && rangeMs == _rangeMs;

    /// <summary>The factor for the increase of a counter, which cannot have been below zero before its first sample.</summary>
    /// <param name="toZero">
    /// How many sampled intervals before the first sample a counter was zero; NaN where the samples are no counter's.
    /// </param>
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
