using Observe.Tsdb.Bytes;
using Observe.Tsdb.Histograms;

namespace Observe.Query.Promql.Scripts;

/// <summary>Histograms as scripts write them: <c>{{schema:1 sum:3 count:22 z_bucket:2 buckets:[5 10 7] n_buckets:[1]}}</c>.</summary>
static class HistogramNotation
{
    /// <summary>Reads one; all keys may be missing, none may come twice.</summary>
    public static (Histogram Histogram, bool HasHint) Parse(NotationReader reader)
    {
        reader.Expect('{');
        reader.Expect('{');
        reader.SkipSpace();
        var histogram = new Histogram();
        var (positiveOffset, negativeOffset) = (0, 0);
        var seen = new HashSet<string>();
        while (!reader.TryTake('}'))
        {
            var key = reader.TakeName(colons: false);
            if (!seen.Add(key))
            {
                throw reader.Fault($"duplicate key \"{key}\" in histogram");
            }

            reader.Expect(':');
            switch (key)
            {
                case "schema":
                    histogram.Schema = (int)reader.TakeInteger();
                    break;
                case "sum":
                    histogram.Sum = reader.TakeNumber();
                    break;
                case "count":
                    histogram.Count = reader.TakeNumber();
                    break;
                case "z_bucket":
                    histogram.ZeroCount = reader.TakeNumber();
                    break;
                case "z_bucket_w":
                    histogram.ZeroThreshold = reader.TakeNumber();
                    break;
                case "custom_values":
                    histogram.CustomValues = TakeList(reader);
                    break;
                case "buckets":
                    histogram.PositiveBuckets = TakeList(reader);
                    break;
                case "n_buckets":
                    histogram.NegativeBuckets = TakeList(reader);
                    break;
                case "offset":
                    positiveOffset = (int)reader.TakeInteger();
                    break;
                case "n_offset":
                    negativeOffset = (int)reader.TakeInteger();
                    break;
                case "counter_reset_hint":
                    histogram.CounterResetHint = TakeHint(reader);
                    break;
                default:
                    throw reader.Fault($"bad histogram descriptor found: {GoText.Quote(key)}");
            }

            reader.SkipSpace();
        }

        reader.Expect('}');
        histogram.PositiveSpans = Spans(positiveOffset, histogram.PositiveBuckets);
        histogram.NegativeSpans = Spans(negativeOffset, histogram.NegativeBuckets);
        return (histogram, seen.Contains("counter_reset_hint"));
    }

    static BucketSpan[] Spans(int offset, double[] buckets) => buckets.Length == 0 ? [] : [new BucketSpan(offset, (uint)buckets.Length)];

    static double[] TakeList(NotationReader reader)
    {
        reader.Expect('[');
        reader.SkipSpace();
        var numbers = new List<double>();
        while (!reader.TryTake(']'))
        {
            numbers.Add(reader.TakeNumber());
            reader.SkipSpace();
        }

        return [.. numbers];
    }

    static CounterResetHint TakeHint(NotationReader reader) => reader.TakeName(colons: false) switch
    {
        "unknown" => CounterResetHint.Unknown,
        "reset" => CounterResetHint.CounterReset,
        "not_reset" => CounterResetHint.NotCounterReset,
        "gauge" => CounterResetHint.Gauge,
        var other => throw reader.Fault($"bad counter reset hint {GoText.Quote(other)}"),
    };
}
