using System.Text;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Head;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;
using ZstdSharp;

namespace Observe.Store.Live;

/// <summary>The types of the sections of a slice.</summary>
enum SectionType
{
    Symbols = 1,
    Series = 2,
    Floats = 3,
    Histograms = 4,
}

/// <summary>A histogram sample of a series of a slice.</summary>
/// <param name="Series">Its number in the slice.</param>
public readonly record struct SliceHistogram(int Series, long Time, Histogram Histogram, long Start);

/// <summary>The samples of a slice, packed: what is left to be added is who sends them.</summary>
/// <param name="Content">Compression, lengths and sections.</param>
/// <param name="Range">Of the samples; empty where there are none.</param>
public sealed record PackedSamples(ReadOnlyMemory<byte> Content, int Series, long Samples, TimeRange Range);

/// <summary>Gathers samples and packs them. Not thread-safe.</summary>
/// <remarks>Format: docs/format/live-slice.md.</remarks>
public sealed class SliceBuilder : IDisposable
{
    /// <summary>zstd's fastest: what it makes is 5 % larger than that of the usual level.</summary>
    const int CompressionLevel = 1;

    /// <summary>What has more is sealed, so that no object is too large; see <see cref="Slice.MaxSize"/>.</summary>
    const int MaxSamples = 1_000_000;
    const int MaxBytes = 48 << 20;

    /// <summary>The most that a float takes, and a bucket of a histogram.</summary>
    const int FloatBytes = 36;
    const int BucketBytes = 10;

    readonly SymbolMap _symbols = new();
    readonly NumbersByRef _byRef = new();
    readonly Dictionary<Labels, int> _byLabels = [];
    readonly Dictionary<string, int> _texts = new(StringComparer.Ordinal);
    readonly ByteWriter _series = new(4096);
    readonly ByteWriter _sections = new(4096);
    readonly ByteWriter _section = new(4096);
    readonly Compressor _compressor = new(CompressionLevel);
    readonly List<SliceHistogram> _histograms = [];
    readonly List<int> _numbers = [];
    readonly List<int> _names = [];
    readonly List<int> _values = [];
    SliceSample[] _samples = [];
    int[] _order = [];
    int _count;
    int _seriesCount;
    long _histogramBytes;

    /// <summary>Whether it is time to pack.</summary>
    public bool IsFull => _count + _histograms.Count >= MaxSamples
        || _symbols.Texts.Length + _series.Length + ((long)_count * FloatBytes) + _histogramBytes > MaxBytes;

    /// <summary>Adds what was committed; samples of series that were dropped since are lost.</summary>
    /// <param name="full">Called when it is full, to pack.</param>
    /// <returns>What was lost, with what the tap had lost before.</returns>
    public LostSamples Add(CommitTap tap, TappedCommit commit, Action full)
    {
        var lost = commit.Gap is { } gap ? LostSamples.None.And(gap.Samples, gap.Range) : LostSamples.None;
        foreach (ref readonly var sample in commit.Samples.Span)
        {
            if (IsFull)
            {
                full();
            }

            if (SeriesOf(tap, sample.Series) is >= 0 and var series)
            {
                Add(new SliceSample(series, sample.Timestamp, sample.Value, sample.StartTimestamp));
            }
            else
            {
                lost = lost.And(1, new TimeRange(sample.Timestamp, sample.Timestamp));
            }
        }

        foreach (var sample in commit.Histograms)
        {
            if (IsFull)
            {
                full();
            }

            if (SeriesOf(tap, sample.Series) is >= 0 and var series)
            {
                Add(new SliceHistogram(series, sample.Timestamp, sample.Histogram, sample.StartTimestamp));
            }
            else
            {
                lost = lost.And(1, new TimeRange(sample.Timestamp, sample.Timestamp));
            }
        }

        return lost;
    }

