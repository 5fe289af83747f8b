using System.Buffers;
using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;
using Observe.Tsdb.Bytes;

namespace Observe.Tsdb.Wal;

/// <summary>A place of the log that could not be read, and was skipped.</summary>
readonly record struct WalDamage(string File, long Offset, string What)
{
    public override string ToString() => $"{File} at {Offset}: {What}";
}

/// <summary>
/// Reads the records of segments in order and loses only what is damaged: behind a bad place it looks for the next header whose
/// checksum fits. The unfinished record at a segment's end is what a crash leaves behind, and no damage.
/// </summary>
sealed class WalReader : IDisposable
{
    const int BufferSize = 32 * WalSegment.PageSize;
    const int MaxRecord = 512 << 20;
    const int MaxNamedDamages = 1000;

    readonly IReadOnlyList<WalSegment> _segments;
    readonly bool _isComplete;
    readonly long _start;
    readonly WalDisk _disk;
    readonly byte[] _buffer = ArrayPool<byte>.Shared.Rent(BufferSize);
    readonly ByteWriter _parts = new(64 * 1024);
    readonly List<WalDamage> _damages = [];
    byte[] _decompressed = [];
    ZstdSharp.Decompressor? _zstd;
    SafeFileHandle? _file;
    long _length;
    int _segment = -1;
    int _filled;
    long _bufferOffset;
    int _page;
    int _pageLength;
    int _at;
    bool _inRecord;
    byte _flags;
    bool _orphans;
    ReadOnlyMemory<byte> _record;

    /// <param name="segments">In order; a gap in their numbers is a damage, and so is a number that two of them have.</param>
    /// <param name="isComplete">The log was synced when it was whole, so that an unfinished record is a damage too.</param>
    /// <param name="start">Where to begin in the first of them: a page's begin. The rest of a record that began before it is left out.</param>
    public WalReader(IReadOnlyList<WalSegment> segments, bool isComplete = false, WalDisk? disk = null, long start = 0) =>
        (_segments, _isComplete, _disk, _start) = (segments, isComplete, disk ?? WalDisk.Real, start);

    /// <summary>The record that <see cref="Next"/> found; valid until it is called again.</summary>
    public ReadOnlySpan<byte> Record => _record.Span;

    /// <summary>The file that the record ends in.</summary>
    public string File => _segments[Math.Clamp(_segment, 0, _segments.Count - 1)].Path;

    /// <summary>Where the record's last fragment begins in the file.</summary>
    public long Offset { get; private set; }

    /// <summary>Where the record's first fragment begins in that file.</summary>
    public long FirstOffset { get; private set; }

    /// <summary>All damaged places met so far.</summary>
    public long DamageCount { get; private set; }

    /// <summary>The first of them.</summary>
    public IReadOnlyList<WalDamage> Damages => _damages;

    /// <exception cref="IOException">A file can't be read at all.</exception>
    public bool Next()
    {
        while (true)
        {
            if (_at >= _pageLength && !NextPage())
            {
                return false;
            }

            if (NextInPage())
            {
                return true;
            }
        }
    }

    /// <summary>Counts the current record as damaged: its frame was right, its content is not.</summary>
    public void Damaged(string what) => AddDamage(Offset, what);

    public void Dispose()
    {
        _file?.Dispose();
        _zstd?.Dispose();
        _parts.Dispose();
        ArrayPool<byte>.Shared.Return(_buffer);
    }

    bool NextPage()
    {
        _page += WalSegment.PageSize;
        if (_file is null || _page >= _filled)
        {
            var offset = _file is null ? 0 : _bufferOffset + _filled;
            while (_file is null || !Fill(offset))
            {
                if (!NextSegment())
                {
                    return false;
                }

                offset = _segment == 0 ? _start : 0;
                _orphans = offset > 0;
            }
        }

        _pageLength = Math.Min(WalSegment.PageSize, _filled - _page);
        _at = 0;
        return true;
    }

    bool Fill(long offset)
    {
        (_bufferOffset, _filled, _page) = (offset, 0, 0);
        var most = (int)Math.Clamp(_length - offset, 0, BufferSize);
        while (_filled < most)
        {
            var read = Read(offset + _filled, most - _filled);
            if (read == 0)
            {
                break;
            }

            _filled += read;
        }

        return _filled > 0;
    }

