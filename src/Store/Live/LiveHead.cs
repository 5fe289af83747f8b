using System.Runtime.InteropServices;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Index;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Store.Live;

/// <summary>Samples of one collector from its slices, in memory only, without its external labels. Thread-safe.</summary>
/// <remarks>
/// A query sees all of a slice or nothing of it, and what it selected it keeps, whatever is dropped meanwhile: chunks are never changed but
/// the open one of a series, which only grows, and of which a query reads no further than it had seen.
/// </remarks>
sealed class LiveHead : IQuerier
{
    /// <summary>What a series takes besides its labels and chunks, about.</summary>
    const int SeriesBytes = 400;
    const int ChunkBytes = 64;

    readonly Lock _lock = new();
    readonly MemPostings _postings = new();
    readonly Dictionary<Labels, uint> _byLabels = [];
    readonly Dictionary<uint, LiveSeries> _series = [];
    uint _lastRef;
    TimeRange _range = new(long.MaxValue, long.MinValue);
    long _bytes;

    /// <summary>Of the samples; empty while there are none.</summary>
    public TimeRange Range
    {
        get
        {
            lock (_lock)
            {
                return _range;
            }
        }
    }

    /// <summary>About what it takes in memory.</summary>
    public long Bytes => Volatile.Read(ref _bytes);

    public int SeriesCount => _series.Count;

    /// <summary>Adds the samples of a slice; those that are here already are left out.</summary>
    public void Append(SliceSamples samples)
    {
        lock (_lock)
        {
            var late = new Dictionary<LiveSeries, List<LateSample>>();
            var references = new LiveSeries?[samples.Series.Count];
            foreach (ref readonly var sample in samples.Floats.Span)
            {
                var series = references[sample.Series] ??= SeriesOf(samples.Series[sample.Series]);
                Append(series, sample.Time, sample.Value, null, sample.Start, late);
            }

            foreach (var (number, time, histogram, start) in samples.Histograms)
            {
                Append(references[number] ??= SeriesOf(samples.Series[number]), time, 0, histogram, start, late);
            }

            foreach (var (known, more) in late)
            {
                InsertLate(known, more);
            }
        }
    }

    /// <summary>Drops the chunks that lie in one of some ranges.</summary>
    public void Drop(IReadOnlyList<TimeRange> ranges)
    {
        lock (_lock)
        {
            var gone = new HashSet<uint>();
            var (min, max) = (long.MaxValue, long.MinValue);
            foreach (var (reference, series) in _series)
            {
                if (Array.Exists(series.Closed, chunk => IsIn(ranges, chunk.MinTime, chunk.MaxTime)))
                {
                    foreach (var chunk in series.Closed.Where(chunk => IsIn(ranges, chunk.MinTime, chunk.MaxTime)))
                    {
                        _bytes -= ChunkBytes + chunk.Data.Length;
                    }

                    series.Closed = Array.FindAll(series.Closed, chunk => !IsIn(ranges, chunk.MinTime, chunk.MaxTime));
                }

                if (series.Open is { } open && IsIn(ranges, open.MinTime, open.MaxTime))
                {
                    _bytes -= ChunkBytes + open.Length;
                    series.Open = null;
                }

                if (series.Closed.Length == 0 && series.Open is null)
                {
                    gone.Add(reference);
                    continue;
                }

                var oldest = series.Closed.Length == 0 ? long.MaxValue : series.Closed[0].MinTime;
                min = Math.Min(min, Math.Min(oldest, series.Open?.MinTime ?? long.MaxValue));
                max = Math.Max(max, series.MaxTime);
            }

            foreach (var reference in gone)
            {
                _series.Remove(reference, out var series);
                _byLabels.Remove(series!.Labels);
                _bytes -= SeriesBytes + series.Labels.Encoded.Length;
            }

            _postings.Delete(gone);
            _range = new TimeRange(min, max);
        }
    }

    public IAsyncEnumerable<Series> SelectAsync(Selection selection) => Select(selection).ToAsyncEnumerable();

