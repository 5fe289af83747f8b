using Observe.Tsdb.Bytes;

namespace Observe.Tsdb.Wal;

/// <summary>Records that go into the log together: compressed as they are added, outside any lock. Reusable; not thread-safe.</summary>
sealed class WalBatch : IDisposable
{
    /// <summary>
    /// Shorter records stay as they are. The header is not in the checksum: so a compressed record that is read as a plain one begins
    /// with its length, which is no record's type.
    /// </summary>
    const int MinCompressed = 64;

    readonly ByteWriter _payloads = new(4096);
    readonly List<(int Length, byte Flags)> _records = [];

    public int Count => _records.Count;

    public bool IsEmpty => _records.Count == 0;

    /// <summary>Bytes of all records as they will be written, without their headers.</summary>
    public int Length => _payloads.Length;

    public void Add(ReadOnlySpan<byte> record)
    {
        if (record.Length >= MinCompressed)
        {
            var room = _payloads.GetSpan(Snappier.Snappy.GetMaxCompressedLength(record.Length));
            var compressed = Snappier.Snappy.Compress(record, room);
            if (compressed < record.Length)
            {
                _payloads.Advance(compressed);
                _records.Add((compressed, WalSegment.Snappy));
                return;
            }
        }

        _payloads.Raw(record);
        _records.Add((record.Length, 0));
    }

    /// <summary>Adds the record that was added last a second time.</summary>
    public void AddAgain()
    {
        var (length, flags) = _records[^1];
        var room = _payloads.GetSpan(length);
        _payloads.Written[^length..].CopyTo(room);
        _payloads.Advance(length);
        _records.Add((length, flags));
    }

    public void Add(WalBatch other)
    {
        _payloads.Raw(other._payloads.Written);
        _records.AddRange(other._records);
    }

    /// <summary>Forgets the first records.</summary>
    public void RemoveFirst(int count)
    {
        var bytes = 0;
        for (var i = 0; i < count; i++)
        {
            bytes += _records[i].Length;
        }

        var left = _payloads.Length - bytes;
        _payloads.WrittenMutable[bytes..].CopyTo(_payloads.WrittenMutable);
        _payloads.Clear();
        _payloads.Advance(left);
        _records.RemoveRange(0, count);
    }

    public void Clear()
    {
        _payloads.Clear();
        _records.Clear();
    }

    public void Dispose() => _payloads.Dispose();

    /// <summary>
    /// Splits the records into fragments for pages, the first of which begins at <paramref name="offset"/> of the segment.
    /// </summary>
    public void Frame(long offset, ByteWriter into)
    {
        var at = (int)(offset % WalSegment.PageSize);
        var payloads = _payloads.Written;
        foreach (var (length, flags) in _records)
        {
            var rest = payloads[..length];
            payloads = payloads[length..];
            var first = true;
            do
            {
                var room = WalSegment.PageSize - at - WalSegment.HeaderSize;
                if (room < 0)
                {
                    into.GetSpan(WalSegment.PageSize - at)[..(WalSegment.PageSize - at)].Clear();
                    into.Advance(WalSegment.PageSize - at);
                    at = 0;
                    continue;
                }

                var part = rest[..Math.Min(rest.Length, room)];
                rest = rest[part.Length..];
                var kind = (first, rest.IsEmpty) switch
                {
                    (true, true) => WalSegment.Full,
                    (true, false) => WalSegment.First,
                    (false, false) => WalSegment.Middle,
                    (false, true) => WalSegment.Last,
                };
                into.Byte((byte)(kind | flags));
                into.UInt16((ushort)part.Length);
                into.UInt32(Crc32C.Of(part));
                into.Raw(part);
                at = (at + WalSegment.HeaderSize + part.Length) % WalSegment.PageSize;
                first = false;
            }
            while (first || !rest.IsEmpty);
        }
    }
}
