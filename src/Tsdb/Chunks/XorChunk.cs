using System.Buffers.Binary;
using System.Numerics;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Chunks;

/// <summary>Sizes of float chunks, as Prometheus cuts them.</summary>
public static class XorChunk
{
    public const int HeaderSize = 2;

    /// <summary>Samples that a chunk is to have.</summary>
    public const int TargetSamples = 120;

    /// <summary>A chunk with more bytes than this takes no further sample, so that it stays within 1024 bytes.</summary>
    public const int MaxBytesBeforeAppend = 1024 - 19;

    /// <summary>The number of samples in the first two bytes of an XOR or XOR2 chunk.</summary>
    public static int Count(ReadOnlySpan<byte> data) => BinaryPrimitives.ReadUInt16BigEndian(data);
}

/// <summary>
/// An open XOR chunk (docs/format/chunks.md) in a buffer that grows: a small struct, to lie in arrays. One writer.
/// </summary>
/// <remarks>
/// A reader may decode a snapshot (buffer, length, count), taken while the writer stands still, without a copy and while the writer
/// goes on: bits that were written don't change, and the count is the reader's own (<see cref="XorDecoder"/> takes it as an argument).
/// </remarks>
public struct XorAppender
{
    BitWriter _bits;
    XorState _state;

    /// <summary>An empty chunk in a buffer of 32 bytes or more that it owns from now on.</summary>
    public XorAppender(byte[] buffer)
    {
        buffer[0] = buffer[1] = 0;
        _bits = new BitWriter(buffer, XorChunk.HeaderSize);
    }

    public readonly int Count => _state.Count;

    /// <summary>Timestamp of the last sample.</summary>
    public readonly long MaxTime => _state.MaxTime;

    public readonly double LastValue => _state.LastValue;

    /// <summary>The array that is written to at present; replaced as it fills.</summary>
    public readonly byte[] Buffer => _bits.Buffer;

    /// <summary>Bytes in use, header included.</summary>
    public readonly int Length => _bits.Length;

    /// <summary>The chunk so far, as it would be written to a file.</summary>
    public readonly ReadOnlySpan<byte> Written => _bits.Written;

    /// <summary>Timestamps must rise; at most 65535 samples.</summary>
    public void Append(long timestamp, double value)
    {
        _state.Append(ref _bits, timestamp, value);
        BinaryPrimitives.WriteUInt16BigEndian(_bits.Buffer, (ushort)_state.Count);
    }
}

/// <summary>What an open XOR chunk knows of its samples to write the next one, wherever its bits are.</summary>
struct XorState
{
    ulong _value;
    long _delta;
    ushort _count;
    byte _leading;
    byte _trailing;

    /// <summary>The longest that one sample can be.</summary>
    public const int MaxSampleBytes = 20;

    public readonly int Count => _count;

    /// <summary>Timestamp of the last sample.</summary>
    public long MaxTime { get; private set; }

    public readonly double LastValue => BitConverter.UInt64BitsToDouble(_value);

    /// <summary>Writes a sample at the end of those before it, but not the count in the chunk's header. Timestamps must rise.</summary>
    public void Append(ref BitWriter bits, long timestamp, double value)
    {
        var valueBits = BitConverter.DoubleToUInt64Bits(value);
        if (_count == 0)
        {
            _leading = 0xff;
            bits.SignedVarint(timestamp);
            bits.Bits(valueBits, 64);
        }
        else if (_count == 1)
        {
            _delta = timestamp - MaxTime;
            bits.UVarint((ulong)_delta);
            XorValue.Write(ref bits, valueBits, _value, ref _leading, ref _trailing);
        }
        else
        {
            var delta = timestamp - MaxTime;
            WriteDeltaOfDelta(ref bits, delta - _delta);
            _delta = delta;
            XorValue.Write(ref bits, valueBits, _value, ref _leading, ref _trailing);
        }

        MaxTime = timestamp;
        _value = valueBits;
        _count = checked((ushort)(_count + 1));
    }

    /// <summary>Ready for the first sample of a new chunk; the last sample stays known.</summary>
    public void Restart() => _count = 0;

    /// <summary>
    /// The last sample is in a chunk of another encoding: only its value is kept, and <see cref="Restart"/> comes before the next.
    /// </summary>
    public void Remember(double value) => _value = BitConverter.DoubleToUInt64Bits(value);

