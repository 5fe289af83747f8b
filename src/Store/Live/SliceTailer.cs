using System.Globalization;
using Microsoft.Extensions.Logging;
using Observe.Store.Bucket;
using Observe.Store.Fleet;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;
using Observe.Tsdb.Threading;

namespace Observe.Store.Live;

/// <summary>
/// Follows the slices of one collector, in their order, and keeps their samples until blocks have them. Its owner calls it one call at a time,
/// but for what is marked as thread-safe.
/// </summary>
/// <remarks>
/// The next slice is asked for by its number when it is due. When that is, the tailer learns: a slice that was there at the first attempt is
/// asked for a little earlier next time, one that was not is asked for again soon. So a slice costs little more than one request, wherever the
/// clocks stand.
/// </remarks>
sealed partial class SliceTailer(LiveStoreOptions options, string cluster, string collector)
{
    const int FetchedAtOnce = 8;

    /// <summary>So much before its commit a sample may have been measured.</summary>
    const long LateMs = Replay.LateMs;

    /// <summary>A slice that is missing is asked for again so often, with each look at the fleet.</summary>
    const int LateAttempts = 20;

    /// <summary>Of many slices that are missing in a row, so many are asked for again.</summary>
    const int MostLate = 32;

    /// <summary>Windows that are listed no longer, of which it is remembered how far they were read.</summary>
    const int MostFormer = 100;

    readonly SortedDictionary<string, Window> _windows = new(StringComparer.Ordinal);
    readonly SortedDictionary<string, Window> _former = new(StringComparer.Ordinal);
    volatile Tail[] _tails = [];
    LiveStatus? _status;
    string _newest = "";
    IReadOnlyList<TimeRange> _vanished = [];
    volatile TimeRange[] _read = [];
    volatile TimeRange[] _lost = [];
    long _due;
    long _deferred;
    long _found;
    long _until;
    int _misses;
    bool _isBehind = true;

    /// <summary>What slices of one set of external labels have.</summary>
    public sealed record Tail(Labels Labels, LiveHead Head);

    sealed class Window(string name)
    {
        public string Name => name;

        public string Data { get; set; } = "";

        /// <summary>The newest number that is known to be in the bucket.</summary>
        public int Last { get; set; }

        /// <summary>The number that is asked for next.</summary>
        public int Next { get; set; } = 1;

        public TimeRange Range { get; set; }

        public bool IsShipped { get; set; }

        public ReadOnlyMemory<byte> Hash { get; set; } = new byte[SliceHeader.HashSize];

        /// <summary>The number of which <see cref="Hash"/> is; 0 before the first.</summary>
        public int Read { get; set; }

        /// <summary>Where the time ends of which it has the commits; not known before the first.</summary>
        public long To { get; set; } = long.MaxValue;

        /// <summary>Times that are covered once what is missing of them was read.</summary>
        public List<(HashSet<int> Missing, TimeRange Range)> Parts { get; } = [];

        /// <summary>When a number was missed first, since nothing was left to be read.</summary>
        public long? MissedAt { get; set; }

        public long RetryAt { get; set; }

        public bool IsBehind => Next <= Last;

        /// <summary>Numbers that were not there when they should have been, or damaged, and how often they were asked for since.</summary>
        public Dictionary<int, int> Missing { get; } = [];
    }

    public string Cluster => cluster;

    public string Collector => collector;

    /// <summary>Thread-safe.</summary>
    public IReadOnlyList<Tail> Tails => _tails;

    /// <summary>Whether a request should be made.</summary>
    public bool IsDue => _windows.Count > 0 && Elapsed >= _deferred
        && (Elapsed >= _due || _windows.Values.Any(window => window.IsBehind && Elapsed >= window.RetryAt));

    /// <summary>When the next slice should be asked for; only to be compared with that of others.</summary>
    public long Due => _due;

    /// <summary>Whether slices have not come for so long that the status may tell of another window.</summary>
    public bool IsOverdue => _windows.Count > 0 && _misses > 0 && Elapsed - _found > IntervalMs * 3 / 2;

    /// <summary>The times of which all that was committed is here, or was: without an end while slices come as they should. Thread-safe.</summary>
    public IReadOnlyList<TimeRange> Covered
    {
        get
        {
            var (read, covered) = (_read, new List<TimeRange>());
            for (var i = 0; i < read.Length; i++)
            {
                // What is missing behind a range was measured before it was committed.
                var isOpen = i == read.Length - 1 && read[i].MaxTime + 1 >= Volatile.Read(ref _until) && IsInStep;
                var end = isOpen ? long.MaxValue : read[i].MaxTime - LateMs;
                covered.Add(new TimeRange(i == 0 ? read[i].MinTime : read[i].MinTime + 1, end));
            }

            return TimeSpans.Except(TimeSpans.Union(covered), _lost);
        }
    }

