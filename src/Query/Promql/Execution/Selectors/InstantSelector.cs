using Observe.Query.Promql.Parsing;
using Observe.Query.Promql.Planning;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Query.Promql.Execution.Selectors;

/// <summary>Which property of the sample that an instant selector finds becomes the value.</summary>
enum SampleAspect : byte
{
    Value,

    /// <summary>Its time in seconds.</summary>
    Time,

    /// <summary>When its counter started, in seconds.</summary>
    StartTime,

    /// <summary>Its time in milliseconds, of a series whose values do not matter, but have to be floats.</summary>
    InfoTime,
}

/// <summary>
/// The newest sample of each series that is younger than the lookback, unless it is a staleness marker. One of a downsampled window stands
/// until the next window ends, however short the lookback is.
/// </summary>
sealed class InstantSelector(SelectorNode node, Scope scope, SampleAspect aspect = SampleAspect.Value) : SeriesOperator(scope)
{
    readonly SelectorTimes _times = SelectorTimes.Of(node, scope.Grid);

    // Where @ holds for the first step only, later steps find no samples that are newer than the first step's time.
    readonly long _latest = node is { AtFirstStep: true, AtMs: { } at } ? at - node.OffsetMs : long.MaxValue;
    SeriesSelection? _selection;
    List<Series> _series = [];
    long _lookback;

    public override long Cost => _times.Cost(0);

    public override IEnumerable<SeriesSelection> Selections => _selection is null ? [] : [_selection];

    public override void Prefetch(Evaluation evaluation) => evaluation.Prefetch.Add(Select(evaluation));

    public override void Evaluate(int series, Column column, Worker worker)
    {
        using var samples = node.StatisticsOnly ? new StatisticsIterator(_series[series].Samples()) : _series[series].Samples();
        var batch = worker.RentBatch();
        var cursor = new InstantCursor(samples, batch, _lookback);
        if (_times.IsFixed)
        {
            if (cursor.TryFind(FixedReference()) && cursor.Time > EarliestFixed() - cursor.LookbackMs)
            {
                for (var step = 0; step < column.Steps; step++)
                {
                    Put(series, column, step, cursor);
                }
            }
        }
        else
        {
            for (var step = 0; step < column.Steps; step++)
            {
                var reference = _times.Reference(step);
                if (cursor.TryFind(Math.Min(reference, _latest)) && cursor.Time > reference - cursor.LookbackMs)
                {
                    Put(series, column, step, cursor);
                }
            }
        }

        worker.CountWork(column.Steps + cursor.Read);
        worker.Return(batch);
        Count(column, worker);
    }

    protected override async Task OpenCoreAsync(Evaluation evaluation)
    {
        _lookback = evaluation.LookbackMs;
        _series = await Select(evaluation).SeriesAsync();
        Series = SeriesIdentity.Of(_series);
    }

    SeriesSelection Select(Evaluation evaluation) => _selection ??= evaluation.Select(
        node,
        new SelectHints
        {
            Range = _times.Range(evaluation.LookbackMs, 0),
            StepMs = Grid.IsSingle ? 0 : Grid.Step,
            Aggregation = node.Aggregation,
        });

    // With @, Prometheus's timestamp() ignores the offset when it looks for a sample, but has loaded samples only up to the offset.
    bool IgnoresOffset => aspect is SampleAspect.Time or SampleAspect.StartTime;

    long FixedReference() => IgnoresOffset ? Math.Min(_times.First, node.AtMs!.Value) : _times.First;

    long EarliestFixed() => IgnoresOffset ? node.AtMs!.Value : _times.First;

    void Put(int series, Column column, int step, in InstantCursor cursor)
    {
        switch (aspect)
        {
            case SampleAspect.Time:
                column.Set(step, cursor.Time / 1000.0);
                break;
            case SampleAspect.InfoTime:
                column.Set(step, cursor.Histogram is null
                    ? cursor.Time
                    : throw new QueryException($"this should be an info metric, with float samples: {Series[series].Labels}"));
                break;
            case SampleAspect.StartTime:
                column.Set(step, cursor.Start / 1000.0);
                break;
            default:
                if (cursor.Histogram is null)
                {
                    column.Set(step, cursor.Value);
                }
                else
                {
                    column.Set(step, cursor.Histogram);
                }

                break;
        }
    }

    void Count(Column column, Worker worker)
    {
        var samples = column.SampleCount();
        worker.CountRead(samples);
        worker.HoldSamples(samples);
        worker.CountColumn(Scope, column, samples);
    }
}

/// <summary>Finds the newest sample of a series at or before each of several rising times.</summary>
struct InstantCursor(ISampleIterator samples, SampleBatch batch, long lookback)
{
    long _resolutionMs;
    int _next;
    bool _started;
    bool _ended;

    public long Time { get; private set; } = long.MinValue;

    public double Value { get; private set; }

    public Histogram? Histogram { get; private set; }

    public long Start { get; private set; }

    /// <summary>
    /// How long the sample stands, exclusive: that of a window until the next one ends, or if that is missing as long as any other, for the series
    /// ended with the last sample of the window, whose time it has.
    /// </summary>
    public long LookbackMs { get; private set; }

    /// <summary>Samples read so far.</summary>
    public int Read { get; private set; }

    /// <summary>Whether there is a sample that is no staleness marker within the lookback, exclusive, before a time.</summary>
    public bool TryFind(long reference)
    {
        while (!_ended)
        {
            var timestamps = batch.Timestamps;
            var at = _next;
            while (at < batch.Count && _started && timestamps[at] <= reference)
            {
                at++;
            }

            if (at > _next)
            {
                Take(at - 1);
                _next = at;
            }

            if (_started && at < batch.Count)
            {
                break;
            }

            // Before the first read nothing is skipped: whether windows come, which are wanted from an earlier time on, is not known yet.
            var earliest = reference - Math.Max(lookback, batch.ResolutionMs);
            if (_started && Time <= earliest)
            {
                samples.Seek(earliest + 1);
            }

            _started = true;
            _next = 0;
            _ended = !samples.Read(batch);
            Read += _ended ? 0 : batch.Count;
        }

        LookbackMs = !_ended && batch.Timestamps[_next] - Time <= _resolutionMs ? Math.Max(lookback, _resolutionMs) : lookback;
        return Time > reference - LookbackMs && Time <= reference
            && !(Histogram is null ? StaleMarker.IsStale(Value) : Histogram.IsStale);
    }

    void Take(int index)
    {
        (Time, _resolutionMs) = (batch.Timestamps[index], batch.ResolutionMs);
        Start = batch.HasStartTimestamps ? batch.StartTimestamps[index] : 0;
        (Value, Histogram) = batch.Kind == SampleKind.Float ? (batch.Values[index], null) : (0.0, batch.Histograms[index]);
    }
}
