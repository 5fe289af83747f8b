using System.Buffers.Binary;
using Observe.Tsdb.Bytes;

namespace Observe.Tsdb.Index;

/// <summary>
/// A list of an index file that is read piece by piece as it is asked for. Its checksum, which is that of the whole list, is not checked.
/// </summary>
sealed class PostingsInFile : Postings
{
    const int SmallPiece = 1_024;
    const int LargePiece = 32_768;
    const int HeaderSize = 2 * sizeof(uint);

    readonly IndexFile _file;
    readonly long _start;
    readonly int _count;
    byte[] _piece;
    int _first;
    int _at = -1;

    public PostingsInFile(IndexFile file, PostingsRange range)
    {
        (_file, _start) = (file, range.Start + HeaderSize);
        _piece = file.Read(range.Start, (int)Math.Clamp(range.End - range.Start, HeaderSize, SmallPiece));
        var length = BinaryPrimitives.ReadUInt32BigEndian(_piece);
        var count = BinaryPrimitives.ReadUInt32BigEndian(_piece.AsSpan(sizeof(uint)));
        if (length + 8L > range.End - range.Start || length % sizeof(uint) != 0 || length != (count + 1L) * sizeof(uint))
        {
            CorruptionException.Throw(file.Path, range.Start, "a postings list's length is wrong");
        }

        (_count, _first) = ((int)count, -HeaderSize / sizeof(uint));
    }

    /// <summary>The last reference; 0 where there is none.</summary>
    public uint Last => _count == 0 ? 0 : Reference(_count - 1);

    public override bool Next() => Stop(Math.Min(_at + 1, _count));

    public override bool Seek(uint target)
    {
        if (_at >= 0 && _at < _count && Current >= target)
        {
            return true;
        }

        var (low, high, step) = (Math.Max(_at, 0), Math.Max(_at, 0), 1);
        while (high < _count && Reference(high) < target)
        {
            (low, high, step) = (high + 1, high + step, step * 2);
        }

        high = Math.Min(high, _count);
        while (low < high)
        {
            var middle = (low + high) >>> 1;
            (low, high) = Reference(middle) < target ? (middle + 1, high) : (low, middle);
        }

        return Stop(low);
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

    uint Reference(int number)
    {
        var offset = (number - _first) * sizeof(uint);
        if (offset < 0 || offset + sizeof(uint) > _piece.Length)
        {
            // Larger ones where the list is read on, small ones where it is searched.
            var isNext = offset >= 0 && offset < _piece.Length + sizeof(uint);
            var size = Math.Min(isNext ? Math.Clamp(_piece.Length * 2, SmallPiece, LargePiece) : SmallPiece, (long)(_count - number) * sizeof(uint));
            _piece = _file.Read(_start + ((long)number * sizeof(uint)), (int)size);
            (_first, offset) = (number, 0);
        }

        return BinaryPrimitives.ReadUInt32BigEndian(_piece.AsSpan(offset));
    }
}
