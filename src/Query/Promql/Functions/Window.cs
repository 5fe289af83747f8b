using System.Numerics;
using System.Runtime.InteropServices;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;

namespace Observe.Query.Promql.Functions;

/// <summary>
/// The samples of one series that a range function gets at one step: floats and histograms apart, by rising time. The window slides:
/// samples are loaded once, in order of time, and removed at the front.
/// </summary>
/// <remarks>Staleness markers are left out when samples are loaded.</remarks>
sealed class Window
{
    readonly WindowRun<double> _floats = new();
    readonly WindowRun<Histogram> _histograms = new();

    // Of the samples that are averages of windows; null until there is one.
    WindowRun<double>? _weights;

    // Indices into the loaded floats where a value is below the one before it, rising.
    int[] _drops = new int[16];
    int _dropFirst;
    int _dropCount;
    double[] _copy = [];
    long _resolutionMs;
    long _windowsTo = long.MinValue;
    long _coarsestMs;
    long _coarsestTo = long.MinValue;
    ((int First, int End) Floats, (int First, int End) Histograms) _shown;

    /// <summary>The floats, for code that evaluates several steps in a loop of its own.</summary>
    public WindowRun<double> Floats => _floats;

    /// <summary>Whether no histogram was loaded.</summary>
    public bool IsFloatsOnly => _histograms.Loaded == 0;

    /// <summary>Times of the floats.</summary>
    public ReadOnlySpan<long> Times => _floats.VisibleTimes;

    public ReadOnlySpan<double> Values => _floats.Visible;

    /// <summary>A copy of the values, which the caller may change; valid until the next call.</summary>
    public Span<double> CopyOfValues()
    {
        var values = Values;
        if (_copy.Length < values.Length)
        {
            _copy = new double[values.Length * 2];
        }

        values.CopyTo(_copy);
        return _copy.AsSpan(0, values.Length);
    }

    public ReadOnlySpan<long> HistogramTimes => _histograms.VisibleTimes;

    public ReadOnlySpan<Histogram> Histograms => _histograms.Visible;

    /// <summary>When the counters of the floats started; empty unless <see cref="TracksStarts"/>.</summary>
    public ReadOnlySpan<long> Starts => TracksStarts ? _floats.VisibleStarts : default;

    public ReadOnlySpan<long> HistogramStarts => TracksStarts ? _histograms.VisibleStarts : default;

    public bool TracksStarts { get; set; }

    /// <summary>Whether drops are tracked, so that <see cref="Drop"/> can be called.</summary>
    public bool TracksDrops { get; set; }

    /// <summary>The window's bounds, Unix milliseconds; the start exclusive, the end inclusive.</summary>
    public long RangeStart { get; set; }

    public long RangeEnd { get; set; }

    /// <summary>The range's length as the query has it, in milliseconds.</summary>
    public long RangeMs { get; set; }

    /// <summary>The time of the step.</summary>
    public long Time { get; set; }

    /// <summary>The geometry of the step before, which <see cref="RateFunctions"/> uses again where it fits.</summary>
    public WindowGeometry Geometry { get; set; }

    public bool Anchored { get; set; }

    public bool Smoothed { get; set; }

    /// <summary>The function's scalar arguments at this step, in order.</summary>
    public double[] Arguments { get; set; } = [];

    public Labels Labels { get; set; }

    /// <summary>
    /// Whether there are samples of downsampled windows. A counter's are right in what is gained between them; how far zero is they do not
    /// say.
    /// </summary>
    public bool HasWindows => _resolutionMs > 0
        && ((_floats.Count > 0 && Times[0] <= _windowsTo) || (_histograms.Count > 0 && HistogramTimes[0] <= _windowsTo));

    /// <summary>
    /// Where a range begins among downsampled windows, makes those visible too that lie next to its bounds, one before and one behind, until
    /// <see cref="Narrow"/>. False where it begins among raw samples, or there are none.
    /// </summary>
    public bool TryWiden()
    {
        var (floats, histograms) = (FirstTime(_floats) <= _windowsTo, FirstTime(_histograms) <= _windowsTo);
        if (!floats && !histograms)
        {
            return false;
        }

        var distance = 2 * _coarsestMs;
        _shown = ((_floats.First, _floats.End), (_histograms.First, _histograms.End));
        _floats.Show(_floats.Widened(distance));
        _histograms.Show(_histograms.Widened(distance));
        return true;

        // That of the first point within the window or behind it.
        static long FirstTime<T>(WindowRun<T> run) => run.First < run.Loaded ? run.TimeBuffer[run.First] : long.MaxValue;
    }