    /// <summary>Adds the samples of a series.</summary>
    public void Add(Labels labels, ISampleIterator samples)
    {
        var (series, batch) = (SeriesOf(labels), new SampleBatch());
        while (samples.Read(batch))
        {
            for (var i = 0; i < batch.Count; i++)
            {
                var start = batch.HasStartTimestamps ? batch.StartTimestamps[i] : 0;
                if (batch.Kind == SampleKind.Histogram)
                {
                    Add(new SliceHistogram(series, batch.Timestamps[i], batch.Histograms[i], start));
                }
                else
                {
                    Add(new SliceSample(series, batch.Timestamps[i], batch.Values[i], start));
                }
            }
        }
    }

    /// <summary>Packs what was gathered, and begins anew.</summary>
    public PackedSamples Pack()
    {
        var floats = Sorted();
        SortHistograms();
        var range = new TimeRange(long.MaxValue, long.MinValue);
        foreach (ref readonly var sample in floats)
        {
            range = new TimeRange(Math.Min(range.MinTime, sample.Time), Math.Max(range.MaxTime, sample.Time));
        }

        foreach (var sample in _histograms)
        {
            range = new TimeRange(Math.Min(range.MinTime, sample.Time), Math.Max(range.MaxTime, sample.Time));
        }

        _sections.Clear();
        _section.UVarint((ulong)_symbols.Count);
        _section.Raw(_symbols.Texts);
        Flush(SectionType.Symbols);
        _section.UVarint((ulong)_seriesCount);
        _section.Raw(_series.Written);
        Flush(SectionType.Series);
        FloatColumns.Write(_section, floats);
        Flush(SectionType.Floats);
        if (_histograms.Count > 0)
        {
            WriteHistograms();
            Flush(SectionType.Histograms);
        }

        var packed = new PackedSamples(Compressed(), _seriesCount, floats.Length + _histograms.Count, range);
        Clear();
        return packed;
    }

    public void Dispose()
    {
        _symbols.Dispose();
        _series.Dispose();
        _sections.Dispose();
        _section.Dispose();
        _compressor.Dispose();
    }

    void Add(in SliceSample sample)
    {
        if (_count == _samples.Length)
        {
            Array.Resize(ref _samples, Math.Max(1024, _count * 2));
        }

        _samples[_count++] = sample;
    }

    void Add(in SliceHistogram sample)
    {
        _histograms.Add(sample);
        var (histogram, encoded) = (sample.Histogram, FloatBytes * 2);
        encoded += BucketBytes * (histogram.PositiveBuckets.Length + histogram.NegativeBuckets.Length);
        encoded += BucketBytes * (histogram.PositiveSpans.Length + histogram.NegativeSpans.Length);
        _histogramBytes += encoded + (BucketBytes * (histogram.CustomValues?.Length ?? 0));
    }

    /// <summary>-1 when the series is gone.</summary>
    int SeriesOf(CommitTap tap, Tsdb.Ingest.SeriesRef reference)
    {
        ref var series = ref _byRef.Of(reference.Value);
        if (series == 0)
        {
            _numbers.Clear();
            series = tap.TryReadLabels(reference, _symbols, _numbers) ? AddSeries() + 1 : -1;
        }

        return series > 0 ? series - 1 : -1;
    }

    int SeriesOf(Labels labels)
    {
        if (_byLabels.TryGetValue(labels, out var series))
        {
            return series;
        }

        _numbers.Clear();
        foreach (var label in labels)
        {
            _numbers.Add(NumberOf(label.Name));
            _numbers.Add(NumberOf(label.Value));
        }

        series = AddSeries();
        _byLabels.Add(labels.Copy(), series);
        return series;
    }

    int NumberOf(ReadOnlySpan<byte> text)
    {
        var key = Encoding.Latin1.GetString(text);
        if (!_texts.TryGetValue(key, out var number))
        {
            _texts.Add(key, number = _symbols.Add(text));
        }

        return number;
    }

