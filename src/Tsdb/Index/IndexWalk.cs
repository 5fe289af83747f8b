using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Index;

/// <summary>
/// Walks through the series section of a damaged index of version 2, from entry to entry. Behind an entry that is damaged it looks for the
/// next place at which one with a right checksum begins.
/// </summary>
sealed class IndexWalk : IDisposable
{
    const int WindowSize = 1 << 20;

    readonly IndexFile _file;
    readonly ISymbols _symbols;
    readonly Action<long, string> _skipped;
    readonly LabelsWriter _labels = new();
    readonly long _end;
    byte[] _window = [];
    long _windowStart;
    int _filled;
    long _position;

    /// <param name="skipped">Is told where something was passed over, and why.</param>
    /// <exception cref="CorruptionException">Its symbols can't be read, nor made from what else there is.</exception>
    public IndexWalk(string path, Action<long, string> skipped)
    {
        (_file, _skipped) = (new IndexFile(path), skipped);
        try
        {
            var toc = Toc();
            _symbols = Symbols(toc);
            _position = toc?.Series ?? IndexFormat.HeaderSize + 8 + (long)_file.ReadUInt32(IndexFormat.HeaderSize);
            _position = (_position + IndexFormat.SeriesAlignment - 1) / IndexFormat.SeriesAlignment * IndexFormat.SeriesAlignment;
            _end = toc is { } known
                ? new[] { known.LabelIndices, known.Postings, known.PostingsTable }.Where(start => start > known.Series).DefaultIfEmpty(_file.Length).Min()
                : _file.Length;
        }
        catch
        {
            _file.Dispose();
            throw;
        }
    }

    /// <summary>Of the entry.</summary>
    public uint Reference { get; private set; }

    public Labels Labels { get; private set; }

    public List<ChunkMeta> Chunks { get; } = [];

    /// <summary>Finds the next entry; false at the end.</summary>
    public bool Next()
    {
        var passed = -1L;
        for (; _position < _end; _position += IndexFormat.SeriesAlignment)
        {
            if (!TryEntry(out var entry, out var size))
            {
                // Where the end is not known, what follows the last entry is no series.
                passed = passed < 0 ? _position : passed;
                continue;
            }

            try
            {
                if (passed >= 0)
                {
                    _skipped(passed, $"{_position - passed} bytes of series are damaged");
                    passed = -1;
                }

                SeriesEntry.Decode(entry, _file.Path, _position, _symbols, _labels, Chunks);
                (Labels, Reference) = (_labels.Take(), (uint)(_position / IndexFormat.SeriesAlignment));
                _position = (_position + size + IndexFormat.SeriesAlignment - 1) / IndexFormat.SeriesAlignment * IndexFormat.SeriesAlignment;
                return true;
            }
            catch (CorruptionException e)
            {
                _skipped(_position, e.What);
            }
        }

        if (passed >= 0 && _end < _file.Length)
        {
            _skipped(passed, $"{_end - passed} bytes of series are damaged");
        }

        return false;
    }

    public void Dispose() => _file.Dispose();

    bool TryEntry(out ReadOnlySpan<byte> entry, out int size)
    {
        entry = default;
        var length = Varint.ReadUnsigned(Window(Varint.MaxSize), out size);
        if (size == 0 || length == 0 || length > (ulong)Math.Min(_end - _position, int.MaxValue / 2))
        {
            return false;
        }

        var bytes = Window(size + (int)length + 4);
        if (bytes.Length < size + (int)length + 4)
        {
            return false;
        }

        entry = bytes.Slice(size, (int)length);
        var isWhole = Crc32C.Of(entry) == BinaryPrimitives.ReadUInt32BigEndian(bytes[(size + (int)length)..]);
        size += (int)length + 4;
        return isWhole;
    }

    /// <summary>So many bytes from the position on, fewer where the file ends.</summary>
    ReadOnlySpan<byte> Window(int count)
    {
        if (_position < _windowStart || _position + count > _windowStart + _filled)
        {
            _filled = (int)Math.Min(Math.Max(count, WindowSize), _file.Length - _position);
            _window = _window.Length < _filled ? new byte[_filled] : _window;
            _file.Read(_position, _window.AsSpan(0, _filled));
            _windowStart = _position;
        }

        var at = (int)(_position - _windowStart);
        return _window.AsSpan(at, Math.Min(count, _filled - at));
    }

    IndexToc? Toc()
    {
        var position = _file.Length - IndexFormat.TocSize;
        try
        {
            return IndexToc.Parse(_file.Read(position, IndexFormat.TocSize), _file.Path, position);
        }
        catch (CorruptionException e)
        {
            _skipped(position, "the table of contents is damaged: " + e.What);
            return null;
        }
    }

    ISymbols Symbols(IndexToc? toc)
    {
        try
        {
            return new SymbolsReader(_file, toc?.Symbols ?? IndexFormat.HeaderSize, version: 2);
        }
        catch (CorruptionException e) when (toc is { } known)
        {
            _skipped(known.Symbols, "the symbols are damaged: " + e.What);
            if (ListedSymbols.TryMake(_file, known, out var symbols))
            {
                return symbols;
            }

            throw;
        }
    }

    /// <summary>
    /// All names and values, as the offset table of postings lists them: the symbols of the same index, if their checksum is the one
    /// that stands behind the damaged ones, or if nothing but that checksum is damaged.
    /// </summary>
    sealed class ListedSymbols(byte[][] symbols, string path) : ISymbols
    {
        public ReadOnlySpan<byte> Symbol(uint reference) =>
            reference < symbols.Length ? symbols[reference] : throw new CorruptionException(path, reference, "there is no such symbol");

        public static bool TryMake(IndexFile file, in IndexToc toc, [NotNullWhen(true)] out ListedSymbols? symbols)
        {
            var all = new HashSet<string>(StringComparer.Ordinal) { "" };
            var lists = new PostingsTable(file, toc.PostingsTable, version: 2, toc.PostingsTable);
            foreach (var name in lists.LabelNames())
            {
                all.Add(name);
                lists.Visit(Utf8Order.Bytes(name), default, (value, _) =>
                {
                    all.Add(System.Text.Encoding.UTF8.GetString(value));
                    return true;
                });
            }

            byte[][] sorted = [.. all.Select(Utf8Order.Bytes)];
            Array.Sort(sorted, static (a, b) => a.AsSpan().SequenceCompareTo(b));
            symbols = new ListedSymbols(sorted, file.Path);
            using var section = new ByteWriter(1024);
            section.UInt32((uint)sorted.Length);
            foreach (var symbol in sorted)
            {
                section.UVarint((ulong)symbol.Length);
                section.Raw(symbol);
            }

            var position = toc.Symbols + 4;
            return Crc32C.Of(section.Written) == file.ReadUInt32(position + section.Length)
                || section.Written.SequenceEqual(file.Read(position, section.Length));
        }
    }
}
