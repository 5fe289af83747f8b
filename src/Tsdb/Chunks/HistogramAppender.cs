using System.Buffers.Binary;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Chunks;

/// <summary>
/// The four histogram encodings are one: integers are written as varbit differences of differences, floats as XOR, and a chunk with
/// start timestamps has its counter-reset bits with the sample count instead of in a byte of their own.
/// </summary>
readonly record struct HistogramForm(bool IsInteger, bool HasStarts)
{
    public const int HeaderSize = 3;

    /// <summary>A chunk of more bytes than this takes no further sample once it has <see cref="MinSamples"/>.</summary>
    public const int TargetBytes = 1024;

    public const int MinSamples = 10;

    public ChunkEncoding Encoding => (IsInteger, HasStarts) switch
    {
        (true, false) => ChunkEncoding.Histogram,
        (false, false) => ChunkEncoding.FloatHistogram,
        (true, true) => ChunkEncoding.HistogramWithStart,
        _ => ChunkEncoding.FloatHistogramWithStart,
    };

    public int MaxCount => HasStarts ? 0x3fff : ushort.MaxValue;

    public static HistogramForm Of(ChunkEncoding encoding) => new(
        encoding is ChunkEncoding.Histogram or ChunkEncoding.HistogramWithStart,
        encoding is ChunkEncoding.HistogramWithStart or ChunkEncoding.FloatHistogramWithStart);

    public int Count(ReadOnlySpan<byte> data) => BinaryPrimitives.ReadUInt16BigEndian(data) & MaxCount;

    public CounterResetHint Reset(ReadOnlySpan<byte> data) => (data[HasStarts ? 0 : 2] >> 6) switch
    {
        0b10 => CounterResetHint.CounterReset,
        0b01 => CounterResetHint.NotCounterReset,
        0b11 => CounterResetHint.Gauge,
        _ => CounterResetHint.Unknown,
    };

    public void WriteHeader(Span<byte> data, int count, CounterResetHint reset)
    {
        var code = reset switch
        {
            CounterResetHint.CounterReset => 0b10,
            CounterResetHint.NotCounterReset => 0b01,
            CounterResetHint.Gauge => 0b11,
            _ => 0,
        };
        if (HasStarts)
        {
            BinaryPrimitives.WriteUInt16BigEndian(data, (ushort)(count | (code << 14)));
        }
        else
        {
            BinaryPrimitives.WriteUInt16BigEndian(data, (ushort)count);
            data[2] = (byte)(code << 6);
        }
    }
}

/// <summary>
/// One number of a histogram from sample to sample: an integer and its last difference, or a float's bits and its XOR window.
/// </summary>
struct HistogramField
{
    public ulong Value;
    public long Delta;
    public byte Leading;
    public byte Trailing;
}

/// <summary>
/// An open histogram chunk. A histogram with new buckets rewrites the chunk with room for them; one that can't follow the chunk's
/// samples (counter reset, other schema, bounds or threshold, after staleness) is refused, and starts a new chunk.
/// </summary>
public sealed class HistogramAppender
{
    readonly HistogramForm _form;
    readonly CounterResetHint _reset;
    BitWriter _bits;
    StartTimestampWriter _starts;
    HistogramLayout _layout = new(0, 0, [], [], null);
    HistogramField[] _fields = [];
    HistogramField _sum;
    long _delta;
    Histogram? _last;

    /// <summary>An empty chunk for a histogram, which is to be appended next.</summary>
    /// <param name="previous">
    /// The chunk before of the same series, for the note on a counter reset in the new chunk's header; null where there is none.
    /// </param>
    /// <param name="hasStarts">Whether samples have start timestamps.</param>
    public HistogramAppender(Histogram first, HistogramAppender? previous = null, bool hasStarts = false)
        : this(
            new HistogramForm(first.IsInteger, hasStarts),
            first.CounterResetHint is CounterResetHint.Gauge or CounterResetHint.CounterReset ? first.CounterResetHint
                : previous is null || previous._form.IsInteger != first.IsInteger ? CounterResetHint.Unknown
                : previous.Judge(first))
    {
    }

    HistogramAppender(HistogramForm form, CounterResetHint reset)
    {
        (_form, _reset) = (form, reset);
        Clear();
    }

    public ChunkEncoding Encoding => _form.Encoding;

    public bool HasStarts => _form.HasStarts;

    public int Count { get; private set; }

    /// <summary>Whether the next histogram had better go into another chunk.</summary>
    public bool IsFull => Length > HistogramForm.TargetBytes && Count >= HistogramForm.MinSamples;

    public long MinTime { get; private set; }

    public long MaxTime { get; private set; }

    public byte[] Buffer => _bits.Buffer;

    /// <summary>Bytes in use, header included.</summary>
    public int Length => _bits.Length;

    public ReadOnlySpan<byte> Written => _bits.Written;

