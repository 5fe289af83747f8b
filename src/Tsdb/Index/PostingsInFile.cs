using System.Buffers.Binary;
using Observe.Tsdb.Bytes;

namespace Observe.Tsdb.Index;

/// <summary>
/// A list of an index file that is read piece by piece as it is asked for. Its checksum, which is that of the whole list, is not checked.
/// </summary>
sealed class PostingsInFile : Postings
{
    /// <summary>Bytes of the first piece, of those that are searched, and of the largest one where the list is read on.</summary>
    const int SmallPiece = 1_024;
    const int SearchedPiece = 4_096;
    const int LargePiece = 32_768;

    const int HeaderSize = 2 * sizeof(uint);

    /// <summary>References are taken to be spread evenly for so many guesses; after that the half is taken each time.</summary>
    const int Guesses = 4;

    readonly IndexFile _file;
    readonly long _start;
    readonly int _count;
    byte[] _bytes;

    /// <summary>The piece that is in memory: the number of its first reference, how many it has, and where they begin.</summary>
    int _first, _length, _offset;
    int _at = -1;
    uint? _last;

    public PostingsInFile(IndexFile file, PostingsRange range)
    {
        (_file, _start) = (file, range.Start + HeaderSize);
        _bytes = file.Read(range.Start, (int)Math.Clamp(range.End - range.Start, HeaderSize, SmallPiece));
        var length = BinaryPrimitives.ReadUInt32BigEndian(_bytes);
        var count = BinaryPrimitives.ReadUInt32BigEndian(_bytes.AsSpan(sizeof(uint)));
        if (length + 8L > range.End - range.Start || length % sizeof(uint) != 0 || length != (count + 1L) * sizeof(uint))
        {
            CorruptionException.Throw(file.Path, range.Start, "a postings list's length is wrong");
        }

        (_count, _offset) = ((int)count, HeaderSize);
        _length = Math.Min(_count, (_bytes.Length - HeaderSize) / sizeof(uint));
    }

    /// <summary>The last reference; 0 where there is none.</summary>
    public uint Last
    {
        get
        {
            if (_last is null)
            {
                Span<byte> bytes = stackalloc byte[sizeof(uint)];
                if (_count > 0)
                {
                    _file.Read(_start + ((_count - 1L) * sizeof(uint)), bytes);
                }

                _last = BinaryPrimitives.ReadUInt32BigEndian(bytes);
            }

            return _last.Value;
        }
    }

    int PieceEnd => _first + _length;

    public override bool Next()
    {
        var next = Math.Min(_at + 1, _count);
        if (next == PieceEnd && next < _count)
        {
            // Larger ones each time.
            Load(next, Math.Clamp(_length * 2 * sizeof(uint), SmallPiece, LargePiece));
        }

        return Stop(next);
    }

    public override bool Seek(uint target)
    {
        if (_at >= 0 && _at < _count && Current >= target)
        {
            return true;
        }

        var low = Math.Max(_at, 0);
        if (low < PieceEnd && Reference(PieceEnd - 1) < target)
        {
            low = Find(PieceEnd, target);
        }

        return Stop(low < _count ? FirstInPiece(low, target) : low);
    }

    // Loads the piece that has the first reference at or after the target, of those from this one on; returns where it begins, or the end.
    int Find(int low, uint target)
    {
        if (low == _count || target > Last)
        {
            return _count;
        }

        // It is among those from low to high, which is one at or after the target.
        var (high, before, after) = (_count - 1, Reference(low - 1), Last);
        for (var guesses = 0; low <= high; guesses++)
        {
            var share = guesses < Guesses ? Math.Clamp((target - before) / Math.Max(1.0, (double)after - before), 0, 1) : 0.5;
            Load(Math.Max(low, low + (int)(share * (high - low)) - (SearchedPiece / sizeof(uint) / 2)), SearchedPiece);
            if (Reference(PieceEnd - 1) < target)
            {
                (low, before) = (PieceEnd, Reference(PieceEnd - 1));
            }
            else if (_first > low && Reference(_first) >= target)
            {
                (high, after) = (_first, Reference(_first));
            }
            else
            {
                return _first;
            }
        }

        // Not so where references rise.
        return _count;
    }

    /// <summary>The first reference at or after the target of those in the piece from one on, the last of which is.</summary>
    int FirstInPiece(int low, uint target)
    {
        for (var high = PieceEnd - 1; low < high;)
        {
            var middle = (low + high) >>> 1;
            (low, high) = Reference(middle) < target ? (middle + 1, high) : (low, middle);
        }

        return low;
    }

    bool Stop(int at)
    {
        if (at >= _count)
        {
            _at = _count;
            return false;
        }

        var reference = Reference(at);
        if (_at >= 0 && _at < at && reference <= Current)
        {
            CorruptionException.Throw(_file.Path, _start + ((long)at * sizeof(uint)), "a postings list does not rise");
        }

        (_at, Current) = (at, reference);
        return true;
    }

    /// <summary>Of one in the piece.</summary>
    uint Reference(int number) => BinaryPrimitives.ReadUInt32BigEndian(_bytes.AsSpan(_offset + ((number - _first) * sizeof(uint))));

    void Load(int number, int size)
    {
        size = (int)Math.Min(size, (_count - number) * (long)sizeof(uint));
        if (_bytes.Length < size)
        {
            _bytes = new byte[size];
        }

        _file.Read(_start + ((long)number * sizeof(uint)), _bytes.AsSpan(0, size));
        (_first, _length, _offset) = (number, size / sizeof(uint), 0);
    }
}
