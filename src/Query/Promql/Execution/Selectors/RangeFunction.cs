using Observe.Query.Promql.Functions;
using Observe.Query.Promql.Parsing;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;

namespace Observe.Query.Promql.Execution.Selectors;

/// <summary>A function over the samples of a window that slides from step to step; chunks are decoded once, on the way.</summary>
sealed class RangeFunction(
    Function function, RangeKernel kernel, WindowSource source, SeriesOperator[] arguments, Position position, Scope scope)
    : SeriesOperator(scope)
{
    static readonly Func<Histogram, int> s_size = SampleSize.Of;

    readonly RateSteps? _steps = RateSteps.Of(function.Id);
    double[][] _arguments = [];
    OutputMerge? _merge;
    bool _tracksStarts;
    bool _typeLabels;
    long _lookback;

    public override long Cost => source.Cost;

    public override bool MayFail => _merge is { IsNeeded: true } || function.MayFail || base.MayFail;

    public override IEnumerable<SeriesOperator> Inputs => [.. source.Inputs, .. arguments];

    public override IEnumerable<SeriesSelection> Selections => source.Selections;

    public override void Prefetch(Evaluation evaluation)
    {
        source.Prefetch(evaluation);
        foreach (var argument in arguments)
        {
            argument.Prefetch(evaluation);
        }
    }

    public override void Evaluate(int series, Column column, Worker worker)
    {
        if (_merge is null)
        {
            EvaluateSource(series, column, worker);
        }
        else
        {
            _merge.Evaluate(series, column, worker, EvaluateSource);
        }
    }

    protected override async Task OpenCoreAsync(Evaluation evaluation)
    {
        CheckModifiers();
        _lookback = evaluation.LookbackMs;
        _tracksStarts = evaluation.StartTimestamps && function.IsOfCounters;
        _typeLabels = evaluation.TypeAndUnitLabels;
        await source.OpenAsync(evaluation);
        _arguments = new double[arguments.Length][];
        for (var i = 0; i < arguments.Length; i++)
        {
            await arguments[i].OpenAsync(evaluation);
            _arguments[i] = Scalars.Values(arguments[i], evaluation);
        }

        if (function.KeepsName)
        {
            Series = source.Series;
            return;
        }

        _merge = new OutputMerge(NameRemoval.Apply(source.Series, evaluation.DelayedNameRemoval), evaluation, strict: true);
        Series = _merge.Outputs;
    }

    void CheckModifiers()
    {
        if (source.Anchored && !function.TakesAnchored)
        {
            throw NotWith("anchored", f => f.TakesAnchored);
        }

        if (source.Smoothed && !function.TakesSmoothed)
        {
            throw NotWith("smoothed", f => f.TakesSmoothed);
        }
    }

    QueryException NotWith(string modifier, Predicate<Function> isAllowed) =>
        new($"{modifier} modifier can only be used with: {FunctionTable.NamesWhere(isAllowed)} - not with {function.Name}");

    void EvaluateSource(int series, Column column, Worker worker)
    {
        var window = worker.RentWindow();
        window.Clear();
        window.Labels = source.Series[series].Labels;
        (window.TracksStarts, window.TracksDrops) = (_tracksStarts, function.FindsDrops);
        window.CountsSamples = source.CountsReads && function.Aggregate == Aggregate.Count;
        (window.RangeMs, window.Anchored, window.Smoothed) = (source.RangeMs, source.Anchored, source.Smoothed);
        window.Site = new AnnotationSite(worker.Annotations, position.Start, position.End);
        if (window.Arguments.Length != _arguments.Length)
        {
            window.Arguments = new double[_arguments.Length];
        }

        using (var feed = source.Feed(series, window, worker))
        {
            Evaluate(window, feed, column, worker);
        }

        worker.Return(window);
        worker.HoldSamples(column.SampleCount());
        if (column.Floats > 0 && function.ChecksCounterName)
        {
            CheckCounterName(window);
        }
    }

    void Evaluate(Window window, IWindowFeed feed, Column column, Worker worker)
    {
        var times = source.Times;
        var before = source.RangeMs + (source.Anchored || source.Smoothed ? _lookback : 0);
        var after = source.Smoothed ? _lookback : 0;
        var isFixed = times.IsFixed;
        var perStep = worker.SamplesAtStep is not null;
        var steps = isFixed || perStep || _tracksStarts || source.Anchored || source.Smoothed ? null : _steps;
        var counts = default(WindowCounts);
        for (var step = 0; step < column.Steps; step++)
        {
            if (steps is not null && window.IsFloatsOnly && !window.HasLoadedWindows && feed.LoadedTo > times.Reference(step))
            {
                var done = step;
                step = steps.Evaluate(window, feed.LoadedTo, times, column, step, ref counts);
                worker.CountWork(step - done);
                if (step == column.Steps)
                {
                    break;
                }
            }

            var end = times.Reference(step);
            if (step == 0 || !isFixed)
            {
                feed.Slide(end - before, end + after);
            }

            var takesParts = window.HasLoadedWindows && function is { NeedsRaw: false, IsOfCounters: false };
            if (takesParts)
            {
                window.TakeParts(end - before, end + after, isAdditive: function.Aggregate is Aggregate.Count or Aggregate.Sum);
            }

            // What a counter gained within a window of downsampled data is told by the ends of the windows around.
            if (window.Count == 0 && !(window.HasLoadedWindows && function is { IsOfCounters: true, NeedsRaw: false }))
            {
                if (takesParts)
                {
                    window.TakeWhole();
                }

                continue;
            }

            // The samples are those of a fixed time, but the range that they are extrapolated to moves with the step. Only the parameter of
            // an aggregation is evaluated so.
            var moved = isFixed ? Grid.Time(step) - Grid.Start : 0;
            (window.RangeStart, window.RangeEnd, window.Time) = (end - source.RangeMs + moved, end + moved, Grid.Time(step));
            for (var i = 0; i < _arguments.Length; i++)
            {
                window.Arguments[i] = _arguments[i][step];
            }

            var isFloats = window.Histograms.IsEmpty;
            var samples = isFloats ? window.Values.Length : window.SampleCount(s_size);
            counts.Largest = Math.Max(counts.Largest, samples);
            counts.Total += samples;
            worker.CountWork(function.TakesConstantTime ? 1 : window.Count);
            if (perStep)
            {
                worker.CountAtStep(Scope, step, samples);
            }

            if (step == 0 || !isFixed)
            {
                counts.Entered += step == 0 ? samples : isFloats ? window.Entered : EnteredSamples(window);
            }

            var point = kernel(window);
            if (takesParts)
            {
                window.TakeWhole();
            }

            if (!point.Exists)
            {
                continue;
            }

            if (point.Histogram is null)
            {
                column.Set(step, point.Value);
            }
            else
            {
                column.Set(step, point.Histogram);
            }
        }

        worker.CountTotal(Scope, counts.Total);
        worker.CountRead(source.CountsReads ? counts.Entered : 0);
        worker.Evaluation.HoldSamples(0, counts.Largest);
    }

    static long EnteredSamples(Window window)
    {
        long count = window.EnteredFloats;
        foreach (var histogram in window.Histograms[^window.EnteredHistograms..])
        {
            count += SampleSize.Of(histogram);
        }

        return count;
    }

    void CheckCounterName(Window window)
    {
        var name = window.Labels.Value("__name__"u8);
        if (name.IsEmpty)
        {
            return;
        }

        if (_typeLabels)
        {
            var type = window.Labels.Value("__type__"u8);
            if (!type.SequenceEqual("counter"u8) && !type.SequenceEqual("histogram"u8))
            {
                window.Site.PossibleNonCounterLabel(window.MetricName, window.Labels.Get("__type__"));
            }
        }
        else if (!name.EndsWith("_total"u8) && !name.EndsWith("_sum"u8) && !name.EndsWith("_count"u8) && !name.EndsWith("_bucket"u8))
        {
            window.Site.PossibleNonCounter(window.MetricName);
        }
    }
}
