using Observe.Query.Promql;
using Observe.Query.Promql.Execution;
using Observe.Tsdb.Histograms;

namespace Observe.Query.HttpApi;

/// <summary>The result of a query as Prometheus's JSON, resultType before result.</summary>
static class ResultWriter
{
    /// <summary>Writes the data, of which parts are sent on the way.</summary>
    /// <param name="limit">The most series to write; 0: all.</param>
    public static async ValueTask WriteAsync(ApiCall call, QueryResult result, int limit, QueryStatistics? statistics, bool noStore)
    {
        var json = call.Json;
        json.Raw("{\"resultType\":"u8);
        switch (result.Type)
        {
            case ResultType.Scalar:
                json.Raw("\"scalar\",\"result\":["u8).Number(result.TimeMs / 1000.0).Raw(","u8).ScalarValue(result.Scalar).Raw("]"u8);
                break;

            case ResultType.String:
                json.Raw("\"string\",\"result\":["u8).Number(result.TimeMs / 1000.0).Raw(","u8).Text(result.Text).Raw("]"u8);
                break;

            default:
                json.Raw(result.Type == ResultType.Vector ? "\"vector\",\"result\":["u8 : "\"matrix\",\"result\":["u8);
                for (var i = 0; i < result.Series.Count && (limit == 0 || i < limit); i++)
                {
                    if (i > 0)
                    {
                        json.Raw(","u8);
                    }

                    if (result.Type == ResultType.Vector)
                    {
                        Element(json, result.Series[i], result.TimeMs);
                    }
                    else
                    {
                        Series(json, result.Series[i]);
                    }

                    await call.FlushAsync(noStore);
                }

                json.Raw("]"u8);
                break;
        }

        if (statistics is not null)
        {
            Statistics(json.Raw(",\"stats\":"u8), statistics);
        }

        if (result.Explanation is { } explanation)
        {
            Explanation(json.Raw(",\"explanation\":"u8), explanation);
        }

        json.Raw("}"u8);
    }

    static void Element(JsonText json, ResultSeries series, long time)
    {
        json.Raw("{\"metric\":"u8).LabelSet(series.Labels);
        if (series.Histograms.Length > 0)
        {
            json.Raw(",\"histogram\":["u8).Timestamp(time).Raw(","u8);
            NativeHistogram(json, series.Histograms.Span[0]);
        }
        else
        {
            json.Raw(",\"value\":["u8).Timestamp(time).Raw(","u8).Value(series.Values.Span[0]);
        }

        json.Raw("]}"u8);
    }

    static void Series(JsonText json, ResultSeries series)
    {
        json.Raw("{\"metric\":"u8).LabelSet(series.Labels);
        var times = series.Timestamps.Span;
        var values = series.Values.Span;
        if (values.Length > 0)
        {
            json.Raw(",\"values\":["u8).Points(times, values).Raw("]"u8);
        }

        var histogramTimes = series.HistogramTimestamps.Span;
        var histograms = series.Histograms.Span;
        for (var i = 0; i < histograms.Length; i++)
        {
            json.Raw(i == 0 ? ",\"histograms\":[["u8 : ",["u8).Timestamp(histogramTimes[i]).Raw(","u8);
            NativeHistogram(json, histograms[i]);
            json.Raw("]"u8);
        }

        json.Raw(histograms.Length > 0 ? "]}"u8 : "}"u8);
    }

    /// <summary>Buckets that have counts, each as [which bounds are inclusive, lower, upper, count].</summary>
    static void NativeHistogram(JsonText json, Histogram histogram)
    {
        json.Raw("{\"count\":"u8).Value(histogram.Count).Raw(",\"sum\":"u8).Value(histogram.Sum);
        var first = true;
        foreach (var bucket in histogram.AllBuckets())
        {
            if (bucket.Count == 0)
            {
                continue;
            }

            json.Raw(first ? ",\"buckets\":[["u8 : ",["u8);
            first = false;
            json.Number((bucket.LowerInclusive,
                bucket.UpperInclusive) switch
            { (false, true) => 0L, (true, false) => 1, (false, false) => 2, _ => 3 });
            json.Raw(","u8).Value(bucket.Lower).Raw(","u8).Value(bucket.Upper).Raw(","u8).Value(bucket.Count).Raw("]"u8);
        }

        json.Raw(first ? "}"u8 : "]}"u8);
    }

    /// <summary>An operator and its inputs; a plan is as deep as its query, which is limited.</summary>
    static void Explanation(JsonText json, ExplainedOperator operation)
    {
        json.Raw("{\"operation\":"u8).Text(operation.Operation)
            .Key("steps"u8).Number((long)operation.Steps)
            .Key("series"u8).Number((long)operation.Series)
            .Key("samples"u8).Number(operation.Samples)
            .Key("seconds"u8).Number(operation.Time.TotalSeconds)
            .Key("bytes"u8).Number(operation.Bytes)
            .Raw(",\"inputs\":["u8);
        for (var i = 0; i < operation.Inputs.Count; i++)
        {
            Explanation(i == 0 ? json : json.Raw(","u8), operation.Inputs[i]);
        }

        json.Raw("]}"u8);
    }

    static void Statistics(JsonText json, QueryStatistics statistics)
    {
        json.Raw("{\"timings\":{\"evalTotalTime\":"u8).Number(statistics.EvalTotalTime.TotalSeconds)
            .Key("resultSortTime"u8).Number(statistics.ResultSortTime.TotalSeconds)
            .Key("queryPreparationTime"u8).Number(statistics.QueryPreparationTime.TotalSeconds)
            .Key("innerEvalTime"u8).Number(statistics.InnerEvalTime.TotalSeconds)
            .Key("execQueueTime"u8).Number(statistics.ExecQueueTime.TotalSeconds)
            .Key("execTotalTime"u8).Number(statistics.ExecTotalTime.TotalSeconds)
            .Raw("},\"samples\":{"u8);
        if (statistics.SamplesPerStep is { Count: > 0 } steps)
        {
            json.Key("totalQueryableSamplesPerStep"u8);
            for (var i = 0; i < steps.Count; i++)
            {
                json.Raw(i == 0 ? "[["u8 : ",["u8).Number(steps[i].TimeMs / 1000.0).Raw(","u8).Number(steps[i].Samples).Raw("]"u8);
            }

            json.Raw("]"u8);
        }

        json.Key("totalQueryableSamples"u8).Number(statistics.TotalSamples)
            .Key("samplesRead"u8).Number(statistics.SamplesRead)
            .Key("peakSamples"u8).Number(statistics.PeakSamples)
            .Raw("}}"u8);
    }
}