    static void WriteDeltaOfDelta(ref BitWriter bits, long value)
    {
        if (value == 0)
        {
            bits.Bits(0, 1);
        }
        else if (Varbit.Fits(value, 14))
        {
            bits.Bits((0b10UL << 14) | ((ulong)value & 0x3fff), 16);
        }
        else if (Varbit.Fits(value, 17))
        {
            bits.Bits((0b110UL << 17) | ((ulong)value & 0x1ffff), 20);
        }
        else if (Varbit.Fits(value, 20))
        {
            bits.Bits((0b1110UL << 20) | ((ulong)value & 0xfffff), 24);
        }
        else
        {
            bits.Bits(0b1111, 4);
            bits.Bits((ulong)value, 64);
        }
    }
}

/// <summary>Decodes an XOR chunk run by run; a struct of positions, the bytes are given anew to each call.</summary>
struct XorDecoder
{
    readonly int _count;
    int _read;
    int _position;
    long _time;
    long _delta;
    ulong _value;
    int _trailing;
    int _significant;

    /// <param name="count">How many samples to decode: the header's count or fewer.</param>
    public XorDecoder(int count)
    {
        _count = count;
        _position = XorChunk.HeaderSize * 8;
        _significant = 64;
    }

    public readonly int Remaining => _count - _read;

    /// <summary>Decodes the next samples, as many as there is room for; returns how many.</summary>
    /// <exception cref="CorruptionException">The bytes end early or can't be a chunk's.</exception>
    public int Read(ReadOnlySpan<byte> data, Span<long> timestamps, Span<double> values, string source, long origin)
    {
        var count = Math.Min(Remaining, timestamps.Length);
        values = values[..count];
        timestamps = timestamps[..count];
        var i = 0;
        for (; i < count && _read + i < 2; i++)
        {
            First(data, _read + i, source, origin);
            timestamps[i] = _time;
            values[i] = BitConverter.UInt64BitsToDouble(_value);
        }

        var (position, time, delta, value, trailing, significant) = (_position, _time, _delta, _value, _trailing, _significant);
        for (; i < timestamps.Length; i++)
        {
            var window = BitWindow.At(data, position);
            if (window >> 62 == 0)
            {
                // Neither the interval nor the value changed.
                position += 2;
                time += delta;
                timestamps[i] = time;
                values[i] = BitConverter.UInt64BitsToDouble(value);
                continue;
            }

            var left = BitWindow.Size;
            if ((long)window >= 0)
            {
                position++;
                left--;
                window <<= 1;
            }
            else
            {
                delta += DeltaOfDelta(data, ref position);
                window = BitWindow.At(data, position);
            }

            time += delta;
            timestamps[i] = time;
            if ((long)window < 0)
            {
                if (window >> 62 == 3)
                {
                    significant = (int)(window >> (64 - 13)) & 0x3f;
                    significant = significant == 0 ? 64 : significant;
                    trailing = 64 - significant - ((int)(window >> (64 - 7)) & 0x1f);
                    if (trailing < 0)
                    {
                        CorruptionException.Throw(source, origin + (position / 8), "an XOR value of more than 64 bits");
                    }

                    position += 13;
                    window <<= 13;
                    left -= 13;
                }
                else
                {
                    position += 2;
                    window <<= 2;
                    left -= 2;
                }

                value ^= (significant <= left ? window >> (64 - significant) : BitWindow.Bits(data, position, significant)) << trailing;
                position += significant;
            }
            else
            {
                position++;
            }

            values[i] = BitConverter.UInt64BitsToDouble(value);
        }

        if (position > data.Length * 8)
        {
            CorruptionException.Throw(source, origin + data.Length, "unexpected end of chunk");
        }

        (_position, _time, _delta, _value, _trailing, _significant) = (position, time, delta, value, trailing, significant);
        _read += count;
        return count;
    }

    static long DeltaOfDelta(ReadOnlySpan<byte> data, ref int position)
    {
        var window = BitWindow.At(data, position);
        var ones = BitOperations.LeadingZeroCount(~window);
        if (ones >= 4)
        {
            var value = BitWindow.Bits(data, position + 4, 64);
            position += 68;
            return (long)value;
        }

        var size = ones == 1 ? 14 : ones == 2 ? 17 : 20;
        position += ones + 1 + size;
        return Varbit.Signed((window << (ones + 1)) >> (64 - size), size);
    }