    /// <summary>False when the histogram needs a new chunk; the chunk is as it was then.</summary>
    /// <param name="histogram">Not kept and not changed.</param>
    /// <param name="start">When the counter started; only in chunks that have start timestamps.</param>
    public bool TryAppend(long timestamp, Histogram histogram, long start = 0)
    {
        if (!CanAppend(histogram))
        {
            return false;
        }

        if (Count == 0)
        {
            _layout = HistogramLayout.Of(histogram);
        }
        else if (!histogram.IsStale)
        {
            histogram = FitLayout(histogram);
        }

        Write(timestamp, histogram, start);
        return true;
    }

    /// <summary>Whether a histogram can follow the chunk's last sample.</summary>
    public bool CanAppend(Histogram histogram)
    {
        if (histogram.IsInteger != _form.IsInteger || Count == _form.MaxCount)
        {
            return false;
        }

        if (Count == 0)
        {
            return true;
        }

        var gauge = _reset == CounterResetHint.Gauge;
        return (histogram.IsStale || gauge == (histogram.CounterResetHint == CounterResetHint.Gauge))
            && (gauge ? SameShape(histogram) : Judge(histogram) == CounterResetHint.NotCounterReset);
    }

    /// <summary>
    /// Whether a counter histogram after this chunk's last sample is a reset; unknown when only a comparison of different layouts could
    /// tell.
    /// </summary>
    CounterResetHint Judge(Histogram histogram)
    {
        if (histogram.CounterResetHint == CounterResetHint.CounterReset)
        {
            return CounterResetHint.CounterReset;
        }

        if (_last is null || _reset == CounterResetHint.Gauge)
        {
            return CounterResetHint.Unknown;
        }

        if (histogram.IsStale)
        {
            return CounterResetHint.NotCounterReset;
        }

        if (_last.IsStale)
        {
            return CounterResetHint.Unknown;
        }

        if (histogram.Count < _last.Count)
        {
            return CounterResetHint.CounterReset;
        }

        if (histogram.Schema != _layout.Schema || histogram.ZeroThreshold != _layout.ZeroThreshold)
        {
            return CounterResetHint.Unknown;
        }

        return !SameShape(histogram)
            || histogram.ZeroCount < _last.ZeroCount
            || AnyFell(_layout.PositiveSpans, _last.PositiveBuckets, histogram.PositiveSpans, histogram.PositiveBuckets)
            || AnyFell(_layout.NegativeSpans, _last.NegativeBuckets, histogram.NegativeSpans, histogram.NegativeBuckets)
            ? CounterResetHint.CounterReset
            : CounterResetHint.NotCounterReset;
    }

    bool SameShape(Histogram histogram) => histogram.IsStale || (_last is { IsStale: false }
        && histogram.Schema == _layout.Schema && histogram.ZeroThreshold == _layout.ZeroThreshold
        && (!histogram.UsesCustomBuckets || (histogram.CustomValues ?? []).AsSpan().SequenceEqual(_layout.CustomValues)));