    public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection) =>
        SearchAsync(selection, labels => labels.NamesAsync(selection.Matchers, selection.Hints.Wanted, selection.CancellationToken));

    public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection) =>
        SearchAsync(selection, labels => labels.ValuesAsync(name, selection.Matchers, selection.Hints.Wanted, selection.CancellationToken));

    async ValueTask<IReadOnlyList<string>> SearchAsync(Selection selection, Func<LiveSearch, ValueTask<IReadOnlyList<string>>> search)
    {
        selection.Query.ThrowIfOver();
        if (!selection.Range.Overlaps(Range))
        {
            return [];
        }

        using var labels = new LiveSearch(this);
        return selection.Limited(await search(labels));
    }

    /// <remarks>Without a pause: who reads this first and blocks second relies on it.</remarks>
    IEnumerable<Series> Select(Selection selection)
    {
        selection.Query.ThrowIfOver();
        var (hints, selected) = (selection.Hints, new List<Series>());
        if (!selection.Range.Overlaps(Range))
        {
            yield break;
        }

        if (hints.Wanted == int.MaxValue)
        {
            Add(_postings.Select(selection.Matchers, selection.CancellationToken).Rest().Span, selection, selected);
        }
        else
        {
            _postings.SelectFew(
                selection.Matchers, hints.Wanted, references => Add(references, selection, selected), selection.CancellationToken);
        }

        selected.Sort((a, b) => a.Labels.CompareTo(b.Labels));
        if (selected.Count == hints.Wanted && hints.Limit > 0)
        {
            selected.RemoveAt(hints.Limit);
            selection.Coverage.Truncate();
        }

        foreach (var series in selected)
        {
            yield return series;
        }
    }

    /// <returns>How many are selected then.</returns>
    int Add(ReadOnlySpan<uint> references, Selection selection, List<Series> selected)
    {
        lock (_lock)
        {
            foreach (var reference in references)
            {
                selection.Query.ThrowIfOver();
                if (_series.TryGetValue(reference, out var series) && series.Overlaps(selection.Range))
                {
                    selected.Add(new SelectedSeries(this, series, selection));
                }
            }
        }

        return selected.Count;
    }

    LiveSeries SeriesOf(Labels labels)
    {
        ref var reference = ref CollectionsMarshal.GetValueRefOrNullRef(_byLabels, labels);
        if (!System.Runtime.CompilerServices.Unsafe.IsNullRef(ref reference))
        {
            return _series[reference];
        }

        var series = new LiveSeries(labels.Copy());
        _byLabels.Add(series.Labels, ++_lastRef);
        _series.Add(_lastRef, series);
        _postings.Add(_lastRef, series.Labels);
        _bytes += SeriesBytes + labels.Encoded.Length;
        return series;
    }

    void Append(
        LiveSeries series, long time, double value, Histogram? histogram, long start, Dictionary<LiveSeries, List<LateSample>> late)
    {
        if (histogram is null && Tsdb.Bytes.StaleMarker.IsStale(value) && series.Open is { IsHistogram: true } open)
        {
            histogram = new Histogram { IsInteger = open.IsInteger, Sum = value };
        }

        if (time <= series.MaxTime)
        {
            (CollectionsMarshal.GetValueRefOrAddDefault(late, series, out _) ??= []).Add(new LateSample(time, value, histogram, start));
            return;
        }

        var before = series.Open?.Length ?? 0;
        if (series.Open is null || !series.Open.TryAppend(time, value, histogram, start))
        {
            if (series.Open is { } full)
            {
                series.Closed = LiveSeries.InOrder(series.Closed, full.Copy());
                before = 0;
            }

            series.Open = new LiveChunk(time, value, histogram, start);
            _bytes += ChunkBytes;
        }

        _bytes += series.Open.Length - before;
        series.MaxTime = time;
        _range = new TimeRange(Math.Min(_range.MinTime, time), Math.Max(_range.MaxTime, time));
    }

    /// <summary>
    /// Adds samples that are older than others of their series, as chunks of their own; those that are here already are left out.
    /// </summary>
    void InsertLate(LiveSeries series, List<LateSample> late)
    {
        var range = new TimeRange(late.Min(sample => sample.Time), late.Max(sample => sample.Time));
        var known = new HashSet<long>();
        var batch = new SampleBatch();
        using (var samples = new ChunkSeriesIterator(series.Chunks(), Aggregate.Raw, range, "live slices"))
        {
            while (samples.Read(batch))
            {
                known.UnionWith(batch.Timestamps.Take(batch.Count));
            }
        }

        LiveChunk? chunk = null;
        var added = new List<Chunk>();
        foreach (var (time, value, histogram, start) in late.OrderBy(sample => sample.Time).Where(sample => known.Add(sample.Time)))
        {
            if (chunk?.TryAppend(time, value, histogram, start) != true)
            {
                if (chunk is not null)
                {
                    added.Add(chunk.Copy());
                }

                chunk = new LiveChunk(time, value, histogram, start);
            }
        }

        if (chunk is not null)
        {
            added.Add(chunk.Copy());
            _bytes += added.Sum(one => ChunkBytes + one.Data.Length);
            series.Closed = [.. series.Closed.Concat(added).OrderBy(one => one.MinTime)];
            _range = new TimeRange(Math.Min(_range.MinTime, range.MinTime), _range.MaxTime);
        }
    }

    static bool IsIn(IReadOnlyList<TimeRange> ranges, long minTime, long maxTime)
    {
        foreach (var range in ranges)
        {
            if (range.MinTime <= minTime && range.MaxTime >= maxTime)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>A sample that is older than others of its series.</summary>
    readonly record struct LateSample(long Time, double Value, Histogram? Histogram, long Start);

    sealed class LiveSeries(Labels labels)
    {
        public Labels Labels => labels;

        /// <summary>In order of MinTime; replaced as a whole.</summary>
        public Chunk[] Closed { get; set; } = [];

        public LiveChunk? Open { get; set; }

        public long MaxTime { get; set; } = long.MinValue;

        public bool Overlaps(TimeRange range) => (Open is { } open && open.MinTime <= range.MaxTime && open.MaxTime >= range.MinTime)
            || Array.Exists(Closed, chunk => chunk.MinTime <= range.MaxTime && chunk.MaxTime >= range.MinTime);

        public Chunk[] Chunks() => InOrder(Closed, Open?.Copy());

        public static Chunk[] InOrder(Chunk[] closed, Chunk? open) => open is not { } last ? closed
            : closed.Length == 0 || closed[^1].MinTime <= last.MinTime ? [.. closed, last]
            : [.. closed.Append(last).OrderBy(chunk => chunk.MinTime)];
    }

    /// <summary>A series as it was when it was selected.</summary>
    sealed class SelectedSeries : Series
    {
        readonly LiveHead _head;
        readonly Chunk[] _closed;
        readonly LiveChunk? _open;
        readonly TimeRange _range;
        readonly Aggregate _aggregate;

        public SelectedSeries(LiveHead head, LiveSeries series, Selection selection)
            : base(series.Labels)
        {
            (_head, _closed, _open, _aggregate) = (head, series.Closed, series.Open, selection.Hints.Aggregate);
            _range = selection.Range with { MaxTime = Math.Min(selection.Range.MaxTime, series.MaxTime) };
        }

        public override ISampleIterator Samples() => new ChunkSeriesIterator(Read(), _aggregate, _range, "live slices");

        public override IEnumerable<Chunk> Chunks() => Read();

        Chunk[] Read()
        {
            Chunk? open;
            lock (_head._lock)
            {
                open = _open?.Copy();
            }

            return Array.FindAll(
                LiveSeries.InOrder(_closed, open), chunk => chunk.MinTime <= _range.MaxTime && chunk.MaxTime >= _range.MinTime);
        }
    }

    sealed class LiveSearch(LiveHead head) : LabelSearch<ReadOnlyMemory<uint>>(head._postings)
    {
        protected override uint Last => head._postings.All is { IsEmpty: false } all ? all.Span[^1] : 0;

        protected override Postings Open(ReadOnlyMemory<uint> list) => Postings.Of(list);

        protected override Postings OpenOnce(ReadOnlyMemory<uint> list) => Open(list);

        protected override Postings OpenFew(ReadOnlyMemory<uint> list) => Open(list);

        protected override bool TryRead(uint reference, out Labels labels)
        {
            lock (head._lock)
            {
                var found = head._series.TryGetValue(reference, out var series);
                labels = series?.Labels ?? default;
                return found;
            }
        }
    }
}

/// <summary>A chunk that is being filled: with floats, with floats that have start timestamps, or with histograms.</summary>
sealed class LiveChunk
{
    const int FirstBytes = 32;

    readonly Xor2Appender? _starts;
    readonly HistogramAppender? _histograms;
    XorAppender _floats;

    /// <summary>A chunk with its first sample.</summary>
    public LiveChunk(long time, double value, Histogram? histogram, long start)
    {
        MinTime = time;
        if (histogram is not null)
        {
            (_histograms, IsInteger) = (new HistogramAppender(histogram, hasStarts: start != 0), histogram.IsInteger);
        }
        else if (start != 0)
        {
            _starts = new Xor2Appender();
        }
        else
        {
            _floats = new XorAppender(new byte[FirstBytes]);
        }

        if (!TryAppend(time, value, histogram, start))
        {
            throw new InvalidOperationException("an empty chunk refuses a sample");
        }
    }

    public bool IsHistogram => _histograms is not null;

    /// <summary>Whether its histograms are of integers.</summary>
    public bool IsInteger { get; }

    public long MinTime { get; }

    public long MaxTime { get; private set; }

    public int Length => _histograms?.Length ?? _starts?.Length ?? _floats.Length;

    /// <summary>False where the sample needs another chunk.</summary>
    public bool TryAppend(long time, double value, Histogram? histogram, long start)
    {
        if (_histograms is not null)
        {
            if (histogram is null || (start != 0) != _histograms.HasStarts || _histograms.IsFull
                || !_histograms.TryAppend(time, histogram, start))
            {
                return false;
            }
        }
        else if (histogram is not null || (start != 0) != (_starts is not null))
        {
            return false;
        }
        else if (_starts is not null)
        {
            if (_starts.Count >= XorChunk.TargetSamples || _starts.Length > XorChunk.MaxBytesBeforeAppend)
            {
                return false;
            }

            _starts.Append(time, value, start);
        }
        else
        {
            if (_floats.Count >= XorChunk.TargetSamples || _floats.Length > XorChunk.MaxBytesBeforeAppend)
            {
                return false;
            }

            _floats.Append(time, value);
        }

        MaxTime = time;
        return true;
    }

    /// <summary>The chunk so far; its data is the caller's.</summary>
    public Chunk Copy() =>
        _histograms is not null ? new Chunk(MinTime, MaxTime, _histograms.Encoding, _histograms.Written.ToArray())
        : _starts is not null ? new Chunk(MinTime, MaxTime, ChunkEncoding.Xor2, _starts.Written.ToArray())
        : new Chunk(MinTime, MaxTime, ChunkEncoding.Xor, _floats.Written.ToArray());
}
