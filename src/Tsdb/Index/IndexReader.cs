using System.Buffers;
using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Index;

/// <summary>
/// Reads an index file of version 1, 2 or 3 with positional reads. Checksums of the table of contents, the symbols and the offset
/// table are checked when it is opened, those of postings and series as they are read. Thread-safe.
/// </summary>
public sealed class IndexReader : IDisposable
{
    readonly IndexFile _file;

    /// <exception cref="CorruptionException">It is no index, of another version, or damaged.</exception>
    public IndexReader(string path)
    {
        _file = new IndexFile(path);
        try
        {
            if (_file.Length < IndexFormat.HeaderSize + IndexFormat.TocSize)
            {
                CorruptionException.Throw(path, 0, $"{_file.Length} bytes are too few for an index");
            }

            if (_file.ReadUInt32(0) != IndexFormat.Magic)
            {
                CorruptionException.Throw(path, 0, "is no index: wrong magic number");
            }

            Version = _file.Read(4, 1)[0];
            if (Version is < 1 or > 3)
            {
                CorruptionException.Throw(path, 4, $"index version {Version} is not known");
            }

            var tocPosition = _file.Length - IndexFormat.TocSize;
            Toc = IndexToc.Parse(_file.Read(tocPosition, IndexFormat.TocSize), path, tocPosition);
            Symbols = new SymbolsReader(_file, Toc.Symbols, Version);
            Lists = new PostingsTable(_file, Toc.PostingsTable, Version, Toc.PostingsTable);
        }
        catch
        {
            _file.Dispose();
            throw;
        }
    }

    public string Path => _file.Path;

    public long Size => _file.Length;

    public int Version { get; }

    public IndexToc Toc { get; }

    public SymbolsReader Symbols { get; }

    /// <summary>Which values each name has, and where their postings lie.</summary>
    public PostingsTable Lists { get; }

    public IReadOnlyList<string> LabelNames() => Lists.LabelNames();

    /// <summary>Searches for names and values.</summary>
    /// <param name="deleted">Series that are not there for the search; rising.</param>
    public LabelSearch<PostingsRange> Labels(ReadOnlyMemory<uint> deleted = default) => new Search(this, deleted);

    /// <summary>References of the series that match, in order of their labels.</summary>
    public Postings Select(IReadOnlyList<Matcher> matchers, CancellationToken cancellationToken = default) =>
        PostingsPlan<PostingsRange>.Of(Lists, matchers, cancellationToken).Evaluate(new ListReader(this).Read, cancellationToken);

    /// <summary>
    /// As <see cref="Select"/>, for readers of few series: of the lists no more is read than that takes, so that their checksums are not
    /// checked, and the reader has to see to it that the series do match. In parts, each in order.
    /// </summary>
    public IEnumerable<Postings> SelectFew(IReadOnlyList<Matcher> matchers, CancellationToken cancellationToken) =>
        PostingsPlan<PostingsRange>.Of(Lists, matchers, cancellationToken).Parts()
            .Select(part => part.EvaluateLazily(list => new PostingsInFile(_file, list), cancellationToken));

    /// <summary>Reads a list and checks it.</summary>
    public Postings Postings(PostingsRange range) => new ListReader(this).Read(range);

    public SeriesReader Series() => new(this);

    /// <summary>The file is about to be deleted while it is read.</summary>
    public void Keep() => _file.Keep();

    public void Dispose() => _file.Dispose();

    /// <summary>Reads entries of the series section, cheapest in rising order: one buffer serves neighbours. Not thread-safe.</summary>
    [SuppressMessage("Design", "CA1001", Justification = "the labels that it has read are the callers', who may keep them: the writer is never disposed")]
    public sealed class SeriesReader(IndexReader index)
    {
        const int SmallWindow = 1_024;
        const int LargeWindow = 65_536;

        readonly LabelsWriter _labels = new();
        byte[] _window = [];
        long _start;
        int _filled;