    public void Narrow()
    {
        _floats.Show(_shown.Floats);
        _histograms.Show(_shown.Histograms);
    }

    /// <summary>
    /// Of downsampled windows in which the range begins or ends, takes the part that lies in the range, in proportion, until <see
    /// cref="TakeWhole"/>; also where the range is shorter than a window.
    /// </summary>
    /// <param name="isAdditive">Values are counts or sums, of which a part has less; otherwise they stay as they are.</param>
    public void TakeParts(long after, long to, bool isAdditive)
    {
        TakeParts(_floats, after, to, isAdditive ? (value, part) => value * part : null);
        TakeParts(_histograms, after, to, isAdditive ? (value, part) => value.Copy().Mul(part) : null);
        if (_weights is not null)
        {
            TakeParts(_weights, after, to, (value, part) => value * part);
        }
    }

    public void TakeWhole()
    {
        _floats.TakeWhole();
        _histograms.TakeWhole();
        _weights?.TakeWhole();
    }

    void TakeParts<T>(WindowRun<T> run, long after, long to, Func<T, double, T>? scale)
    {
        run.Keep();
        if (run.Count > 0 && Part(run.TimeBuffer[run.First], after, long.MaxValue) is var first && first < 1 && scale is not null)
        {
            run.Replace(run.First, scale(run.Buffer[run.First], first));
        }

        if (run.End < run.Loaded && Part(run.TimeBuffer[run.End], after, to) is var last && last > 0 && ResolutionAt(run.TimeBuffer[run.End]) > 0)
        {
            if (scale is not null)
            {
                run.Replace(run.End, scale(run.Buffer[run.End], last));
            }

            run.Show((run.First, run.End + 1));
        }
    }

    /// <summary>How much of the window that ends at a time lies after one time and not after another; 1 of a raw sample.</summary>
    double Part(long end, long after, long to)
    {
        var resolution = ResolutionAt(end);
        if (resolution == 0)
        {
            return 1;
        }

        // Both without the first millisecond: a range that begins with a window has all of it, and one that ends there has nothing of it.
        var start = end - (end % resolution);
        var length = Math.Max(1, end - start);
        return Math.Clamp((double)(Math.Min(end, to) - Math.Max(start, after)) / length, 0, 1);
    }

    /// <summary>Whether samples of downsampled windows were loaded, of which the window may have none.</summary>
    public bool HasLoadedWindows => _resolutionMs > 0;

    /// <summary>
    /// The resolution of a sample, 0 of a raw one, where finer samples come after coarser ones as they do unless those in between are lost.
    /// </summary>
    public long ResolutionAt(long time) => time <= _coarsestTo ? _coarsestMs : time <= _windowsTo ? _resolutionMs : 0;

    /// <summary>Only the number of samples is wanted: raw ones are loaded as ones, beside the counts of downsampled windows.</summary>
    public bool CountsSamples { get; set; }

    /// <summary>
    /// How many raw samples the window has, where <see cref="CountsSamples"/> or none is of downsampled windows: these have their counts.
    /// </summary>
    public double RawCount
    {
        get
        {
            if (!HasWindows)
            {
                return Count;
            }

            double count = _histograms.Count;
            foreach (var value in Values)
            {
                count += value;
            }

            return count;
        }
    }

    /// <summary>
    /// How many raw samples each of those samples stands for that are averages of downsampled windows, by their times in <see
    /// cref="WeightTimes"/>; all others stand for themselves.
    /// </summary>
    public ReadOnlySpan<double> Weights => _weights is null ? default : _weights.Visible;

    public ReadOnlySpan<long> WeightTimes => _weights is null ? default : _weights.VisibleTimes;

    public string MetricName => Labels.Get(Labels.MetricName);

    /// <summary>For annotations about the range.</summary>
    public AnnotationSite Site { get; set; }

