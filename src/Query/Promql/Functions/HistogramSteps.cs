using Observe.Tsdb.Histograms;

namespace Observe.Query.Promql.Functions;

/// <summary>Arithmetic of histograms that reports incompatible histograms as annotations.</summary>
static class HistogramSteps
{
    /// <summary>Adds another histogram to one; false, with a warning, where the two can't be combined.</summary>
    public static bool TryAdd(Histogram histogram, Histogram other, AnnotationSite site, string metricName) =>
        Report(histogram.Add(other), AnnotationTexts.Addition, site, metricName);

    public static bool TrySubtract(Histogram histogram, Histogram other, AnnotationSite site, string metricName) =>
        Report(histogram.Sub(other), AnnotationTexts.Subtraction, site, metricName);

    /// <summary>Adds with compensation, as part of an aggregation over time.</summary>
    public static bool TryAdd(Histogram sum, Histogram other, ref Histogram? compensation, AnnotationSite site, string metricName) =>
        Report(sum.KahanAdd(other, ref compensation), AnnotationTexts.Aggregation, site, metricName);

    static bool Report(HistogramOutcome outcome, string operation, AnnotationSite site, string metricName)
    {
        if (outcome.HasFlag(HistogramOutcome.IncompatibleSchemas))
        {
            site.MixedExponentialCustom(metricName);
            return false;
        }

        if (outcome.HasFlag(HistogramOutcome.BoundsReconciled))
        {
            site.MismatchedCustomBuckets(operation);
        }

        return true;
    }
}

/// <summary>Whether histograms that are added up were marked as counter resets, and whether others were marked as none.</summary>
struct ResetHints
{
    bool _reset;
    bool _noReset;

    public readonly bool Collide => _reset && _noReset;

    public void Add(Histogram histogram)
    {
        _reset |= histogram.CounterResetHint == CounterResetHint.CounterReset;
        _noReset |= histogram.CounterResetHint == CounterResetHint.NotCounterReset;
    }
}
