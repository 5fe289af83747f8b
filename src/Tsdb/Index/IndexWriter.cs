using System.Buffers.Binary;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Index;

/// <summary>
/// Writes an index file of version 2 from series in order of their labels. Symbols stand first in the file but are known last, so
/// series are spooled beside it; what stays in memory is the symbols and four bytes a series.
/// </summary>
sealed class IndexWriter : IDisposable
{
    // Postings of as many names as fit are gathered in one pass over the spool: 12 bytes each.
    const int PostingsPerPass = 2 << 20;

    readonly AppendFile _index;
    readonly AppendFile _spool;
    readonly SymbolTable _symbols = new();
    readonly List<int> _postingsOfName = [];
    readonly List<uint> _series = [];
    readonly ByteWriter _labels = new();
    readonly ByteWriter _entry = new();
    Labels _last;
    ulong _lastChunk;
    bool _disposed;

    public IndexWriter(string path)
    {
        _index = new AppendFile(path);
        _spool = new AppendFile(path + ".series");
        // The key of the list of all series; Prometheus has it among the symbols too.
        _symbols.FindOrAdd([]);
    }

    public long SeriesCount { get; private set; }

    /// <summary>The largest entry of the series section with its length, checksum and padding.</summary>
    public int SeriesMaxSize { get; private set; }

    /// <exception cref="ArgumentException">Labels are not after the last series', or chunks are not in order.</exception>
    public void Add(Labels labels, ReadOnlySpan<ChunkMeta> chunks)
    {
        if (SeriesCount > 0 && labels.CompareTo(_last) <= 0)
        {
            throw new ArgumentException($"series {labels} does not sort after {_last}");
        }

        CheckOrder(labels, chunks);
        _labels.Clear();
        _labels.UVarint((ulong)labels.Count);
        foreach (var label in labels)
        {
            var name = _symbols.FindOrAdd(label.Name);
            _labels.UVarint((ulong)name);
            _labels.UVarint((ulong)_symbols.FindOrAdd(label.Value));
            while (_postingsOfName.Count <= name)
            {
                _postingsOfName.Add(0);
            }

            _postingsOfName[name]++;
        }

        _entry.Clear();
        _entry.LengthPrefixed(_labels.Written);
        _labels.Clear();
        SeriesEntry.EncodeChunks(chunks, _labels);
        _entry.LengthPrefixed(_labels.Written);
        _spool.Append(_entry.Written);
        (_last, SeriesCount) = (labels, SeriesCount + 1);
        _lastChunk = chunks.IsEmpty ? _lastChunk : chunks[^1].Ref;
    }

