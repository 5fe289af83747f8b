using Observe.Query.Promql;
using Observe.Query.Promql.Execution;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

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

        if (Completeness.Of(result.Coverage) is var answer && (answer.Expected.Count > 0 || !answer.IsComplete))
        {
            Complete(json.Raw(",\"completeness\":"u8), answer);
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

    /// <summary>Who should have taken part, and what is missing, with times in Unix milliseconds.</summary>
    static void Complete(JsonText json, Completeness answer)
    {
        json.Raw("{\"complete\":"u8).Raw(answer.IsComplete ? "true"u8 : "false"u8);
        json.Raw(",\"expected\":"u8).TextList(answer.Expected).Raw(",\"answered\":"u8).TextList(answer.Answered);
        json.Raw(",\"missing\":["u8);
        for (var i = 0; i < answer.Missing.Count; i++)
        {
            var missing = answer.Missing[i];
            json.Raw(i > 0 ? ",{\"labels\":["u8 : "{\"labels\":["u8);
            for (var j = 0; j < missing.LabelSets.Count; j++)
            {
                json.Raw(j > 0 ? ","u8 : ""u8).LabelSet(missing.LabelSets[j]);
            }

            json.Raw("],\"kind\":"u8).Text(missing.Part switch
            {
                MissingPart.Source => "store",
                MissingPart.Collector => "collector",
                MissingPart.Chunk => "chunk",
                _ => "block",
            });
            json.Raw(",\"names\":"u8).TextList(missing.Names).Raw(",\"ranges\":["u8);
            for (var j = 0; j < missing.Times.Count; j++)
            {
                json.Raw(j > 0 ? ",{\"minTime\":"u8 : "{\"minTime\":"u8).Number(missing.Times[j].MinTime);
                json.Raw(",\"maxTime\":"u8).Number(missing.Times[j].MaxTime).Raw("}"u8);
            }

            json.Raw("],\"why\":"u8).Text(missing.Reason);
            if (missing.Since is { } since)
            {
                json.Raw(",\"since\":"u8).Number(since);
            }

            json.Raw("}"u8);
        }

        json.Raw("]}"u8);
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
            .Key("bytes"u8).Number(operation.Bytes);
        Reads(json, operation.Reads);
        json.Raw(",\"inputs\":["u8);
        for (var i = 0; i < operation.Inputs.Count; i++)
        {
            Explanation(i == 0 ? json : json.Raw(","u8), operation.Inputs[i]);
        }

        json.Raw("]}"u8);
    }

    /// <summary>What an operator reads itself; nothing where it reads nothing.</summary>
    static void Reads(JsonText json, IReadOnlyList<ExplainedSelection> selections)
    {
        for (var i = 0; i < selections.Count; i++)
        {
            var selection = selections[i];
            json.Raw(i == 0 ? ",\"reads\":[{\"selector\":"u8 : ",{\"selector\":"u8).Text(selection.Selector)
                .Key("maxResolution"u8).Text(Duration.Format(selection.MaxResolutionMs))
                .Key("aggregate"u8)
                .Text(selection.Aggregate == Aggregate.Raw ? "average" : selection.Aggregate.ToString().ToLowerInvariant())
                .Key("needRaw"u8).Raw("["u8);
            for (var name = 0; name < selection.NeedRaw.Count; name++)
            {
                (name == 0 ? json : json.Raw(","u8)).Text(selection.NeedRaw[name]);
            }

            json.Raw("],\"windows\":["u8);
            for (var range = 0; range < selection.Windows.Count; range++)
            {
                var served = selection.Windows[range];
                json.Raw(range == 0 ? "{\"labels\":"u8 : ",{\"labels\":"u8).Text(served.ExternalLabels.ToString())
                    .Key("start"u8).Number(served.Range.MinTime / 1000.0)
                    .Key("end"u8).Number(served.Range.MaxTime / 1000.0)
                    .Key("resolution"u8).Text(Duration.Format(served.ResolutionMs)).Raw("}"u8);
            }

            json.Raw("],\"replicas\":["u8);
            for (var range = 0; range < selection.Replicas.Count; range++)
            {
                var served = selection.Replicas[range];
                json.Raw(range == 0 ? "{\"labels\":"u8 : ",{\"labels\":"u8).Text(served.Labels.ToString())
                    .Key("start"u8).Number(served.Range.MinTime / 1000.0)
                    .Key("end"u8).Number(served.Range.MaxTime / 1000.0).Raw("}"u8);
            }

            json.Raw(i == selections.Count - 1 ? "]}]"u8 : "]}"u8);
        }
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
