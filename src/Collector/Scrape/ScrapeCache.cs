using System.Buffers.Binary;
using System.IO.Hashing;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Observe.Collector.Exposition;
using Observe.Tsdb.Ingest;

namespace Observe.Collector.Scrape;

/// <summary>
/// Finds the series of an exposition's lines by the lines' bytes, without parsing labels. A line is first compared with the line that stood
/// at its place in the scrape before, then looked up in a table of 128-bit hashes. The cache also finds the series that a scrape lacks, for
/// their staleness markers. Belongs to one scrape loop; not thread-safe.
/// </summary>
/// <remarks>
/// A scrape is <see cref="Begin"/>, <see cref="Find"/> or <see cref="Add"/> for each sample, then <see cref="Complete"/> or <see
/// cref="Abandon"/>.
/// </remarks>
sealed class ScrapeCache
{
    // A target that knew the seed could make two of its own series collide. The seed is random, so that it does not.
    static readonly long s_seed = BinaryPrimitives.ReadInt64LittleEndian(RandomNumberGenerator.GetBytes(8));

    Entry[] _entries = new Entry[16];
    int[] _buckets = new int[16];
    int _count;
    int _free = -1;

    List<int> _previous = [];
    List<int> _current = [];
    int _expected;
    bool _isExpected;
    uint _scrape = 1;

    public ScrapeCache() => Known = Expected;

    public int Count { get; private set; }

    /// <summary>
    /// Tells the length of a line's series where the line that stood here in the scrape before begins with the same bytes, else 0. Whoever is
    /// told a length goes on with <see cref="Find"/>.
    /// </summary>
    public KnownSeries Known { get; }

    /// <summary>Begins a scrape. A scrape that was begun before and not ended is undone.</summary>
    public void Begin()
    {
        RemoveNew();
        _scrape++;
        _expected = 0;
        _isExpected = false;
    }

    /// <summary>Finds the entry of a line and marks it as seen; -1 when the line is new.</summary>
    /// <param name="again">The line was seen before in this scrape.</param>
    public int Find(ReadOnlySpan<byte> series, out UInt128 hash, out bool again)
    {
        var isExpected = _isExpected;
        _isExpected = false;
        hash = isExpected ? _entries[_previous[_expected]].Hash : XxHash128.HashToUInt128(series, s_seed);
        again = false;
        int index;
        if (isExpected || (_expected < _previous.Count && _entries[_previous[_expected]].Hash == hash))
        {
            index = _previous[_expected++];
        }
        else
        {
            index = Lookup(hash);
            if (index < 0)
            {
                return -1;
            }

            _expected = _entries[index].Position + 1;
        }

        ref var entry = ref _entries[index];
        again = entry.Seen == _scrape;
        if (!again)
        {
            MarkSeen(index, ref entry);
        }

        return index;
    }

    /// <summary>
    /// Adds the entry of a line that <see cref="Find"/> did not find; a line that relabelling drops has an entry without a series.
    /// </summary>
    /// <param name="length">Of the line's series in bytes.</param>
    public int Add(UInt128 hash, int length, SeriesRef series)
    {
        int index;
        if (_free >= 0)
        {
            index = _free;
            _free = _entries[index].Next;
        }
        else
        {
            if (_count == _entries.Length)
            {
                Grow();
            }

            index = _count++;
        }

        ref var bucket = ref Bucket(hash);
        _entries[index] = new Entry { Hash = hash, Length = length, Series = series, New = true, Next = bucket - 1 };
        bucket = index + 1;
        Count++;
        MarkSeen(index, ref _entries[index]);
        return index;
    }

    /// <summary>The series of an entry; the default for a line that relabelling drops.</summary>
    public SeriesRef Series(int index) => _entries[index].Series;

    public void SetSeries(int index, SeriesRef series) => _entries[index].Series = series;

    /// <summary>Tracks an entry's series: it gets a staleness marker unless the next scrape tracks it again.</summary>
    public void Track(int index) => _entries[index].Tracked = _scrape;

    /// <summary>
    /// Ends a successful scrape: adds the series that it lacks to <paramref name="stale"/>, and removes the entries of lines that it lacks.
    /// </summary>
    public void Complete(List<SeriesRef> stale)
    {
        foreach (var index in _previous)
        {
            ref var entry = ref _entries[index];
            if (entry.Live && entry.Tracked != _scrape)
            {
                stale.Add(entry.Series);
            }
        }

        foreach (var index in _current)
        {
            ref var entry = ref _entries[index];
            entry.Live = entry.Tracked == _scrape;
            entry.New = false;
        }

        if (stale.Count > 0)
        {
            DropStillTracked(stale);
        }

        foreach (var index in _previous)
        {
            if (_entries[index].Seen != _scrape)
            {
                Remove(index);
            }
        }

        (_previous, _current) = (_current, _previous);
        _current.Clear();
        Trim();
    }