    /// <summary>Writes the series whose labels are in the list of numbers.</summary>
    int AddSeries()
    {
        var labels = _numbers.Count / 2;
        var same = _names.Count == labels && _seriesCount > 0;
        for (var i = 0; i < labels && same; i++)
        {
            same = _names[i] == _numbers[2 * i];
        }

        _series.UVarint(same ? 0 : (ulong)labels + 1);
        if (!same)
        {
            _names.Clear();
            for (var i = 0; i < labels; i++)
            {
                _names.Add(_numbers[2 * i]);
                _series.UVarint((ulong)_numbers[2 * i]);
            }
        }

        for (var i = 0; i < labels; i++)
        {
            if (i == _values.Count)
            {
                _values.Add(0);
            }

            _series.Varint(_numbers[(2 * i) + 1] - _values[i]);
            _values[i] = _numbers[(2 * i) + 1];
        }

        _values.RemoveRange(labels, _values.Count - labels);
        return _seriesCount++;
    }

    /// <summary>By series, then in the order in which they came; what is not newer than the one before is left out.</summary>
    ReadOnlySpan<SliceSample> Sorted()
    {
        var starts = new int[_seriesCount + 1];
        for (var i = 0; i < _count; i++)
        {
            starts[_samples[i].Series + 1]++;
        }

        for (var i = 0; i < _seriesCount; i++)
        {
            starts[i + 1] += starts[i];
        }

        if (_order.Length < _count)
        {
            _order = new int[_samples.Length];
        }

        for (var i = 0; i < _count; i++)
        {
            _order[i] = starts[_samples[i].Series]++;
        }

        // Each is put where it belongs until the one comes that belongs here.
        for (var i = 0; i < _count; i++)
        {
            while (_order[i] is var to && to != i)
            {
                (_samples[i], _samples[to]) = (_samples[to], _samples[i]);
                (_order[i], _order[to]) = (_order[to], to);
            }
        }

        var kept = 0;
        for (var i = 0; i < _count; i++)
        {
            if (kept == 0 || _samples[kept - 1].Series != _samples[i].Series || _samples[kept - 1].Time < _samples[i].Time)
            {
                _samples[kept++] = _samples[i];
            }
        }

        return _samples.AsSpan(0, kept);
    }

    /// <summary>As floats are.</summary>
    void SortHistograms()
    {
        _histograms.Sort((a, b) => a.Series != b.Series ? a.Series.CompareTo(b.Series) : a.Time.CompareTo(b.Time));
        var kept = 0;
        foreach (var sample in _histograms.ToArray())
        {
            if (kept == 0 || _histograms[kept - 1].Series != sample.Series || _histograms[kept - 1].Time < sample.Time)
            {
                _histograms[kept++] = sample;
            }
        }

        _histograms.RemoveRange(kept, _histograms.Count - kept);
    }

    void WriteHistograms()
    {
        var chunks = new List<(int Series, HistogramAppender Chunk)>();
        foreach (var (series, time, histogram, start) in _histograms)
        {
            if (chunks.Count > 0 && chunks[^1].Series == series && (start == 0 || chunks[^1].Chunk.HasStarts)
                && chunks[^1].Chunk.TryAppend(time, histogram, start))
            {
                continue;
            }

            var chunk = new HistogramAppender(histogram, hasStarts: start != 0);
            if (!chunk.TryAppend(time, histogram, start))
            {
                throw new InvalidOperationException("an empty chunk refuses a histogram");
            }

            chunks.Add((series, chunk));
        }

        _section.UVarint((ulong)chunks.Count);
        foreach (var (series, chunk) in chunks)
        {
            _section.UVarint((ulong)series);
            _section.Byte((byte)chunk.Encoding);
            _section.LengthPrefixed(chunk.Written);
        }
    }

    void Flush(SectionType type)
    {
        _sections.UVarint((ulong)type);
        _sections.LengthPrefixed(_section.Written);
        _section.Clear();
    }

    byte[] Compressed()
    {
        var compressed = _compressor.Wrap(_sections.Written);
        using var content = new ByteWriter(compressed.Length + 16);
        content.Byte((byte)SliceCompression.Zstd);
        content.UVarint((ulong)_sections.Length);
        content.LengthPrefixed(compressed);
        return content.Written.ToArray();
    }

    void Clear()
    {
        _symbols.Clear();
        _byRef.Clear();
        _byLabels.Clear();
        _texts.Clear();
        _series.Clear();
        _histograms.Clear();
        _names.Clear();
        _values.Clear();
        (_count, _seriesCount, _histogramBytes) = (0, 0, 0);
    }
}
