using Observe.Tsdb.Bytes;

namespace Observe.Query.Promql.Functions;

static class AnnotationTexts
{
    public const string Warning = "PromQL warning: ";
    public const string Info = "PromQL info: ";
    public const string StartTimeOverlap = Warning + "sample has start time that overlaps with previous sample timestamp";

    public const string Addition = "addition";
    public const string Subtraction = "subtraction";
    public const string Aggregation = "aggregation";
}

/// <summary>The place in the query that annotations point to, and the collection that they are added to.</summary>
/// <param name="Position">Offset in the query's UTF-8.</param>
/// <param name="End">Offset at which the evaluated expression ends.</param>
readonly record struct AnnotationSite(Annotations Annotations, int Position, int End)
{
    public void InvalidQuantile(double quantile) => Warn($"quantile value should be between 0 and 1, got {GoText.FloatG(quantile)}");

    public void InvalidRatio(double ratio, double to) =>
        Warn($"ratio value should be between -1 and 1, got {GoText.FloatG(ratio)}, capping to {GoText.FloatG(to)}");

    public void BadBucketLabel(string metricName, string label) =>
        Warn($"bucket label \"le\" is missing or has a malformed value of {GoText.Quote(label)}{ForName(metricName)}");

    public void MixedFloatsHistograms(string metricName) =>
        Warn($"encountered a mix of histograms and floats for metric name {GoText.Quote(metricName)}");

    public void MixedFloatsHistogramsInAggregation() => Warn("encountered a mix of histograms and floats for aggregation");

    public void MixedClassicNativeHistograms(string metricName) =>
        Warn($"vector contains a mix of classic and native histograms{ForName(metricName)}");

    public void NativeHistogramNotCounter(string metricName) =>
        Warn($"this native histogram metric is not a counter: {GoText.Quote(metricName)}");

    public void NativeHistogramNotGauge(string metricName) =>
        Warn($"this native histogram metric is not a gauge: {GoText.Quote(metricName)}");

    public void MixedExponentialCustom(string metricName) =>
        Warn($"vector contains a mix of histograms with exponential and custom buckets schemas for metric name {GoText.Quote(metricName)}");

    public void IncompatibleBucketLayout(string operation) =>
        Warn($"incompatible bucket layout encountered for binary operator {operation}");

    public void SortInRangeQuery() => Warn("sort is ineffective for range queries since results are always ordered by labels");

    public void CounterResetCollision(string operation) => Warn($"conflicting counter resets during histogram {operation}");

    public void StartTimeOverlap(string metricName) => Annotations.Add(new StartTimeOverlap(metricName, Position, End));

    public void PossibleNonCounter(string metricName) =>
        Info($"metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {GoText.Quote(metricName)}");

    public void PossibleNonCounterLabel(string metricName, string type) => Info(
        $"metric might not be a counter, __type__ label is not set to \"counter\" or \"histogram\", got {GoText.Quote(type)}: {GoText.Quote(metricName)}");

    public void ForcedMonotonicity(string metricName, long timestamp, double minBucket, double maxBucket, double maxDifference) =>
        Annotations.Add(
        new ForcedMonotonicity(
            AnnotationTexts.Info + "input to histogram_quantile needed to be fixed for monotonicity (see "
            + "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)" + ForName(metricName),
            Position,
            End,
            timestamp,
            minBucket,
            maxBucket,
            maxDifference));

    public void IncompatibleTypes(string left, string operation, string right) =>
        Info($"incompatible sample types encountered for binary operator {GoText.Quote(operation)}: {left} {operation} {right}");

    public void HistogramIgnoredInAggregation(string aggregation) => Info($"ignored histogram in {aggregation} aggregation");

    public void HistogramIgnoredInMixedRange(string metricName) =>
        Info($"ignored histograms in a range containing both floats and histograms for metric name {GoText.Quote(metricName)}");

    public void QuantileOfNaN(string metricName) =>
        Info($"input to histogram_quantile has NaN observations, result is NaN{ForName(metricName)}");

    public void QuantileSkewedByNaN(string metricName) =>
        Info($"input to histogram_quantile has NaN observations, result is skewed higher{ForName(metricName)}");

    public void FractionWithoutNaN(string metricName) =>
        Info($"input to histogram_fraction has NaN observations, which are excluded from all fractions{ForName(metricName)}");

    public void MismatchedCustomBuckets(string operation) => Info($"mismatched custom buckets were reconciled during {operation}");

    static string ForName(string metricName) => metricName.Length == 0 ? "" : $" for metric name {GoText.Quote(metricName)}";

    void Warn(string text) => Annotations.Add(new Annotation(true, AnnotationTexts.Warning + text, Position, End));

    void Info(string text) => Annotations.Add(new Annotation(false, AnnotationTexts.Info + text, Position, End));
}