    /// <summary>Samples within the window; a histogram counts as one.</summary>
    public int Count => _floats.Count + _histograms.Count;

    /// <summary>How many of <see cref="Count"/> were not in the window before it was last moved.</summary>
    public int Entered => EnteredFloats + EnteredHistograms;

    public int EnteredFloats => _floats.Entered;

    public int EnteredHistograms => _histograms.Entered;

    /// <summary>The newest loaded sample's time; long.MinValue where none was.</summary>
    public long LoadedTo { get; private set; }

    /// <summary>Bytes that the window's buffers take; they grow, and never shrink.</summary>
    public long Bytes => _floats.Bytes + _histograms.Bytes + (_weights?.Bytes ?? 0) + (8L * _copy.Length);

    /// <summary>How much of <see cref="Bytes"/> the worker has counted as the query's memory.</summary>
    public long CountedBytes { get; set; }

    /// <summary>Sizes of the histograms within the window plus its floats, as Prometheus counts samples.</summary>
    public long SampleCount(Func<Histogram, int> size)
    {
        long count = _floats.Count;
        foreach (var histogram in Histograms)
        {
            count += size(histogram);
        }

        return count;
    }

    public void Clear()
    {
        _floats.Clear();
        _histograms.Clear();
        _weights?.Clear();
        _dropFirst = _dropCount = 0;
        LoadedTo = long.MinValue;
        (_resolutionMs, _windowsTo, _coarsestMs, _coarsestTo) = (0, long.MinValue, 0, long.MinValue);
    }

    /// <summary>Removes everything that belongs to a query, so that another can use the window.</summary>
    public void Reset()
    {
        Clear();
        (Labels, Site, Arguments, CountedBytes, CountsSamples) = (default, default, [], 0, false);
    }

    public void Load(SampleBatch batch)
    {
        LoadedTo = batch.Timestamps[batch.Count - 1];
        var starts = TracksStarts && batch.HasStartTimestamps;
        if (batch.ResolutionMs > 0)
        {
            (_resolutionMs, _windowsTo) = (batch.ResolutionMs, LoadedTo);
            if (batch.ResolutionMs >= _coarsestMs)
            {
                (_coarsestMs, _coarsestTo) = (batch.ResolutionMs, LoadedTo);
            }
        }

        if (batch.HasWeights)
        {
            LoadWeights(batch);
        }

        if (batch.Kind == SampleKind.Histogram)
        {
            for (var i = 0; i < batch.Count; i++)
            {
                if (!batch.Histograms[i].IsStale)
                {
                    _histograms.Add(batch.Timestamps[i], batch.Histograms[i], starts ? batch.StartTimestamps[i] : 0, TracksStarts);
                }
            }

            return;
        }

        var from = _floats.Loaded;
        var shift = _floats.Reserve(batch.Count, TracksStarts);
        Shift(shift);
        from -= shift;
        var loaded = batch.Values.AsSpan(0, batch.Count);
        if (!starts && !HasStale(loaded))
        {
            batch.Timestamps.AsSpan(0, batch.Count).CopyTo(_floats.TimeBuffer.AsSpan(from));
            if (!CountsSamples || batch.ResolutionMs > 0)
            {
                loaded.CopyTo(_floats.Buffer.AsSpan(from));
            }
            else
            {
                _floats.Buffer.AsSpan(from, batch.Count).Fill(1);
            }

            if (TracksStarts)
            {
                _floats.StartBuffer.AsSpan(from, batch.Count).Clear();
            }

            _floats.Loaded += batch.Count;
            if (TracksDrops)
            {
                FindDrops(Math.Max(from, _floats.First + 1));
            }

            return;
        }

        var (times, values) = (_floats.TimeBuffer, _floats.Buffer);
        var at = from;
        var previous = at > _floats.First ? values[at - 1] : double.NaN;
        for (var i = 0; i < batch.Count; i++)
        {
            var value = batch.Values[i];
            if (StaleMarker.IsStale(value))
            {
                continue;
            }

            if (TracksDrops && value < previous)
            {
                AddDrop(at);
            }

            (times[at], values[at]) = (batch.Timestamps[i], CountsSamples && batch.ResolutionMs == 0 ? 1 : value);
            if (TracksStarts)
            {
                _floats.StartBuffer[at] = starts ? batch.StartTimestamps[i] : 0;
            }

            previous = value;
            at++;
        }

        _floats.Loaded = at;
    }