    /// <summary>Whether nothing newer than what is here should be in the bucket. Thread-safe.</summary>
    public bool IsInStep => !Volatile.Read(ref _isBehind) && Elapsed - Volatile.Read(ref _found) <= 3 * IntervalMs;

    /// <summary>Milliseconds of a clock that nobody sets.</summary>
    long Elapsed => (long)options.Time.GetElapsedTime(0).TotalMilliseconds;

    long Now => options.Time.GetUtcNow().ToUnixTimeMilliseconds();

    long IntervalMs => _status?.IntervalMs ?? 15_000;

    /// <summary>Takes what the collector says of itself: windows that are new, and that are gone.</summary>
    public void Update(LiveStatus? status)
    {
        _status = status ?? _status;
        var listed = status?.Windows ?? [];
        foreach (var gone in _windows.Values.Where(window => !listed.Any(other => other.Name == window.Name)).ToList())
        {
            _windows.Remove(gone.Name);
            _former[gone.Name] = gone;
            _vanished = TimeSpans.Union([.. _vanished, gone.Range]);
            if (_former.Count > MostFormer)
            {
                _former.Remove(_former.Keys.First());
            }
        }

        foreach (var one in listed.Where(window => SliceKey.BeginOf(window.Name) is not null))
        {
            if (!_windows.TryGetValue(one.Name, out var window))
            {
                if (_former.Remove(one.Name, out window))
                {
                    _vanished = TimeSpans.Except(_vanished, [window.Range]);
                }

                _windows.Add(one.Name, window ??= new Window(one.Name) { Range = new TimeRange(one.MinTime, one.MaxTime) });
                _due = 0;
            }

            (window.Data, window.IsShipped) = (one.Data, one.Shipped is not null);
            window.Range = new TimeRange(Math.Min(window.Range.MinTime, one.MinTime), Math.Max(window.Range.MaxTime, one.MaxTime));
            window.Last = Math.Max(window.Last, one.Last);
            _newest = one.Name;
            _isBehind |= window.IsBehind;
        }
    }

    /// <summary>Asks no more for a while, since the bucket failed.</summary>
    public void Defer() => _deferred = Elapsed + Math.Max(1, IntervalMs / 4);

    /// <summary>Drops what blocks have that can be read here.</summary>
    /// <param name="shipped">Times of which the collector has found blocks in the bucket.</param>
    /// <param name="visible">Times of which the blocks that are read here have all that the collector had; listed after the status was read.</param>
    public void Release(IReadOnlyList<TimeRange> shipped, IEnumerable<TimeRange> visible)
    {
        var foreign = _windows.Values.Where(window => window.Data != _status?.Data && !window.IsShipped).Select(window => window.Range);
        var done = _windows.Values.Where(window => window.IsShipped).Select(window => window.Range);
        var found = TimeSpans.Except(TimeSpans.Union([.. shipped, .. _vanished, .. done]), foreign.ToList());
        var released = TimeSpans.Intersect(found, TimeSpans.Union(visible));
        foreach (var tail in _tails)
        {
            tail.Head.Drop(released);
        }

        // What was never read, since blocks had it already, is not read any more.
        var shippedWindows = _windows.Values.Where(window => window.IsShipped);
        foreach (var window in shippedWindows.Where(window => TimeSpans.Except([window.Range], released).All(range => range.IsEmpty)))
        {
            window.Next = Math.Max(window.Next, window.Last + 1);
        }

        _tails = [.. _tails.Where((tail, i) => i == _tails.Length - 1 || tail.Head.SeriesCount > 0)];
    }

    /// <summary>Drops the oldest samples, since there is no memory for them.</summary>
    public void Shed(long before)
    {
        var range = new TimeRange(long.MinValue, before - 1);
        foreach (var tail in _tails)
        {
            tail.Head.Drop([range]);
        }

        _lost = [.. TimeSpans.Union([.. _lost, range])];
    }