    /// <summary>Writes the file from its symbols to its table of contents, and syncs it.</summary>
    public void Finish()
    {
        _spool.Flush();
        var order = _symbols.Sorted();
        var numbers = new uint[order.Length];
        for (var i = 0; i < order.Length; i++)
        {
            numbers[order[i]] = (uint)i;
        }

        Span<byte> header = stackalloc byte[IndexFormat.HeaderSize];
        BinaryPrimitives.WriteUInt32BigEndian(header, IndexFormat.Magic);
        header[4] = 2;
        _index.Append(header);

        var symbols = _index.Position;
        WriteSection((uint)order.Length, order, (number, output) => output.LengthPrefixed(_symbols[number]));
        var series = _index.Position;
        WriteSeries(numbers);
        var postings = _index.Position;
        var lists = WritePostings(order, numbers);
        var table = _index.Position;
        WriteSection((uint)lists.Count, lists, (list, output) =>
        {
            output.UVarint(2);
            output.LengthPrefixed(_symbols[list.Name]);
            output.LengthPrefixed(_symbols[list.Value]);
            output.UVarint((ulong)list.Position);
        });

        // Label indices are no longer written; their two offsets stay in the table of contents.
        _entry.Clear();
        foreach (var position in (ReadOnlySpan<long>)[symbols, series, postings, table, postings, table])
        {
            _entry.UInt64((ulong)position);
        }

        _entry.UInt32(Crc32C.Of(_entry.Written));
        _index.Append(_entry.Written);
        _index.Sync();
    }

    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        _index.Dispose();
        _spool.Dispose();
        File.Delete(_spool.Path);
        _labels.Dispose();
        _entry.Dispose();
    }

    void CheckOrder(Labels labels, ReadOnlySpan<ChunkMeta> chunks)
    {
        var reference = _lastChunk;
        for (var i = 0; i < chunks.Length; i++)
        {
            if (chunks[i].MaxTime < chunks[i].MinTime || (i > 0 && chunks[i].MinTime <= chunks[i - 1].MaxTime))
            {
                throw new ArgumentException($"chunks of {labels} overlap or are not in order of time");
            }

            if (chunks[i].Ref < reference)
            {
                throw new ArgumentException($"chunks of {labels} are not in order of their references");
            }

            reference = chunks[i].Ref;
        }
    }

    // u32 length, u32 count, items, CRC of all after the length. The length is patched in when it is known.
    void WriteSection<TItem>(uint count, IEnumerable<TItem> items, Action<TItem, ByteWriter> write)
    {
        var start = _index.Position;
        _entry.Clear();
        _entry.UInt32(0);
        _entry.UInt32(count);
        var checksum = Crc32C.Of(_entry.Written[4..]);
        _index.Append(_entry.Written);
        foreach (var item in items)
        {
            _entry.Clear();
            write(item, _entry);
            checksum = Crc32C.Append(checksum, _entry.Written);
            _index.Append(_entry.Written);
        }

        var length = _index.Position - start - 4;
        if (length > uint.MaxValue)
        {
            throw new InvalidOperationException(
                $"{_index.Path}: a section of {length} bytes is larger than the 4 GiB that the format allows");
        }

        _entry.Clear();
        _entry.UInt32(checksum);
        _index.Append(_entry.Written);
        Span<byte> patch = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(patch, (uint)length);
        _index.Patch(start, patch);
    }

    void WriteSeries(uint[] numbers)
    {
        using var spool = new IndexFile(_spool.Path);
        var reader = new SequentialReader(spool, 0, spool.Length);
        while (!reader.AtEnd)
        {
            _index.Pad(IndexFormat.SeriesAlignment);
            if (_index.Position / IndexFormat.SeriesAlignment > uint.MaxValue)
            {
                throw new InvalidOperationException($"{_index.Path}: series past the 64 GiB that the format can address");
            }

            _series.Add((uint)(_index.Position / IndexFormat.SeriesAlignment));
            _labels.Clear();
            var labels = new ByteReader(reader.LengthPrefixed(), _spool.Path);
            var count = labels.UVarint();
            _labels.UVarint(count);
            for (; count > 0; count--)
            {
                _labels.UVarint(numbers[labels.UVarint()]);
                _labels.UVarint(numbers[labels.UVarint()]);
            }

            _labels.Raw(reader.LengthPrefixed());
            _entry.Clear();
            _entry.LengthPrefixed(_labels.Written);
            _entry.UInt32(Crc32C.Of(_labels.Written));
            SeriesMaxSize = Math.Max(SeriesMaxSize, (_entry.Length
                + IndexFormat.SeriesAlignment - 1) / IndexFormat.SeriesAlignment * IndexFormat.SeriesAlignment);
            _index.Append(_entry.Written);
        }
    }

    /// <summary>Name and value are numbers of the symbol table, both of "" for the list of all series.</summary>
    readonly record struct PostingsList(int Name, int Value, long Position);

    List<PostingsList> WritePostings(int[] order, uint[] numbers)
    {
        var lists = new List<PostingsList>();
        WriteList(0, 0, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_series), lists);
        var names = order.Where(symbol => symbol < _postingsOfName.Count && _postingsOfName[symbol] > 0).ToList();
        for (var first = 0; first < names.Count;)
        {
            var wanted = new HashSet<int>();
            var total = 0L;
            for (; first < names.Count && (wanted.Count == 0 || total + _postingsOfName[names[first]] <= PostingsPerPass); first++)
            {
                wanted.Add(names[first]);
                total += _postingsOfName[names[first]];
            }

            WriteLists(wanted, checked((int)total), numbers, lists);
        }

        return lists;
    }

    void WriteLists(HashSet<int> names, int total, uint[] numbers, List<PostingsList> lists)
    {
        var slots = new Dictionary<(int Name, int Value), int>();
        var counts = new List<int>();
        var slotOf = new int[total];
        var seriesOf = new uint[total];
        var filled = 0;
        using (var spool = new IndexFile(_spool.Path))
        {
            var reader = new SequentialReader(spool, 0, spool.Length);
            foreach (var reference in _series)
            {
                var labels = new ByteReader(reader.LengthPrefixed(), _spool.Path);
                for (var count = labels.UVarint(); count > 0; count--)
                {
                    var pair = ((int)labels.UVarint(), (int)labels.UVarint());
                    if (!names.Contains(pair.Item1))
                    {
                        continue;
                    }

                    if (!slots.TryGetValue(pair, out var slot))
                    {
                        slots[pair] = slot = counts.Count;
                        counts.Add(0);
                    }

                    counts[slot]++;
                    (slotOf[filled], seriesOf[filled++]) = (slot, reference);
                }

                reader.LengthPrefixed();
            }
        }

        var starts = new int[counts.Count];
        for (var slot = 1; slot < starts.Length; slot++)
        {
            starts[slot] = starts[slot - 1] + counts[slot - 1];
        }

        var next = (int[])starts.Clone();
        var grouped = new uint[total];
        for (var i = 0; i < total; i++)
        {
            grouped[next[slotOf[i]]++] = seriesOf[i];
        }

        foreach (var (pair, slot) in slots.OrderBy(s => numbers[s.Key.Name]).ThenBy(s => numbers[s.Key.Value]))
        {
            WriteList(pair.Name, pair.Value, grouped.AsSpan(starts[slot], counts[slot]), lists);
        }
    }

    void WriteList(int name, int value, ReadOnlySpan<uint> series, List<PostingsList> lists)
    {
        _index.Pad(4);
        lists.Add(new PostingsList(name, value, _index.Position));
        _entry.Clear();
        _entry.UInt32(checked(((uint)series.Length * 4) + 4));
        _entry.UInt32((uint)series.Length);
        foreach (var reference in series)
        {
            _entry.UInt32(reference);
        }

        _entry.UInt32(Crc32C.Of(_entry.Written[4..]));
        _index.Append(_entry.Written);
    }
}