        /// <summary>Labels of the entry that was read last, if no other place was given for them.</summary>
        public Labels Labels { get; private set; }

        /// <summary>Chunks of the entry that was read last with chunks.</summary>
        public List<ChunkMeta> Chunks { get; } = [];

        /// <param name="withChunks">False leaves <see cref="Chunks"/> empty.</param>
        /// <exception cref="CorruptionException">There is no such entry, or it is damaged.</exception>
        public void Read(uint reference, bool withChunks = true)
        {
            Read(reference, withChunks, _labels);
            Labels = _labels.Take();
        }

        /// <param name="labels">Gets the labels, which are to be taken or dropped then.</param>
        /// <inheritdoc cref="Read(uint, bool)"/>
        public void Read(uint reference, bool withChunks, LabelsWriter labels)
        {
            Chunks.Clear();
            var entry = Entry(reference, out var origin);
            SeriesEntry.Decode(entry, index.Path, origin, index.Symbols, labels, withChunks ? Chunks : null);
        }

        /// <summary>Adds the names of an entry's labels to others.</summary>
        /// <param name="known">As of <see cref="SeriesEntry.DecodeNames"/>.</param>
        /// <inheritdoc cref="Read(uint, bool)"/>
        public void ReadNames(uint reference, HashSet<uint> known, HashSet<string> names)
        {
            var entry = Entry(reference, out var origin);
            SeriesEntry.DecodeNames(entry, index.Path, origin, index.Symbols, known, names);
        }

        ReadOnlySpan<byte> Entry(uint reference, out long origin)
        {
            var position = index.Version == 1 ? reference : (long)reference * IndexFormat.SeriesAlignment;
            var head = Window(position, Varint.MaxSize);
            var length = Varint.ReadUnsigned(head, out var size);
            if (size == 0 || length > (ulong)(index._file.Length - position))
            {
                CorruptionException.Throw(index.Path, position, "there is no series entry here");
            }

            var entry = Window(position, checked(size + (int)length + 4))[size..];
            if (entry.Length < (int)length + 4
                || Crc32C.Of(entry[..(int)length]) != BinaryPrimitives.ReadUInt32BigEndian(entry[(int)length..]))
            {
                CorruptionException.ThrowChecksum(index.Path, position);
            }

            origin = position + size;
            return entry[..(int)length];
        }

        // At least so many bytes from a position on, or all up to the end of the file.
        ReadOnlySpan<byte> Window(long position, int count)
        {
            if (position >= _start && position + count <= _start + _filled)
            {
                return _window.AsSpan((int)(position - _start), count);
            }

            if (position < 0 || position >= index._file.Length)
            {
                CorruptionException.Throw(index.Path, position, "there is no series entry here");
            }

            // Entries that are read one after another lie next to one another, as a rule.
            var near = _filled > 0 && position >= _start && position < _start + _filled + LargeWindow;
            var wanted = Math.Max(count, near ? Math.Min(_filled * 4, LargeWindow) : SmallWindow);
            _filled = (int)Math.Min(wanted, index._file.Length - position);
            if (_window.Length < _filled)
            {
                _window = new byte[_filled];
            }

            index._file.Read(position, _window.AsSpan(0, _filled));
            _start = position;
            return _window.AsSpan(0, Math.Min(count, _filled));
        }
    }

    /// <summary>Reads lists, cheapest in the order in which they lie in the file: one read serves neighbours. Not thread-safe.</summary>
    /// <param name="rented">
    /// Gets the arrays of the shared pool that the lists lie in, which the caller returns; null for arrays of their own.
    /// </param>
    /// <param name="once">A list is done with when the next one is read.</param>
    sealed class ListReader(IndexReader index, List<byte[]>? rented = null, bool once = false)
    {
        const int SmallWindow = 4_096;
        const int LargeWindow = 65_536;

        byte[] _window = [];
        long _start;
        int _filled;

