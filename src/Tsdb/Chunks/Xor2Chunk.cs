using System.Buffers.Binary;
using System.Numerics;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Chunks;

/// <summary>
/// An open XOR2 chunk (docs/format/chunks.md): floats with start timestamps, a staleness marker in three to five bits. Written only
/// where samples have start timestamps, since not every reader knows it.
/// </summary>
public sealed class Xor2Appender
{
    public const int HeaderSize = 3;

    BitWriter _bits = new(new byte[128], HeaderSize);
    StartTimestampWriter _starts = new(HeaderSize - 1);
    ulong _value;
    long _delta;
    byte _leading = 0xff;
    byte _trailing;

    public int Count { get; private set; }

    public long MaxTime { get; private set; }

    public int Length => _bits.Length;

    public ReadOnlySpan<byte> Written => _bits.Written;

    public void Append(long timestamp, double value, long start)
    {
        var bits = BitConverter.DoubleToUInt64Bits(value);
        var delta = timestamp - MaxTime;
        if (Count == 0)
        {
            _bits.SignedVarint(timestamp);
            _bits.Bits(bits, 64);
        }
        else if (Count == 1)
        {
            _bits.UVarint((ulong)delta);
            WriteValue(bits);
        }
        else
        {
            WriteJoint(delta - _delta, bits);
        }

        _starts.Write(ref _bits, Count, timestamp, MaxTime, start);
        _delta = Count == 0 ? 0 : delta;
        MaxTime = timestamp;
        if (bits != StaleMarker.Bits)
        {
            _value = bits;
        }

        BinaryPrimitives.WriteUInt16BigEndian(_bits.Buffer, checked((ushort)++Count));
    }

    void WriteJoint(long deltaOfDelta, ulong bits)
    {
        if (deltaOfDelta == 0)
        {
            if (bits == StaleMarker.Bits)
            {
                _bits.Bits(0b11111, 5);
            }
            else if (bits == _value)
            {
                _bits.Bits(0, 1);
            }
            else
            {
                _bits.Bits(0b10, 2);
                WriteChanged(bits ^ _value, 1);
            }

            return;
        }

        var value = (ulong)deltaOfDelta;
        if (deltaOfDelta is >= -(1 << 12) and < 1 << 12)
        {
            _bits.Bits((0b110UL << 13) | (value & 0x1fff), 16);
        }
        else if (deltaOfDelta is >= -(1 << 19) and < 1 << 19)
        {
            _bits.Bits((0b1110UL << 20) | (value & 0xfffff), 24);
        }
        else
        {
            _bits.Bits(0b11110, 5);
            _bits.Bits(value, 64);
        }

        WriteValue(bits);
    }

    void WriteValue(ulong bits)
    {
        if (bits == StaleMarker.Bits)
        {
            _bits.Bits(0b111, 3);
        }
        else if (bits == _value)
        {
            _bits.Bits(0, 1);
        }
        else
        {
            WriteChanged(bits ^ _value, 2);
        }
    }

    /// <summary>A value that differs: in the window in use (0, or 10) or in a new one (1, or 110).</summary>
    void WriteChanged(ulong changed, int prefix)
    {
        var leading = Math.Min(BitOperations.LeadingZeroCount(changed), 31);
        var trailing = BitOperations.TrailingZeroCount(changed);
        if (_leading != 0xff && leading >= _leading && trailing >= _trailing)
        {
            _bits.Bits(prefix == 1 ? 0b0UL : 0b10UL, prefix);
            _bits.Bits(changed >> _trailing, 64 - _leading - _trailing);
            return;
        }

        (_leading, _trailing) = ((byte)leading, (byte)trailing);
        var significant = 64 - leading - trailing;
        _bits.Bits(prefix == 1 ? 0b1UL : 0b110UL, prefix == 1 ? 1 : 3);
        _bits.Bits(((ulong)leading << 6) | ((ulong)significant & 0x3f), 11);
        _bits.Bits(changed >> trailing, significant);
    }
}

/// <summary>An XOR2 chunk's samples.</summary>
sealed class Xor2Iterator : ChunkIterator
{
    readonly ReadOnlyMemory<byte> _data;
    readonly string _source;
    readonly long _origin;
    readonly int _count;
    readonly bool _hasStarts;
    StartTimestampReader _starts;
    long _position = Xor2Appender.HeaderSize * 8;
    int _read;
    long _time;
    long _delta;
    ulong _value;
    byte _leading;
    byte _trailing;

    public Xor2Iterator(ReadOnlyMemory<byte> data, string source, long origin)
    {
        CheckHeader(data, Xor2Appender.HeaderSize, source, origin);
        (_data, _source, _origin) = (data, source, origin);
        _count = XorChunk.Count(data.Span);
        var header = data.Span[Xor2Appender.HeaderSize - 1];
        _hasStarts = header != 0;
        _starts = new StartTimestampReader(header);
    }

    public override bool IsExhausted => _read == _count;

    public override int Append(SampleBatch batch)
    {
        if (_read == _count || !Accepts(batch, SampleKind.Float, _hasStarts))
        {
            return 0;
        }

        var bits = BitReader.At(_data.Span, _position, _source, _origin);
        var from = batch.Count;
        for (; batch.Count < batch.Capacity && _read < _count; _read++)
        {
            var previous = _time;
            var value = _read switch { 0 => First(ref bits), 1 => Second(ref bits), _ => Joint(ref bits) };
            var start = _starts.Read(ref bits, _read, _time, previous);
            batch.Timestamps[batch.Count] = _time;
            batch.Values[batch.Count] = BitConverter.UInt64BitsToDouble(value);
            if (_hasStarts)
            {
                batch.StartTimestamps[batch.Count] = start;
            }

            batch.Count++;
        }

        _position = bits.Position;
        return batch.Count - from;
    }

    ulong First(ref BitReader bits)
    {
        _time = bits.SignedVarint();
        var value = bits.Bits(64);
        _value = value == StaleMarker.Bits ? 0 : value;
        return value;
    }

    ulong Second(ref BitReader bits)
    {
        _delta = (long)bits.UVarint();
        _time += _delta;
        return Value(ref bits);
    }

    ulong Joint(ref BitReader bits)
    {
        var ones = 0;
        while (ones < 5 && bits.Bit())
        {
            ones++;
        }

        if (ones is >= 2 and <= 4)
        {
            var size = ones == 2 ? 13 : ones == 3 ? 20 : 64;
            _delta += (long)(bits.Bits(size) << (64 - size)) >> (64 - size);
        }

        _time += _delta;
        return ones switch
        {
            0 => _value,
            1 => Changed(ref bits, newWindow: bits.Bit()),
            5 => StaleMarker.Bits,
            _ => Value(ref bits),
        };
    }

    ulong Value(ref BitReader bits)
    {
        if (!bits.Bit())
        {
            return _value;
        }

        if (!bits.Bit())
        {
            return Changed(ref bits, newWindow: false);
        }

        return bits.Bit() ? StaleMarker.Bits : Changed(ref bits, newWindow: true);
    }

    ulong Changed(ref BitReader bits, bool newWindow)
    {
        if (newWindow)
        {
            XorValue.ReadWindow(ref bits, ref _leading, ref _trailing, _source, _origin);
        }

        return _value ^= bits.Bits(64 - _leading - _trailing) << _trailing;
    }
}