    /// <summary>Reads behind what the buffer has; a page that the disk does not give is empty.</summary>
    int Read(long offset, int most)
    {
        try
        {
            return _disk.Read(_file!, _buffer.AsSpan(_filled, most), offset);
        }
        catch (IOException e)
        {
            var lost = Math.Min(WalSegment.PageSize - (int)(offset % WalSegment.PageSize), most);
            AddDamage(offset, $"{lost} bytes can't be read: {e.Message}");
            _buffer.AsSpan(_filled, lost).Clear();
            return lost;
        }
    }

    bool NextSegment()
    {
        _file?.Dispose();
        _file = null;
        if (_inRecord && _isComplete)
        {
            AddDamage(_bufferOffset + _filled, "the end of the file in the middle of a record");
        }

        Drop();
        if (_segment + 1 >= _segments.Count)
        {
            return false;
        }

        _segment++;
        if (_segment > 0 && _segments[_segment].Index - _segments[_segment - 1].Index is not 1 and var step)
        {
            _damages.Add(new WalDamage(
                _segments[_segment].Path,
                0,
                step == 0 ? "a segment of this number is there twice" : $"the segments after {_segments[_segment - 1].Index} are missing"));
            DamageCount++;
        }

        _file = System.IO.File.OpenHandle(
            _segments[_segment].Path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, FileOptions.SequentialScan);

        // What another process adds meanwhile is read the next time: a page that was read in part is not gone on with.
        _length = RandomAccess.GetLength(_file);
        return true;
    }

