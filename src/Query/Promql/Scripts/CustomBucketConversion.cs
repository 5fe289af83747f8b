using System.Globalization;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;

namespace Observe.Query.Promql.Scripts;

/// <summary>
/// Classic histograms (<c>_bucket</c>, <c>_count</c>, <c>_sum</c>) as native ones with custom buckets, which <c>load_with_nhcb</c> adds.
/// </summary>
static class CustomBucketConversion
{
    static readonly string[] s_suffixes = ["_bucket", "_count", "_sum"];

    /// <exception cref="FormatException">Counts are negative, not cumulative, or differ from the total.</exception>
    public static IEnumerable<ScriptSeries> Convert(IEnumerable<ScriptSeries> series)
    {
        var histograms = new Dictionary<Labels, SortedDictionary<long, Classic>>();
        foreach (var one in series)
        {
            var name = one.Labels.Get(Labels.MetricName);
            var suffix = s_suffixes.FirstOrDefault(s => name.EndsWith(s, StringComparison.Ordinal));
            if (suffix is null)
            {
                continue;
            }

            var bound = double.NaN;
            if (suffix == "_bucket" && (!TryParseBound(one.Labels.Get("le"), out bound) || double.IsNaN(bound)))
            {
                continue;
            }

            var labels = new LabelsBuilder(one.Labels).Set(Labels.MetricName, name[..^suffix.Length]).Delete("le").Build();
            histograms.TryAdd(labels, []);
            foreach (var sample in one.Samples.Where(s => s.Histogram is null))
            {
                histograms[labels].TryAdd(sample.Timestamp, new Classic());
                var classic = histograms[labels][sample.Timestamp];
                switch (suffix)
                {
                    case "_bucket":
                        classic.Buckets.TryAdd(bound, sample.Value);
                        break;
                    case "_count":
                        classic.Count = sample.Value;
                        break;
                    default:
                        classic.Sum = sample.Value;
                        break;
                }
            }
        }

        return histograms.Select(
            h => new ScriptSeries(h.Key, [.. h.Value.Select(s => new ScriptSample(s.Key, 0, s.Value.ToNative(h.Key), 0))]));
    }

    static bool TryParseBound(string text, out double bound)
    {
        bound = text.TrimStart('+') switch
        {
            "Inf" => double.PositiveInfinity,
            "-Inf" => double.NegativeInfinity,
            _ => double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var value) ? value : double.NaN,
        };
        return !double.IsNaN(bound);
    }

    sealed class Classic
    {
        public SortedDictionary<double, double> Buckets { get; } = [];

        public double? Count { get; set; }

        public double Sum { get; set; }

        public Histogram ToNative(Labels labels)
        {
            var count = Count ?? (Buckets.Count > 0 ? Buckets.Last().Value : 0);
            Buckets.TryAdd(double.PositiveInfinity, count);
            var (previous, counts) = (0.0, new List<double>());
            foreach (var (bound, cumulative) in Buckets)
            {
                if (cumulative < 0 || cumulative < previous)
                {
                    throw new FormatException(
                        $"{labels}: count of bucket {GoText.FloatG(bound)} is not cumulative: {GoText.FloatG(cumulative)}");
                }

                counts.Add(cumulative - previous);
                previous = cumulative;
            }

            if (previous != count)
            {
                throw new FormatException(
                    $"{labels}: count {GoText.FloatG(count)} is not that of the last bucket, {GoText.FloatG(previous)}");
            }

            var isInteger = counts.Append(count).All(c => c == Math.Round(c));
            return new Histogram
            {
                Schema = Histogram.CustomBucketsSchema,
                Count = count,
                Sum = Sum,
                PositiveSpans = [new BucketSpan(0, (uint)counts.Count)],
                PositiveBuckets = [.. counts],
                CustomValues = [.. Buckets.Keys.Where(double.IsFinite)],
            }.Compact(isInteger ? 2 : 0);
        }
    }
}
