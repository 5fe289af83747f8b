using Observe.Query.Promql.Functions;
using Observe.Query.Promql.Planning;
using Observe.Tsdb.Histograms;

namespace Observe.Query.Promql.Execution.Selectors;

/// <summary>
/// A <c>smoothed</c> instant selector: values on the line between the samples before and after a time, both within the lookback.
/// </summary>
sealed class SmoothedSelector(SelectorNode node, Scope scope) : SeriesOperator(scope)
{
    readonly SelectorSource _source = new(new RangeNode(node, 0) { Position = node.Position }, scope.Grid, null);
    long _lookback;

    public override long Cost => _source.Cost;

    public override IEnumerable<SeriesSelection> Selections => _source.Selections;

    public override void Prefetch(Evaluation evaluation) => _source.Prefetch(evaluation);

    public override void Evaluate(int series, Column column, Worker worker)
    {
        var window = worker.RentWindow();
        window.Clear();
        window.Labels = Series[series].Labels;
        window.TracksStarts = false;
        window.Site = new AnnotationSite(worker.Annotations, node.Position.Start, node.Position.End);
        using (var feed = _source.Feed(series, window, worker))
        {
            for (var step = 0; step < column.Steps; step++)
            {
                var time = _source.Times.Reference(step);
                feed.Slide(time - _lookback, time + _lookback);
                if (window.Count > 0)
                {
                    Put(column, step, window, time);
                }
            }
        }

        worker.CountWork(column.Steps);
        worker.Return(window);
    }

    protected override async Task OpenCoreAsync(Evaluation evaluation)
    {
        _lookback = evaluation.LookbackMs;
        await _source.OpenAsync(evaluation);
        Series = _source.Series;
    }

    static void Put(Column column, int step, Window window, long time)
    {
        if (!window.Values.IsEmpty && !window.Histograms.IsEmpty)
        {
            window.Site.MixedFloatsHistograms(window.MetricName);
        }
        else if (!window.Values.IsEmpty)
        {
            PutFloat(column, step, window, time);
        }
        else if (Interpolated(window, time) is { } histogram)
        {
            column.Set(step, histogram);
        }
    }

    static void PutFloat(Column column, int step, Window window, long time)
    {
        var times = window.Times;
        var values = window.Values;
        var next = times.BinarySearch(time);
        if (next >= 0)
        {
            column.Set(step, values[next]);
            return;
        }

        next = ~next;
        if (next > 0)
        {
            column.Set(
                step, next < times.Length ? ExtendedRate.Interpolate(times, values, next - 1, time, isCounter: false) : values[next - 1]);
        }
    }

    static Histogram? Interpolated(Window window, long time)
    {
        var times = window.HistogramTimes;
        var histograms = window.Histograms;
        var next = times.BinarySearch(time);
        if (next >= 0)
        {
            return histograms[next];
        }

        next = ~next;
        if (next == 0)
        {
            return null;
        }

        if (next == times.Length)
        {
            return histograms[next - 1].WithHint(CounterResetHint.Unknown);
        }

        var (previous, following) = (histograms[next - 1], histograms[next]);
        if (previous.UsesCustomBuckets != following.UsesCustomBuckets)
        {
            window.Site.MixedExponentialCustom(window.MetricName);
            return null;
        }

        // The histograms are a counter's, unless both say that they are a gauge's.
        var isCounter = previous.CounterResetHint != CounterResetHint.Gauge || following.CounterResetHint != CounterResetHint.Gauge;
        return ExtendedRate.Interpolate(
            previous, times[next - 1], following, times[next], time, isCounter, window.Site, window.MetricName);
    }
}