    /// <summary>The first sample has a varint and eight bytes; the second a uvarint of the interval and an XOR value.</summary>
    void First(ReadOnlySpan<byte> data, int index, string source, long origin)
    {
        var reader = new ByteReader(data, source, origin);
        reader.Skip(_position / 8);
        if (index == 0)
        {
            _time = reader.Varint();
            _value = reader.UInt64();
            _position = reader.Position * 8;
            return;
        }

        _delta = (long)reader.UVarint();
        _time += _delta;
        var bits = BitReader.At(data, reader.Position * 8, source, origin);
        byte leading = 0, trailing = 0;
        XorValue.Read(ref bits, ref _value, ref leading, ref trailing, source, origin);
        (_trailing, _significant) = (trailing, 64 - leading - trailing);
        _position = (int)bits.Position;
    }
}

/// <summary>An XOR chunk's samples. Reusable for other chunks through <see cref="Reset"/>.</summary>
sealed class XorIterator : ChunkIterator
{
    ReadOnlyMemory<byte> _data;
    XorDecoder _decoder;
    string _source = "";
    long _origin;

    public XorIterator(ReadOnlyMemory<byte> data, string source, long origin) => Reset(data, source, origin);

    /// <summary>The first samples of a chunk that is still open.</summary>
    public XorIterator(ReadOnlyMemory<byte> data, int count, string source)
    {
        Reset(data, source, 0);
        _decoder = new XorDecoder(count);
    }

    public void Reset(ReadOnlyMemory<byte> data, string source, long origin)
    {
        CheckHeader(data, XorChunk.HeaderSize, source, origin);
        (_data, _source, _origin) = (data, source, origin);
        _decoder = new XorDecoder(XorChunk.Count(data.Span));
    }

    public override bool IsExhausted => _decoder.Remaining == 0;

    public override int Append(SampleBatch batch)
    {
        if (_decoder.Remaining == 0 || !Accepts(batch, SampleKind.Float, startTimestamps: false))
        {
            return 0;
        }

        var read = _decoder.Read(
            _data.Span, batch.Timestamps.AsSpan(batch.Count), batch.Values.AsSpan(batch.Count), _source, _origin);
        batch.Count += read;
        return read;
    }
}

/// <summary>One float after another as XOR with the one before: how sums, counts and buckets of histograms are written as well.</summary>
static class XorValue
{
    public static void Write(ref BitWriter bits, ulong value, ulong previous, ref byte leading, ref byte trailing)
    {
        var changed = value ^ previous;
        if (changed == 0)
        {
            bits.Bits(0, 1);
            return;
        }

        var newLeading = Math.Min(BitOperations.LeadingZeroCount(changed), 31);
        var newTrailing = BitOperations.TrailingZeroCount(changed);
        if (leading != 0xff && newLeading >= leading && newTrailing >= trailing)
        {
            bits.Bits(0b10, 2);
            bits.Bits(changed >> trailing, 64 - leading - trailing);
            return;
        }

        (leading, trailing) = ((byte)newLeading, (byte)newTrailing);
        var significant = 64 - newLeading - newTrailing;
        bits.Bits((0b11UL << 11) | ((ulong)newLeading << 6) | ((ulong)significant & 0x3f), 13);
        bits.Bits(changed >> newTrailing, significant);
    }

    public static void Read(ref BitReader bits, ref ulong value, ref byte leading, ref byte trailing, string source, long origin)
    {
        if (!bits.Bit())
        {
            return;
        }

        if (bits.Bit())
        {
            ReadWindow(ref bits, ref leading, ref trailing, source, origin);
        }

        value ^= bits.Bits(64 - leading - trailing) << trailing;
    }

    /// <summary>Five bits of leading zeroes and six of length, 0 standing for 64.</summary>
    public static void ReadWindow(ref BitReader bits, ref byte leading, ref byte trailing, string source, long origin)
    {
        var packed = (int)bits.Bits(11);
        var significant = (packed & 0x3f) == 0 ? 64 : packed & 0x3f;
        var zeroes = 64 - (packed >> 6) - significant;
        if (zeroes < 0)
        {
            CorruptionException.Throw(source, origin + (bits.Position / 8), "an XOR value of more than 64 bits");
        }

        (leading, trailing) = ((byte)(packed >> 6), (byte)zeroes);
    }
}
