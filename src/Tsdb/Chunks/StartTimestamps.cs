using Observe.Tsdb.Bytes;

namespace Observe.Tsdb.Chunks;

/// <summary>
/// The start timestamps of a chunk's samples, as XOR2 and the histogram encodings with starts have them: a byte in the header (bit 7:
/// the first sample has one; bits 0 to 6: the index of the first sample whose start differs from the one before), then differences to
/// the timestamp before.
/// </summary>
struct StartTimestampWriter(int headerPosition)
{
    const int MaxFirstChange = 0x7f;

    long _start;
    long _difference;
    int _firstChange;

    /// <summary>Called after the rest of sample <paramref name="index"/> is written.</summary>
    public void Write(ref BitWriter bits, int index, long timestamp, long previousTimestamp, long start)
    {
        if (index == 0)
        {
            if (start != 0)
            {
                bits.SignedVarint(timestamp - start);
                bits.Buffer[headerPosition] = 0x80;
            }
        }
        else if (_firstChange > 0)
        {
            var difference = previousTimestamp - start;
            Varbit.Write(ref bits, difference - _difference);
            _difference = difference;
        }
        else if (start != _start || index == MaxFirstChange)
        {
            _difference = previousTimestamp - start;
            _firstChange = index;
            bits.Buffer[headerPosition] |= (byte)index;
            Varbit.Write(ref bits, _difference);
        }

        _start = start;
    }
}

/// <summary>Reads what <see cref="StartTimestampWriter"/> wrote.</summary>
struct StartTimestampReader(byte header)
{
    readonly bool _firstKnown = (header & 0x80) != 0;
    readonly int _firstChange = header & 0x7f;
    long _start;
    long _difference;

    public long Read(ref BitReader bits, int index, long timestamp, long previousTimestamp)
    {
        if (index == 0)
        {
            if (_firstKnown)
            {
                _start = timestamp - bits.SignedVarint();
            }
        }
        else if (_firstChange > 0 && index >= _firstChange)
        {
            _difference = index == _firstChange ? Varbit.Read(ref bits) : _difference + Varbit.Read(ref bits);
            _start = previousTimestamp - _difference;
        }

        return _start;
    }
}
