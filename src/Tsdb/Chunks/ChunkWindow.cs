using System.Buffers;

namespace Observe.Tsdb.Chunks;

/// <summary>
/// The piece of a block's segments that was read last, and how much is read at once: chunks of series that are read one after another lie
/// next to one another more often than not. Buffers are those of the shared pool, to which disposing gives them back. Not thread-safe.
/// </summary>
public sealed class ChunkWindow : IDisposable
{
    const int Smallest = 4 << 10;
    const int Largest = 64 << 10;

    /// <summary>A window that served so many reads is followed by one of twice the size.</summary>
    const int Worthwhile = 4;

    readonly List<byte[]> _older = [];
    byte[] _bytes = [];
    ChunkSegmentReader? _reader;
    int _segment;
    long _start;
    int _length;
    int _ahead;
    int _served;
    bool _isInUse;

    /// <summary>What is here from a place on, at least so many bytes; empty where there are fewer.</summary>
    public ReadOnlyMemory<byte> From(ChunkSegmentReader reader, int segment, long offset, long atLeast)
    {
        if (reader != _reader || segment != _segment || offset < _start || offset + atLeast > _start + _length)
        {
            return default;
        }

        _served++;
        _isInUse = true;
        var at = (int)(offset - _start);
        return _bytes.AsMemory(at, _length - at);
    }

    /// <summary>
    /// Moves to a place: the memory is to be filled with the bytes from there on. What was here stays until <see cref="Release"/>.
    /// </summary>
    /// <param name="needed">Bytes that are wanted there.</param>
    /// <param name="available">Bytes that there are.</param>
    public Memory<byte> Move(ChunkSegmentReader reader, int segment, long offset, long needed, long available)
    {
        var goesOn = reader == _reader && segment == _segment && offset >= _start && offset < _start + _length + Largest;
        _ahead = !goesOn ? 0 : _served >= Worthwhile ? Math.Clamp(_ahead * 2, Smallest, Largest) : _served > 1 ? _ahead : 0;
        var count = checked((int)Math.Min(Math.Max(needed, _ahead), available));
        if (_isInUse || _bytes.Length < count)
        {
            if (_isInUse)
            {
                _older.Add(_bytes);
            }
            else
            {
                ReturnToPool(_bytes);
            }

            _bytes = ArrayPool<byte>.Shared.Rent(count);
        }

        (_reader, _segment, _start, _length, _served, _isInUse) = (reader, segment, offset, count, 0, true);
        return _bytes.AsMemory(0, count);
    }

    /// <summary>Nobody reads any more what was given so far.</summary>
    public void Release()
    {
        _isInUse = false;
        _older.ForEach(ReturnToPool);
        _older.Clear();
    }

    public void Dispose()
    {
        Release();
        ReturnToPool(_bytes);
        (_bytes, _reader, _length) = ([], null, 0);
    }

    static void ReturnToPool(byte[] bytes)
    {
        if (bytes.Length > 0)
        {
            ArrayPool<byte>.Shared.Return(bytes);
        }
    }
}
