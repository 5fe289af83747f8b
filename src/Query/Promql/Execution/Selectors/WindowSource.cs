using Observe.Query.Promql.Functions;
using Observe.Query.Promql.Parsing;
using Observe.Query.Promql.Planning;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Query.Promql.Execution.Selectors;

/// <summary>The samples that a function over a range works on: those of a selector, or the evaluations of a subquery.</summary>
abstract class WindowSource
{
    /// <summary>The identities of the series, as the function sees them.</summary>
    public SeriesIdentity[] Series { get; protected set; } = [];

    public abstract SelectorTimes Times { get; }

    public abstract long RangeMs { get; }

    public virtual bool Anchored => false;

    public virtual bool Smoothed => false;

    /// <summary>
    /// Samples of the windows count as read from the source; those of a subquery do not, since its inner selectors have counted them.
    /// </summary>
    public virtual bool CountsReads => true;

    public abstract long Cost { get; }

    public virtual IEnumerable<SeriesOperator> Inputs => [];

    public virtual IEnumerable<SeriesSelection> Selections => [];

    public abstract void Prefetch(Evaluation evaluation);

    public abstract Task OpenAsync(Evaluation evaluation);

    public abstract IWindowFeed Feed(int series, Window window, Worker worker);
}

/// <summary>Loads the samples of one series into a window, in order of time.</summary>
interface IWindowFeed : IDisposable
{
    /// <summary>Makes the samples after one time up to another visible in the window.</summary>
    void Slide(long after, long to);

    /// <summary>All samples before this time are in the window already.</summary>
    long LoadedTo { get; }
}

/// <summary>The samples of a selector.</summary>
sealed class SelectorSource(RangeNode node, StepGrid grid, Function? function) : WindowSource
{
    SeriesSelection? _selection;
    List<Series> _series = [];

    public override SelectorTimes Times { get; } = SelectorTimes.Of(node.Selector, grid);

    public override long RangeMs => node.RangeMs;

    public override bool Anchored => node.Selector.Anchored;

    public override bool Smoothed => node.Selector.Smoothed;

    public override long Cost => Times.Cost(RangeMs);

    public override IEnumerable<SeriesSelection> Selections => _selection is null ? [] : [_selection];

    public override void Prefetch(Evaluation evaluation) => evaluation.Prefetch.Add(Select(evaluation));

    public override async Task OpenAsync(Evaluation evaluation)
    {
        _series = await Select(evaluation).SeriesAsync();
        Series = SeriesIdentity.Of(_series);
    }

    public override IWindowFeed Feed(int series, Window window, Worker worker) => new SampleFeed(
        node.Selector.StatisticsOnly ? new StatisticsIterator(_series[series].Samples()) : _series[series].Samples(), window, worker);

    SeriesSelection Select(Evaluation evaluation)
    {
        var before = RangeMs + (Anchored || Smoothed ? evaluation.LookbackMs : 0);
        return _selection ??= evaluation.Select(
            node.Selector,
            new SelectHints
            {
                Range = Times.Range(before, Smoothed ? evaluation.LookbackMs : 0),
                StepMs = grid.IsSingle ? 0 : grid.Step,
                WindowMs = RangeMs,
                Function = function?.Name,
                IsCounter = function?.IsOfCounters == true,
            });
    }

    sealed class SampleFeed(ISampleIterator samples, Window window, Worker worker) : IWindowFeed
    {
        readonly SampleBatch _batch = worker.RentBatch();
        bool _ended;

        public long LoadedTo => _ended ? long.MaxValue : window.LoadedTo;

        public void Slide(long after, long to)
        {
            while (!_ended && window.LoadedTo <= to)
            {
                // Before the first read it is not known whether windows come, of which the one before is wanted too.
                if (window.LoadedTo < after && window.LoadedTo > long.MinValue)
                {
                    samples.Seek(after + 1 - (window.HasLoadedWindows ? Planning.SelectorResolution.WindowsMarginMs : 0));
                }

                // Samples that no further window needs are removed, which makes place for the next.
                window.RemoveThrough(after);
                _ended = !samples.Read(_batch);
                if (!_ended)
                {
                    window.Load(_batch);
                    worker.Count(window);
                    worker.CountWork(_batch.Count);
                }
            }

            window.Slide(after, to);
        }

        public void Dispose()
        {
            worker.Return(_batch);
            samples.Dispose();
        }
    }
}

/// <summary>The evaluations of a subquery at its own steps.</summary>
sealed class SubquerySource(SubqueryNode node, StepGrid grid, SeriesOperator inner) : WindowSource
{
    public override SelectorTimes Times { get; } = new(grid, node.OffsetMs, node.AtMs);

    public override long RangeMs => node.RangeMs;

    public override bool CountsReads => false;

    public override long Cost => inner.Cost + inner.Grid.Count + grid.Count;

    public override IEnumerable<SeriesOperator> Inputs => [inner];

    /// <summary>The multiples of the step within all the windows of a grid.</summary>
    public static StepGrid InnerGrid(SubqueryNode node, StepGrid grid)
    {
        var times = new SelectorTimes(grid, node.OffsetMs, node.AtMs);
        var after = times.First - node.RangeMs;
        var start = node.StepMs * (after / node.StepMs);
        if (start <= after)
        {
            start += node.StepMs;
        }

        return new StepGrid(
            start, node.StepMs, times.Last < start ? 0 : checked((int)Math.Min(int.MaxValue, ((times.Last - start) / node.StepMs) + 1)));
    }

    public override void Prefetch(Evaluation evaluation) => inner.Prefetch(evaluation);

    public override async Task OpenAsync(Evaluation evaluation)
    {
        await inner.OpenAsync(evaluation);
        Series = inner.Series;
    }

    public override IWindowFeed Feed(int series, Window window, Worker worker)
    {
        var column = worker.RentColumn(inner.Grid.Count);
        inner.Evaluate(series, column, worker);
        worker.CountWork(column.Steps);
        window.Reserve(column.Floats);
        worker.Count(window);
        for (var step = 0; step < column.Steps; step++)
        {
            if (column.Presence[step] == Presence.Float)
            {
                window.Load(inner.Grid.Time(step), column.Values[step]);
            }
            else if (column.Presence[step] == Presence.Histogram)
            {
                window.Load(inner.Grid.Time(step), WithoutResets(column.Histogram(step)));
            }
        }

        worker.Return(column);
        return new LoadedFeed(window);
    }

    /// <summary>The hint compares with the sample before in the series, which the subquery may have left out or repeated.</summary>
    static Histogram WithoutResets(Histogram histogram) =>
        histogram.CounterResetHint is CounterResetHint.CounterReset or CounterResetHint.NotCounterReset
            ? histogram.WithHint(CounterResetHint.Unknown)
            : histogram;

    sealed class LoadedFeed(Window window) : IWindowFeed
    {
        public long LoadedTo => long.MaxValue;

        public void Slide(long after, long to) => window.Slide(after, to);

        public void Dispose()
        {
        }
    }
}