    void LoadWeights(SampleBatch batch)
    {
        _weights ??= new WindowRun<double>();
        for (var i = 0; i < batch.Count; i++)
        {
            _weights.Add(batch.Timestamps[i], batch.Weights[i], 0, tracksStarts: false);
        }
    }

    /// <summary>Reserves place for floats that are about to be loaded one by one.</summary>
    public void Reserve(int floats) => Shift(_floats.Reserve(floats, TracksStarts));

    public void Load(long time, double value)
    {
        LoadedTo = time;
        Shift(_floats.Reserve(1, TracksStarts));
        var at = _floats.Loaded;
        if (TracksDrops && at > _floats.First && value < _floats.Buffer[at - 1])
        {
            AddDrop(at);
        }

        _floats.Add(time, value, 0, TracksStarts);
    }

    public void Load(long time, Histogram histogram)
    {
        LoadedTo = time;
        _histograms.Add(time, histogram, 0, TracksStarts);
    }

    /// <summary>Removes the samples up to a time, inclusive.</summary>
    public void RemoveThrough(long until)
    {
        _floats.RemoveThrough(until);
        _histograms.RemoveThrough(until);
        _weights?.RemoveThrough(until);
    }

    /// <summary>
    /// Moves the window to the samples after one time, up to another inclusive. Neither time may be earlier than in the call before.
    /// </summary>
    public void Slide(long after, long to)
    {
        _floats.Slide(after, to);
        _histograms.Slide(after, to);
        _weights?.Slide(after, to);
        RemoveDrops(_floats.First);
    }

    /// <summary>Whether a loaded float from one index to another, exclusive, is below the float before it.</summary>
    public bool HasDropsWithin(int first, int end)
    {
        RemoveDrops(first);
        return _dropCount > 0 && _drops[_dropFirst] < end;
    }

    /// <summary>Indices into <see cref="Values"/>, from 1, of values below the one before: where a counter was reset.</summary>
    public int Drop(int index, out bool exists)
    {
        exists = index < _dropCount && _drops[_dropFirst + index] < _floats.First + _floats.Count;
        return exists ? _drops[_dropFirst + index] - _floats.First : 0;
    }

    void RemoveDrops(int until)
    {
        while (_dropCount > 0 && _drops[_dropFirst] <= until)
        {
            _dropFirst++;
            _dropCount--;
        }
    }

    static bool HasStale(ReadOnlySpan<double> values)
    {
        var bits = MemoryMarshal.Cast<double, ulong>(values);
        return bits.Contains(StaleMarker.Bits);
    }

    /// <summary>Looks for drops among the loaded floats from an index, which has another before it.</summary>
    void FindDrops(int from)
    {
        var values = _floats.Buffer.AsSpan(0, _floats.Loaded);
        var at = from;
        for (; at <= values.Length - Vector<double>.Count; at += Vector<double>.Count)
        {
            if (Vector.LessThanAny(new Vector<double>(values[at..]), new Vector<double>(values[(at - 1)..])))
            {
                for (var i = at; i < at + Vector<double>.Count; i++)
                {
                    AddDropWhereFalling(values, i);
                }
            }
        }

        for (; at < values.Length; at++)
        {
            AddDropWhereFalling(values, at);
        }
    }

    void AddDropWhereFalling(ReadOnlySpan<double> values, int at)
    {
        if (values[at] < values[at - 1])
        {
            AddDrop(at);
        }
    }

    void AddDrop(int at)
    {
        if (_dropFirst + _dropCount == _drops.Length)
        {
            var bigger = _dropCount > _drops.Length / 2 ? new int[_drops.Length * 2] : _drops;
            Array.Copy(_drops, _dropFirst, bigger, 0, _dropCount);
            (_drops, _dropFirst) = (bigger, 0);
        }

        _drops[_dropFirst + _dropCount++] = at;
    }

    void Shift(int by)
    {
        for (var i = 0; by > 0 && i < _dropCount; i++)
        {
            _drops[_dropFirst + i] -= by;
        }
    }
}