        public Postings Read(PostingsRange range)
        {
            var head = Window(range.Start, 4);
            var length = BinaryPrimitives.ReadUInt32BigEndian(head.Span);
            if (length + 8L > range.End - range.Start)
            {
                CorruptionException.Throw(index.Path, range.Start, $"a postings list of {length} bytes runs into what follows");
            }

            return PostingsList.Decode(Window(range.Start, (int)length + 8), index.Path, range.Start);
        }

        ReadOnlyMemory<byte> Window(long position, int count)
        {
            var end = _start + _filled;
            if (position < _start || position + count > end)
            {
                var isNear = _filled > 0 && position >= _start && position <= end + LargeWindow;
                var wanted = Math.Max(count, isNear ? Math.Clamp(_filled * 4, SmallWindow, LargeWindow) : SmallWindow);
                Renew((int)Math.Min(wanted, Math.Max(count, index._file.Length - position)));
                index._file.Read(position, _window.AsSpan(0, _filled));
                _start = position;
            }

            return _window.AsMemory((int)(position - _start), count);
        }

        void Renew(int count)
        {
            if (!once || _window.Length < count)
            {
                _window = rented is null ? new byte[count] : ArrayPool<byte>.Shared.Rent(count);
                rented?.Add(_window);
            }

            _filled = count;
        }
    }

    sealed class Search : LabelSearch<PostingsRange>
    {
        readonly IndexReader _index;
        readonly ReadOnlyMemory<uint> _deleted;
        readonly SeriesReader _series;
        readonly HashSet<uint> _names = [];
        readonly LabelsWriter _labels = new();
        readonly List<byte[]> _rented = [];
        readonly ListReader _lists;
        readonly ListReader _listsOnce;

        public Search(IndexReader index, ReadOnlyMemory<uint> deleted)
            : base(index.Lists) =>
            (_index, _deleted, _series, _lists, _listsOnce) = (
                index, deleted, index.Series(), new ListReader(index, _rented), new ListReader(index, _rented, once: true));

        protected override ReadOnlyMemory<uint> Deleted => _deleted;

        protected override uint Last => new PostingsInFile(_index._file, _index.Lists.All).Last;

        protected override Postings Open(PostingsRange list) => _lists.Read(list);

        protected override Postings OpenOnce(PostingsRange list) => _listsOnce.Read(list);

        protected override Postings OpenFew(PostingsRange list) => new PostingsInFile(_index._file, list);

        protected override bool TryRead(uint series, out Labels labels)
        {
            _series.Read(series, withChunks: false, _labels);
            labels = _labels.Take();
            _labels.ForgetLast();
            return true;
        }

        protected override void ReadNames(uint series, HashSet<string> names) => _series.ReadNames(series, _names, names);

        public override void Dispose()
        {
            base.Dispose();
            _labels.Dispose();
            _rented.ForEach(array => ArrayPool<byte>.Shared.Return(array));
            _rented.Clear();
        }
    }
}

/// <summary>The codec of a postings list: u32 length, u32 count, references, CRC of all after the length.</summary>
public static class PostingsList
{
    /// <param name="bytes">From the length field on; what follows the list is ignored. Kept by what is returned.</param>
    public static Postings Decode(ReadOnlyMemory<byte> bytes, string source, long position)
    {
        var reader = new ByteReader(bytes.Span, source, position);
        var length = reader.UInt32();
        if (length < 4 || length > reader.Remaining - 4L)
        {
            reader.Fail("a postings list's length is wrong");
        }

        var count = reader.UInt32();
        if (count != (length - 4) / 4 || length % 4 != 0)
        {
            reader.Fail("a postings list's count does not fit its length");
        }

        var checksum = BinaryPrimitives.ReadUInt32BigEndian(bytes.Span[(int)(4 + length)..]);
        if (Crc32C.Of(bytes.Span.Slice(4, (int)length)) != checksum)
        {
            CorruptionException.ThrowChecksum(source, position);
        }

        return Postings.OfBigEndian(bytes.Slice(8, (int)length - 4));
    }
}
