using Observe.Query.Promql.Execution;
using Observe.Query.Promql.Execution.Selectors;
using Observe.Query.Promql.Functions;
using Observe.Query.Promql.Parsing;
using Observe.Query.Promql.Planning;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;

namespace Observe.Query.Promql;

/// <summary>Evaluates operators into the series of a result.</summary>
static class ResultAssembly
{
    /// <summary>Evaluates all series, on all cores; series without samples are left out, those with the same labels become one.</summary>
    public static async Task<List<ResultSeries>> SeriesAsync(SeriesOperator root, Evaluation evaluation)
    {
        root.Prefetch(evaluation);
        evaluation.Prefetch.Start();
        await root.OpenAsync(evaluation);
        var merge = evaluation.DelayedNameRemoval ? new OutputMerge(NameRemoval.Finish(root.Series), evaluation) : null;
        var identities = merge?.Outputs ?? root.Series;
        var grid = root.Grid;
        var times = new long[grid.Count];
        for (var step = 0; step < times.Length; step++)
        {
            times[step] = grid.Time(step);
        }

        var results = new ResultSeries?[identities.Length];
        evaluation.ForEach(identities.Length, root.Cost, (i, worker) =>
        {
            var column = worker.RentColumn(grid.Count);
            if (merge is null)
            {
                root.Evaluate(i, column, worker);
            }
            else
            {
                merge.Evaluate(i, column, worker, root.Evaluate);
            }

            if (!column.IsEmpty)
            {
                evaluation.AddResultBytes(ResultBytes(identities[i].Labels, column.SampleCount()));
                results[i] = Result(identities[i].Labels.Copy(), column, times);
            }

            worker.Return(column);
        });
        return [.. results.OfType<ResultSeries>()];
    }

    /// <summary>The samples of a range selector or the evaluations of a subquery, with their own times.</summary>
    public static async Task<List<ResultSeries>> RangeAsync(PlanNode range, OperatorFactory factory, Scope scope, Evaluation evaluation)
    {
        if (range is SubqueryNode subquery)
        {
            return await SeriesAsync(factory.Inner(subquery, scope, 1), evaluation);
        }

        var source = factory.Source(range, scope, null);
        await source.OpenAsync(evaluation);
        var results = new ResultSeries?[source.Series.Length];
        evaluation.ForEach(results.Length, source.Cost, (i, worker) =>
        {
            var window = worker.RentWindow();
            window.Clear();
            window.TracksStarts = false;
            window.Labels = source.Series[i].Labels;
            var end = source.Times.First;
            using (var feed = source.Feed(i, window, worker))
            {
                var lookback = source.Anchored || source.Smoothed ? evaluation.LookbackMs : 0;
                feed.Slide(end - source.RangeMs - lookback, end + (source.Smoothed ? lookback : 0));
            }

            var samples = window.SampleCount(SampleSize.Of);
            evaluation.AddResultBytes(ResultBytes(window.Labels, samples));
            results[i] = Result(window, source, end);
            worker.CountTotal(scope, samples);
            worker.CountAtStep(scope, 0, samples);
            worker.CountRead(samples);
            evaluation.HoldSamples(samples);
            worker.Return(window);
        });
        return [.. results.OfType<ResultSeries>()];
    }

    /// <summary>Bytes of a series of a result.</summary>
    static long ResultBytes(Labels labels, long samples) => 128 + labels.Encoded.Length + (16 * samples);

    static ResultSeries? Result(Window window, WindowSource source, long end)
    {
        if (window.Count == 0)
        {
            return null;
        }

        if (!source.Anchored && !source.Smoothed)
        {
            return new ResultSeries
            {
                Labels = window.Labels.Copy(),
                Timestamps = window.Times.ToArray(),
                Values = window.Values.ToArray(),
                HistogramTimestamps = window.HistogramTimes.ToArray(),
                Histograms = window.Histograms.ToArray(),
            };
        }

        if (!window.Histograms.IsEmpty)
        {
            throw new QueryException($"{(source.Anchored ? "anchored" : "smoothed")} modifier is not supported with histograms");
        }

        var (times, values) = ExtendedRate.Extend(window.Times, window.Values, end - source.RangeMs, end, source.Smoothed);
        return times.Length == 0 ? null : new ResultSeries { Labels = window.Labels.Copy(), Timestamps = times, Values = values };
    }

    static ResultSeries Result(Labels labels, Column column, long[] times)
    {
        if (column.IsDense)
        {
            return new ResultSeries { Labels = labels, Timestamps = times, Values = column.Values.AsSpan().ToArray() };
        }

        var floatTimes = new long[column.Floats];
        var values = new double[column.Floats];
        var histogramTimes = new long[column.Histograms];
        var histograms = new Histogram[column.Histograms];
        var (floats, natives) = (0, 0);
        for (var step = 0; step < column.Steps; step++)
        {
            if (column.Presence[step] == Presence.Float)
            {
                (floatTimes[floats], values[floats]) = (times[step], column.Values[step]);
                floats++;
            }
            else if (column.Presence[step] == Presence.Histogram)
            {
                (histogramTimes[natives], histograms[natives]) = (times[step], column.Histogram(step));
                natives++;
            }
        }

        return new ResultSeries
        {
            Labels = labels,
            Timestamps = floatTimes,
            Values = values,
            HistogramTimestamps = histogramTimes,
            Histograms = histograms,
        };
    }
}
