using Observe.Tsdb.Bytes;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Chunks;

/// <summary>
/// The samples of a chunk in any of the four histogram encodings. Histograms share spans and bounds: copy before changing one.
/// </summary>
sealed class HistogramIterator : ChunkIterator
{
    readonly HistogramForm _form;
    readonly ReadOnlyMemory<byte> _data;
    readonly string _source;
    readonly long _origin;
    readonly int _count;
    readonly CounterResetHint _reset;
    readonly bool _reduceSchema;
    StartTimestampReader _starts;
    HistogramLayout _layout = new(0, 0, [], [], null);
    HistogramField[] _fields = [];
    HistogramField _sum;
    long _position = HistogramForm.HeaderSize * 8;
    int _read;
    long _time;
    long _delta;

    /// <param name="reduceSchema">Whether histograms of a finer schema than 8 come at 8.</param>
    public HistogramIterator(ChunkEncoding encoding, ReadOnlyMemory<byte> data, string source, long origin, bool reduceSchema = true)
    {
        CheckHeader(data, HistogramForm.HeaderSize, source, origin);
        (_form, _data, _source, _origin, _reduceSchema) = (HistogramForm.Of(encoding), data, source, origin, reduceSchema);
        _count = _form.Count(data.Span);
        _reset = _form.Reset(data.Span);
        _starts = new StartTimestampReader(_form.HasStarts ? data.Span[2] : (byte)0);
    }

    public override bool IsExhausted => _read == _count;

    public override int Append(SampleBatch batch)
    {
        if (_read == _count || !Accepts(batch, SampleKind.Histogram, _form.HasStarts))
        {
            return 0;
        }

        var bits = BitReader.At(_data.Span, _position, _source, _origin);
        var from = batch.Count;
        for (; batch.Count < batch.Capacity && _read < _count; _read++)
        {
            var previous = _time;
            batch.Histograms[batch.Count] = Next(ref bits);
            batch.Timestamps[batch.Count] = _time;
            if (_form.HasStarts)
            {
                batch.StartTimestamps[batch.Count] = _starts.Read(ref bits, _read, _time, previous);
            }

            batch.Count++;
        }

        _position = bits.Position;
        return batch.Count - from;
    }

    Histogram Next(ref BitReader bits)
    {
        var first = _read == 0;
        if (first)
        {
            _layout = HistogramLayout.Read(ref bits, (_data.Length * 8L) - bits.Position, _source, _origin);
            _fields = new HistogramField[2 + _layout.PositiveCount + _layout.NegativeCount];
            _time = Varbit.Read(ref bits);
        }
        else
        {
            _delta += Varbit.Read(ref bits);
            _time += _delta;
        }

        ReadField(ref bits, ref _fields[0], first, unsigned: true);
        ReadField(ref bits, ref _fields[1], first, unsigned: true);
        ReadFloat(ref bits, ref _sum, first);
        var sum = BitConverter.UInt64BitsToDouble(_sum.Value);
        if (StaleMarker.IsStale(sum))
        {
            // Only the first sample of a chunk may have no layout; buckets of a stale one are never written.
            return new Histogram { IsInteger = _form.IsInteger, Sum = sum };
        }

        for (var i = 2; i < _fields.Length; i++)
        {
            ReadField(ref bits, ref _fields[i], first, unsigned: false);
        }

        var histogram = new Histogram
        {
            IsInteger = _form.IsInteger,
            CounterResetHint = _reset == CounterResetHint.Gauge ? CounterResetHint.Gauge
                : first ? CounterResetHint.Unknown : CounterResetHint.NotCounterReset,
            Schema = _layout.Schema,
            ZeroThreshold = _layout.ZeroThreshold,
            Count = Number(_fields[0]),
            ZeroCount = Number(_fields[1]),
            Sum = sum,
            PositiveSpans = _layout.PositiveSpans,
            NegativeSpans = _layout.NegativeSpans,
            PositiveBuckets = Buckets(_fields.AsSpan(2, _layout.PositiveCount)),
            NegativeBuckets = Buckets(_fields.AsSpan(2 + _layout.PositiveCount)),
            CustomValues = _layout.CustomValues,
        };
        if (_reduceSchema && histogram.Schema > Histogram.MaxExponentialSchema)
        {
            histogram.ReduceResolution(Histogram.MaxExponentialSchema);
        }

        return histogram;
    }

    double[] Buckets(ReadOnlySpan<HistogramField> fields)
    {
        if (fields.IsEmpty)
        {
            return [];
        }

        var counts = new double[fields.Length];
        var sum = 0L;
        for (var i = 0; i < counts.Length; i++)
        {
            sum += (long)fields[i].Value;
            counts[i] = _form.IsInteger ? sum : BitConverter.UInt64BitsToDouble(fields[i].Value);
        }

        return counts;
    }

    double Number(HistogramField field) => _form.IsInteger ? field.Value : BitConverter.UInt64BitsToDouble(field.Value);

    void ReadField(ref BitReader bits, ref HistogramField field, bool first, bool unsigned)
    {
        if (!_form.IsInteger)
        {
            ReadFloat(ref bits, ref field, first);
        }
        else if (first)
        {
            field.Value = unsigned ? Varbit.ReadUnsigned(ref bits) : (ulong)Varbit.Read(ref bits);
        }
        else
        {
            field.Delta += Varbit.Read(ref bits);
            field.Value += (ulong)field.Delta;
        }
    }

    void ReadFloat(ref BitReader bits, ref HistogramField field, bool first)
    {
        if (first)
        {
            field.Value = bits.Bits(64);
        }
        else
        {
            XorValue.Read(ref bits, ref field.Value, ref field.Leading, ref field.Trailing, _source, _origin);
        }
    }
}