    /// <summary>
    /// Ends a scrape that failed or did not take place: all tracked series are stale. Entries that the failed scrape added are removed.
    /// </summary>
    public void Abandon(List<SeriesRef> stale)
    {
        RemoveNew();
        for (var position = 0; position < _previous.Count; position++)
        {
            ref var entry = ref _entries[_previous[position]];
            if (entry.Live)
            {
                stale.Add(entry.Series);
                entry.Live = false;
            }

            entry.Position = position;
        }
    }

    int Expected(ReadOnlySpan<byte> rest)
    {
        if (_expected >= _previous.Count)
        {
            return 0;
        }

        // Behind a name may come a blank and then labels, which belong to the series.
        ref readonly var entry = ref _entries[_previous[_expected]];
        var length = entry.Length;
        _isExpected = rest.Length > length + 1 && rest[length] == ' ' && rest[length + 1] is not ((byte)' ' or (byte)'\t' or (byte)'{')
            && XxHash128.HashToUInt128(rest[..length], s_seed) == entry.Hash;
        return _isExpected ? length : 0;
    }

    /// <summary>Removes the entries that the scrape under way created; none where no scrape is under way.</summary>
    void RemoveNew()
    {
        foreach (var index in _current)
        {
            if (_entries[index].New)
            {
                Remove(index);
            }
        }

        _current.Clear();
    }

    void MarkSeen(int index, ref Entry entry)
    {
        entry.Seen = _scrape;
        entry.Position = _current.Count;
        _current.Add(index);
    }

    /// <summary>Two lines may be one series after relabelling: the series is stale only when the scrape has neither line.</summary>
    void DropStillTracked(List<SeriesRef> stale)
    {
        var tracked = new HashSet<SeriesRef>();
        foreach (var index in _current)
        {
            if (_entries[index].Tracked == _scrape)
            {
                tracked.Add(_entries[index].Series);
            }
        }

        stale.RemoveAll(tracked.Contains);
    }

    int Lookup(UInt128 hash)
    {
        for (var index = Bucket(hash) - 1; index >= 0; index = _entries[index].Next)
        {
            if (_entries[index].Hash == hash)
            {
                return index;
            }
        }

        return -1;
    }

    void Remove(int index)
    {
        ref var link = ref Bucket(_entries[index].Hash);
        if (link - 1 == index)
        {
            link = _entries[index].Next + 1;
        }
        else
        {
            var before = link - 1;
            while (_entries[before].Next != index)
            {
                before = _entries[before].Next;
            }

            _entries[before].Next = _entries[index].Next;
        }

        _entries[index] = new Entry { Next = _free };
        _free = index;
        Count--;
    }

    void Grow() => Resize(_entries.Length + Math.Max(16, _entries.Length / 4));

    /// <summary>Pages hardly grow: what the first scrape left free is given back.</summary>
    void Trim()
    {
        var most = _count + (_count / 16) + 8;
        if (_entries.Length > most + (_count / 4))
        {
            Resize(most);
        }

        if (_previous.Capacity > _previous.Count + (_previous.Count / 4) + 16)
        {
            _previous.Capacity = _previous.Count;
        }
    }

    void Resize(int capacity)
    {
        Array.Resize(ref _entries, capacity);
        var buckets = (int)(BitOperations.RoundUpToPowerOf2((uint)capacity + 1) / 2);
        if (buckets == _buckets.Length)
        {
            return;
        }

        // Chains are made anew, that of the free entries is not: it has none of the entries that a bucket leads to.
        var old = _buckets;
        _buckets = new int[buckets];
        foreach (var first in old)
        {
            for (var index = first - 1; index >= 0;)
            {
                var next = _entries[index].Next;
                ref var bucket = ref Bucket(_entries[index].Hash);
                _entries[index].Next = bucket - 1;
                bucket = index + 1;
                index = next;
            }
        }
    }

    /// <summary>The first entry of a chain, plus one.</summary>
    ref int Bucket(UInt128 hash) => ref _buckets[(int)((ulong)hash & (ulong)(_buckets.Length - 1))];

    [StructLayout(LayoutKind.Auto)]
    struct Entry
    {
        public UInt128 Hash;
        public SeriesRef Series;

        /// <summary>The number of the last scrape that had the line.</summary>
        public uint Seen;

        /// <summary>The number of the last scrape that tracked the series.</summary>
        public uint Tracked;

        /// <summary>Whether the last successful scrape tracked the series.</summary>
        public bool Live;

        /// <summary>Whether the scrape under way has added the entry.</summary>
        public bool New;

        /// <summary>Of the line's series, in bytes.</summary>
        public int Length;

        /// <summary>The line's place in the last scrape that had it.</summary>
        public int Position;

        public int Next;
    }
}