    /// <summary>Reads what is there: some of what is known to be, or the next one.</summary>
    /// <exception cref="BucketException">The bucket fails.</exception>
    public async Task PollAsync(CancellationToken cancellationToken)
    {
        if (_windows.Values.FirstOrDefault(window => window.IsBehind && Elapsed >= window.RetryAt) is { } behind)
        {
            await CatchUpAsync(behind, cancellationToken);
            Volatile.Write(ref _isBehind, _windows.Values.Any(window => window.IsBehind));
            return;
        }

        var newest = _windows.GetValueOrDefault(_newest) ?? _windows.Values.Last();
        Volatile.Write(ref _isBehind, _windows.Values.Any(window => window.IsBehind));
        if (newest.IsBehind || Elapsed < _due)
        {
            return;
        }

        if (await GetAsync(newest, newest.Next, cancellationToken) is not { } bytes)
        {
            _misses++;
            _due = Elapsed + Math.Max(1, _misses <= 16 ? IntervalMs / 16 : IntervalMs);
            return;
        }

        // The first attempt may have come late; what is found after a miss came just now.
        var early = _misses == 0 ? IntervalMs / 256 : 0;
        await ReadAsync(newest, newest.Next, bytes, cancellationToken);
        newest.Last = Math.Max(newest.Last, newest.Next - 1);
        _due = Elapsed + Math.Max(1, IntervalMs - early);
    }

    /// <summary>Asks once more for slices that were missing.</summary>
    /// <exception cref="BucketException">The bucket fails.</exception>
    public async Task PollLateAsync(CancellationToken cancellationToken)
    {
        var late = _windows.Values.SelectMany(window => window.Missing.Keys.Select(number => (window, number)));
        foreach (var (window, number) in late.Take(MostLate).ToList())
        {
            if (++window.Missing[number] > LateAttempts)
            {
                window.Missing.Remove(number);
            }
            else if (await GetAsync(window, number, cancellationToken) is { } bytes)
            {
                await ReadAsync(window, number, bytes, cancellationToken);
            }
        }
    }

    /// <summary>
    /// Reads several slices that should be there. The first one that is not there is waited for, as a bucket may show it late; after that no
    /// other one of the window is.
    /// </summary>
    async Task CatchUpAsync(Window window, CancellationToken cancellationToken)
    {
        var numbers = Enumerable.Range(window.Next, Math.Min(FetchedAtOnce, window.Last - window.Next + 1)).ToList();
        var fetched = await Task.WhenAll(numbers.Select(number => GetAsync(window, number, cancellationToken)));
        for (var i = 0; i < numbers.Count; i++)
        {
            if (fetched[i] is { } bytes)
            {
                await ReadAsync(window, numbers[i], bytes, cancellationToken);
                continue;
            }

            window.MissedAt ??= Elapsed;
            if (Elapsed - window.MissedAt < 2 * IntervalMs)
            {
                window.RetryAt = Elapsed + Math.Max(1, IntervalMs / 4);
                return;
            }

            var next = fetched.Skip(i).All(one => one is null)
                ? await NextThereAsync(window, numbers[i], cancellationToken) : numbers[i] + 1;
            Miss(window, numbers[i], next - 1, "it is not in the bucket");
            if (next > numbers[^1])
            {
                break;
            }
        }

        window.MissedAt = window.IsBehind ? window.MissedAt : null;
    }

    /// <summary>
    /// The lowest number of a slice in the bucket that is higher than one; the one behind the newest that is known, where there is none.
    /// </summary>
    async Task<int> NextThereAsync(Window window, int number, CancellationToken cancellationToken)
    {
        var (folder, next) = ($"{SliceKey.OfCollector(cluster, collector)}{window.Name}/", window.Last + 1);
        await foreach (var entry in options.Bucket.ListAsync(folder, recursive: true, cancellationToken))
        {
            var name = entry.Key.AsSpan(folder.Length);
            if (int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out var there) && there > number)
            {
                next = Math.Min(next, there);
            }
        }

