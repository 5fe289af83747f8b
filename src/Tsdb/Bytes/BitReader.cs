using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace Observe.Tsdb.Bytes;

/// <summary>Reads bits, most significant first. Running over the end is a <see cref="CorruptionException"/>.</summary>
public ref struct BitReader(ReadOnlySpan<byte> bytes, string source, long origin = 0)
{
    readonly ReadOnlySpan<byte> _bytes = bytes;
    readonly string _source = source;
    readonly long _origin = origin;
    ulong _bits;
    int _count;
    int _next;

    /// <summary>The position of the next bit, from the start of the span.</summary>
    public readonly long Position => ((long)_next * 8) - _count;

    /// <summary>A reader that stands at a bit of the span: how an iterator resumes between two reads.</summary>
    public static BitReader At(ReadOnlySpan<byte> bytes, long position, string source, long origin = 0)
    {
        var reader = new BitReader(bytes, source, origin) { _next = (int)(position / 8) };
        if (position % 8 is var odd and > 0)
        {
            reader.Bits((int)odd);
        }

        return reader;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool Bit()
    {
        if (_count == 0)
        {
            Refill(1);
        }

        _count--;
        return ((_bits >> _count) & 1) != 0;
    }

    /// <summary>The next 0 to 64 bits as the low bits of the result.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ulong Bits(int count)
    {
        if (count <= _count)
        {
            _count -= count;
            return (_bits >> _count) & Mask(count);
        }

        return BitsSlow(count);
    }

    /// <summary>A byte that need not be aligned.</summary>
    public byte Byte() => (byte)Bits(8);

    public ulong UVarint()
    {
        ulong value = 0;
        for (var i = 0; i < Varint.MaxSize; i++)
        {
            var b = Byte();
            if (i == Varint.MaxSize - 1 && b > 1)
            {
                break;
            }

            value |= (ulong)(b & 0x7f) << (7 * i);
            if (b < 0x80)
            {
                return value;
            }
        }

        throw new CorruptionException(_source, _origin + _next, "invalid uvarint");
    }

    public long SignedVarint()
    {
        var value = UVarint();
        return (long)(value >> 1) ^ -(long)(value & 1);
    }

    public double Double() => BitConverter.UInt64BitsToDouble(Bits(64));

    static ulong Mask(int count) => count == 64 ? ulong.MaxValue : (1UL << count) - 1;

    ulong BitsSlow(int count)
    {
        var high = _count;
        var value = high == 0 ? 0 : _bits & Mask(high);
        var rest = count - high;
        _count = 0;
        Refill(rest);
        _count -= rest;
        var low = (_bits >> _count) & Mask(rest);
        return rest == 64 ? low : (value << rest) | low;
    }

    /// <summary>Loads the next eight bytes, or what is left; <paramref name="needed"/> bits at least.</summary>
    void Refill(int needed)
    {
        var left = _bytes.Length - _next;
        if (left >= 8)
        {
            _bits = BinaryPrimitives.ReadUInt64BigEndian(_bytes[_next..]);
            (_next, _count) = (_next + 8, 64);
            return;
        }

        if (left * 8 < needed)
        {
            throw new CorruptionException(_source, _origin + _next, "unexpected end of chunk");
        }

        _bits = 0;
        for (; _next < _bytes.Length; _next++)
        {
            _bits = (_bits << 8) | _bytes[_next];
        }

        _count = left * 8;
    }
}