    /// <summary>Reads fragments up to the end of a record or of the page.</summary>
    bool NextInPage()
    {
        var page = _buffer.AsSpan(_page, _pageLength);
        while (_at < page.Length)
        {
            if (page.Length == WalSegment.PageSize && page.Length - _at < WalSegment.HeaderSize)
            {
                _at = page.Length;
                return false;
            }

            if ((page[_at] & WalSegment.KindMask) == 0 && page[_at..].IndexOfAnyExcept((byte)0) < 0)
            {
                if (_inRecord)
                {
                    // Where the record goes on behind a page that was blanked, that has no beginning.
                    Drop();
                }

                _at = page.Length;
                return false;
            }

            if (!IsFragment(page, _at, out var length))
            {
                Skip(page);
                continue;
            }

            var (at, header) = (_at, page[_at]);
            var data = page.Slice(at + WalSegment.HeaderSize, length);
            _at += WalSegment.HeaderSize + length;
            if (Take(at, header, data))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Takes one fragment with a right checksum; true when it completes a record.</summary>
    bool Take(int at, byte header, ReadOnlySpan<byte> data)
    {
        var kind = (byte)(header & WalSegment.KindMask);
        var flags = (byte)(header & (WalSegment.Snappy | WalSegment.Zstd));
        var toPageEnd = at + WalSegment.HeaderSize + data.Length == WalSegment.PageSize;
        var offset = _bufferOffset + _page + at;

        // The checksum does not cover the header: a fragment out of sequence may be any other kind with a flipped bit.
        if (kind is WalSegment.First or WalSegment.Full)
        {
            if (_inRecord)
            {
                AddDamage(offset, "a record without an end");
                Drop();
                if (at == 0 && toPageEnd)
                {
                    _orphans = true;
                    return false;
                }
            }

            (_orphans, FirstOffset) = (false, offset);
        }
        else if (!_inRecord)
        {
            if (!_orphans)
            {
                AddDamage(offset, "a record without a beginning");
                _orphans = true;
            }

            if (kind == WalSegment.Last)
            {
                _orphans = false;
            }

            return false;
        }

        if ((kind is WalSegment.First or WalSegment.Middle && !toPageEnd) || (_inRecord && flags != _flags))
        {
            AddDamage(offset, "a fragment that can't be part of its record");
            Drop();
            _orphans = true;
            return false;
        }

        if (kind == WalSegment.Full)
        {
            Offset = offset;
            return Decompress(data, flags);
        }

        _inRecord = true;
        _flags = flags;
        if (_parts.Length + data.Length > MaxRecord)
        {
            AddDamage(offset, "a record of more than 512 MiB");
            Drop();
            _orphans = true;
            return false;
        }

        _parts.Raw(data);
        if (kind != WalSegment.Last)
        {
            return false;
        }

        Offset = offset;
        var complete = Decompress(_parts.Written, flags);
        Drop();
        return complete;
    }

    bool Decompress(ReadOnlySpan<byte> data, byte flags)
    {
        try
        {
            int length;
            switch (flags)
            {
                case 0:
                    length = data.Length;
                    EnsureCapacity(length);
                    data.CopyTo(_decompressed);
                    break;
                case WalSegment.Snappy:
                    length = Snappier.Snappy.GetUncompressedLength(data);

                    // A copy of three bytes makes at most 64.
                    if (length < 0 || length > MaxRecord || length / 32 > data.Length)
                    {
                        throw new InvalidDataException("impossible length");
                    }

                    EnsureCapacity(length);
                    if (Snappier.Snappy.Decompress(data, _decompressed) != length)
                    {
                        throw new InvalidDataException("too short");
                    }

                    break;
                default:
                    var size = ZstdSharp.Decompressor.GetDecompressedSize(data);
                    if (size > MaxRecord)
                    {
                        throw new InvalidDataException("impossible length");
                    }

                    EnsureCapacity((int)size);
                    length = (_zstd ??= new ZstdSharp.Decompressor()).Unwrap(data, _decompressed);
                    break;
            }

            if (length == 0 || _decompressed[0] is 0 or > (byte)WalRecordType.FloatHistogramsV2)
            {
                AddDamage(Offset, "a record of unknown type");
                return false;
            }

            _record = _decompressed.AsMemory(0, length);
            return true;
        }
        catch (Exception e) when (e is InvalidDataException or ArgumentException or ZstdSharp.ZstdException)
        {
            AddDamage(Offset, $"a record that can't be decompressed: {e.Message}");
            return false;
        }
    }

    void EnsureCapacity(int length)
    {
        if (_decompressed.Length < length)
        {
            _decompressed = new byte[Math.Max(length, Math.Min(2 * _decompressed.Length, MaxRecord))];
        }
    }

    /// <summary>Looks for the next fragment behind a bad place of this page.</summary>
    void Skip(ReadOnlySpan<byte> page)
    {
        var bad = _at;
        var torn = page.Length < WalSegment.PageSize;
        for (_at++; _at + WalSegment.HeaderSize < page.Length; _at++)
        {
            if (IsFragment(page, _at, out var length) && length > 0)
            {
                torn = false;
                break;
            }
        }

        if (_at + WalSegment.HeaderSize >= page.Length)
        {
            _at = page.Length;
        }

        // Cut off by the file's end, it was never acknowledged.
        if (_isComplete || !torn || !RunsOverTheEnd(page, bad))
        {
            AddDamage(_bufferOffset + _page + bad, "checksum mismatch or invalid header");
        }

        Drop();
        _orphans = true;
    }

    static bool RunsOverTheEnd(ReadOnlySpan<byte> page, int at) =>
        page.Length - at < WalSegment.HeaderSize
        || at + WalSegment.HeaderSize + BinaryPrimitives.ReadUInt16BigEndian(page[(at + 1)..]) > page.Length;

    static bool IsFragment(ReadOnlySpan<byte> page, int at, out int length)
    {
        length = 0;
        if (page.Length - at < WalSegment.HeaderSize)
        {
            return false;
        }

        var header = page[at];
        if ((header & WalSegment.KindMask) is 0 or > WalSegment.Last || header > (WalSegment.Zstd | WalSegment.KindMask))
        {
            return false;
        }

        length = BinaryPrimitives.ReadUInt16BigEndian(page[(at + 1)..]);
        return length <= page.Length - at - WalSegment.HeaderSize
            && Crc32C.Of(page.Slice(at + WalSegment.HeaderSize, length)) == BinaryPrimitives.ReadUInt32BigEndian(page[(at + 3)..]);
    }

    void AddDamage(long offset, string what)
    {
        DamageCount++;
        if (_damages.Count < MaxNamedDamages)
        {
            _damages.Add(new WalDamage(File, offset, what));
        }
    }

    void Drop()
    {
        _inRecord = false;
        _orphans = false;
        _parts.Clear();
    }
}