        return next;
    }

    async Task<byte[]?> GetAsync(Window window, int number, CancellationToken cancellationToken)
    {
        var key = SliceKey.Of(cluster, collector, window.Name, number);
        try
        {
            options.Metrics.Requests.Inc();
            var bytes = await options.Bucket.GetBytesAsync(key, Slice.MaxSize, cancellationToken);
            options.Metrics.Bytes.Inc(bytes.Length);
            return bytes;
        }
        catch (ObjectNotFoundException)
        {
            options.Metrics.Absent.Inc();
            return null;
        }
        catch (BucketException e) when (e.Failure == BucketFailure.TooLarge)
        {
            return [];
        }
    }

    /// <summary>Takes a slice in; one that is damaged counts as one that is missing.</summary>
    async Task ReadAsync(Window window, int number, byte[] bytes, CancellationToken cancellationToken)
    {
        var source = $"{options.Bucket.Name}/{SliceKey.Of(cluster, collector, window.Name, number)}";
        try
        {
            await options.Background.RunAsync(
                () =>
                {
                    var slice = Slice.Parse(bytes, source).FirstOrDefault(
                        one => (one.Header.Cluster, one.Header.Collector, one.Header.Window, one.Header.Sequence) == (cluster, collector, window.Name, number))
                        ?? throw new CorruptionException(source, 0, "has other slices than its key says");
                    Take(window, slice);
                },
                cancellationToken);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            if (!window.Missing.ContainsKey(number))
            {
                options.Metrics.Corrupt.Inc();
                Miss(window, number, number, e.Message);
            }
        }
    }

    void Take(Window window, Slice slice)
    {
        var header = slice.Header;
        using (var samples = slice.Unpack())
        {
            HeadOf(header.Labels).Append(samples);
        }

        window.Missing.Remove(header.Sequence);
        window.Parts.Add((PartsBefore(window, header), new TimeRange(header.From, header.To - 1)));
        if (header.Sequence == window.Next)
        {
            if (window.Read > 0 && window.Read == header.Sequence - 1 && !header.Previous.Span.SequenceEqual(window.Hash.Span))
            {
                LogChain(options.Logger, cluster, collector, window.Name, header.Sequence);
            }

            (window.Hash, window.Read, window.To, window.Next) = (slice.Hash, header.Sequence, header.To, header.Sequence + 1);
            (window.Last, _misses) = (Math.Max(window.Last, header.Sequence), 0);
            Volatile.Write(ref _found, Elapsed);
            Volatile.Write(ref _until, Math.Max(_until, header.To));
        }

        if (header.Samples > 0)
        {
            var (own, range) = (header.Range, window.Range);
            window.Range = new TimeRange(Math.Min(range.MinTime, own.MinTime), Math.Max(range.MaxTime, own.MaxTime));
        }

        window.Parts.ForEach(part => part.Missing.Remove(header.Sequence));
        _read = [.. TimeSpans.Union([.. _read, .. window.Parts.Where(part => part.Missing.Count == 0).Select(part => part.Range)])];
        window.Parts.RemoveAll(part => part.Missing.Count == 0);
        if (header.Lost.Count > 0)
        {
            _lost = [.. TimeSpans.Union([.. _lost, .. header.Lost.Ranges])];
        }

        options.Metrics.Slices.Inc();
        options.Metrics.Samples.Inc(header.Samples);
        options.Metrics.Age.Observe(Math.Max(0, Now - header.From) / 1000.0);
    }

    /// <summary>Slices that are missing before one and had no span of time of their own: they were parts of its interval.</summary>
    static HashSet<int> PartsBefore(Window window, SliceHeader header) =>
        header.Sequence < window.Next ? (window.Missing.ContainsKey(header.Sequence - 1) ? [header.Sequence - 1] : [])
        : header.From <= window.To ? [.. Enumerable.Range(window.Read + 1, header.Sequence - 1 - window.Read).Take(MostLate + 1)] : [];

    /// <param name="number">The next one, and those behind it up to…</param>
    /// <param name="last">…this one, inclusive.</param>
    void Miss(Window window, int number, int last, string why)
    {
        for (var late = Math.Max(number, last - MostLate + 1); late <= last; late++)
        {
            window.Missing.TryAdd(late, 0);
        }

        // What comes after it is not covered before a later slice says so.
        window.Next = Math.Max(window.Next, last + 1);
        Volatile.Write(ref _until, Math.Max(_until, _read.Length == 0 ? 0 : _read[^1].MaxTime + 2));
        options.Metrics.Missing.Inc(last - number + 1);
        LogMissing(options.Logger, cluster, collector, window.Name, number, last, why);
    }

    LiveHead HeadOf(Labels labels)
    {
        if (_tails.FirstOrDefault(tail => tail.Labels == labels) is { } known)
        {
            return known.Head;
        }

        var tail = new Tail(labels.Copy(), new LiveHead());
        _tails = [.. _tails, tail];
        return tail.Head;
    }

    [LoggerMessage(LogLevel.Warning, "live slices are missing; answers say what they lack until their block is there cluster={Cluster} collector={Collector} window={Window} number={Number} last={Last} why={Why}")]
    static partial void LogMissing(ILogger logger, string cluster, string collector, string window, int number, int last, string why);

    [LoggerMessage(LogLevel.Warning, "a live slice does not continue the one before it: objects in the bucket were replaced cluster={Cluster} collector={Collector} window={Window} number={Number}")]
    static partial void LogChain(ILogger logger, string cluster, string collector, string window, int number);
}