    static bool AnyFell(BucketSpan[] spans, double[] counts, BucketSpan[] newSpans, double[] newCounts)
    {
        if (spans.AsSpan().SequenceEqual(newSpans))
        {
            for (var i = 0; i < counts.Length; i++)
            {
                if (newCounts[i] < counts[i])
                {
                    return true;
                }
            }

            return false;
        }

        var (old, now) = (SpanLayout.Indexes(spans), SpanLayout.Indexes(newSpans));
        var j = 0;
        for (var i = 0; i < old.Length; i++)
        {
            while (j < now.Length && now[j] < old[i])
            {
                j++;
            }

            if ((j < now.Length && now[j] == old[i] ? newCounts[j] : 0) < counts[i])
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>The histogram with the chunk's buckets, after the chunk got those that it lacked.</summary>
    Histogram FitLayout(Histogram histogram)
    {
        var positive = SpanLayout.Union(_layout.PositiveSpans, histogram.PositiveSpans);
        var negative = SpanLayout.Union(_layout.NegativeSpans, histogram.NegativeSpans);
        if (!ReferenceEquals(positive, _layout.PositiveSpans) || !ReferenceEquals(negative, _layout.NegativeSpans))
        {
            Rewrite(new HistogramLayout(_layout.Schema, _layout.ZeroThreshold, positive, negative, _layout.CustomValues));
        }

        return Fit(histogram);
    }

    Histogram Fit(Histogram histogram)
    {
        if (histogram.IsStale
            || (histogram.PositiveSpans.AsSpan().SequenceEqual(_layout.PositiveSpans)
                && histogram.NegativeSpans.AsSpan().SequenceEqual(_layout.NegativeSpans)))
        {
            return histogram;
        }

        return new Histogram
        {
            IsInteger = histogram.IsInteger,
            CounterResetHint = histogram.CounterResetHint,
            Schema = histogram.Schema,
            ZeroThreshold = histogram.ZeroThreshold,
            ZeroCount = histogram.ZeroCount,
            Count = histogram.Count,
            Sum = histogram.Sum,
            CustomValues = histogram.CustomValues,
            PositiveSpans = _layout.PositiveSpans,
            NegativeSpans = _layout.NegativeSpans,
            PositiveBuckets = SpanLayout.Expand(histogram.PositiveBuckets, histogram.PositiveSpans, _layout.PositiveSpans),
            NegativeBuckets = SpanLayout.Expand(histogram.NegativeBuckets, histogram.NegativeSpans, _layout.NegativeSpans),
        };
    }

    void Rewrite(HistogramLayout layout)
    {
        var samples = new HistogramIterator(_form.Encoding, Written.ToArray(), "open chunk", 0, reduceSchema: false);
        var batch = new SampleBatch(Count);
        samples.Append(batch);
        _layout = layout;
        Clear();
        for (var i = 0; i < batch.Count; i++)
        {
            Write(batch.Timestamps[i], Fit(batch.Histograms[i]), batch.HasStartTimestamps ? batch.StartTimestamps[i] : 0);
        }
    }

    void Clear()
    {
        Count = 0;
        _bits = new BitWriter(new byte[128], HistogramForm.HeaderSize);
        _starts = new StartTimestampWriter(HistogramForm.HeaderSize - 1);
        _sum = new HistogramField { Leading = 0xff };
        _delta = 0;
    }

    void Write(long timestamp, Histogram histogram, long start)
    {
        var first = Count == 0;
        var previous = MaxTime;
        if (first)
        {
            _layout.Write(ref _bits);
            Varbit.Write(ref _bits, timestamp);
            _fields = new HistogramField[2 + _layout.PositiveCount + _layout.NegativeCount];
            _fields.AsSpan().Fill(new HistogramField { Leading = 0xff });
            MinTime = timestamp;
        }
        else
        {
            Varbit.Write(ref _bits, timestamp - previous - _delta);
            _delta = timestamp - previous;
        }

        var stale = histogram.IsStale;
        WriteField(ref _fields[0], stale ? 0 : histogram.Count, first, unsigned: true, stale);
        WriteField(ref _fields[1], stale ? 0 : histogram.ZeroCount, first, unsigned: true, stale);
        WriteFloat(ref _sum, BitConverter.DoubleToUInt64Bits(histogram.Sum), first);
        if (!stale)
        {
            WriteBuckets(histogram.PositiveBuckets, 2, first);
            WriteBuckets(histogram.NegativeBuckets, 2 + _layout.PositiveCount, first);
        }

        if (_form.HasStarts)
        {
            _starts.Write(ref _bits, Count, timestamp, previous, start);
        }

        MaxTime = timestamp;
        Remember(histogram);
        Count++;
        if (first && _form.HasStarts)
        {
            var starts = _bits.Buffer[2];
            _form.WriteHeader(_bits.Buffer, Count, _reset);
            _bits.Buffer[2] = starts;
        }
        else
        {
            _form.WriteHeader(_bits.Buffer, Count, _reset);
        }
    }

    void Remember(Histogram histogram)
    {
        _last ??= new Histogram();
        (_last.Count, _last.ZeroCount, _last.Sum) = (histogram.Count, histogram.ZeroCount, histogram.Sum);
        _last.PositiveBuckets = Keep(_last.PositiveBuckets, histogram.PositiveBuckets);
        _last.NegativeBuckets = Keep(_last.NegativeBuckets, histogram.NegativeBuckets);

        static double[] Keep(double[] kept, double[] counts)
        {
            if (kept.Length != counts.Length)
            {
                return [.. counts];
            }

            counts.CopyTo(kept, 0);
            return kept;
        }
    }

    void WriteBuckets(double[] counts, int from, bool first)
    {
        var below = 0.0;
        for (var i = 0; i < counts.Length; i++)
        {
            WriteField(ref _fields[from + i], _form.IsInteger ? counts[i] - below : counts[i], first, unsigned: false, stale: false);
            below = counts[i];
        }
    }

    void WriteField(ref HistogramField field, double value, bool first, bool unsigned, bool stale)
    {
        if (!_form.IsInteger)
        {
            WriteFloat(ref field, BitConverter.DoubleToUInt64Bits(value), first);
            return;
        }

        var integer = (long)value;
        if (first)
        {
            if (unsigned)
            {
                Varbit.WriteUnsigned(ref _bits, (ulong)integer);
            }
            else
            {
                Varbit.Write(ref _bits, integer);
            }
        }
        else
        {
            var delta = integer - (long)field.Value;
            Varbit.Write(ref _bits, stale ? 0 : delta - field.Delta);
            field.Delta = delta;
        }

        field.Value = (ulong)integer;
    }

    void WriteFloat(ref HistogramField field, ulong bits, bool first)
    {
        if (first)
        {
            _bits.Bits(bits, 64);
        }
        else
        {
            XorValue.Write(ref _bits, bits, field.Value, ref field.Leading, ref field.Trailing);
        }

        field.Value = bits;
    }
}
