using Microsoft.Extensions.Logging;
using Observe.Store.Bucket;
using Observe.Store.Fleet;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;
using Observe.Tsdb.Threading;

namespace Observe.Store.Live;

/// <summary>
/// Follows the slices of one collector, in their order, and keeps their samples until blocks have them. Its owner calls it one call at a time, but
/// for what is marked as thread-safe.
/// </summary>
/// <remarks>
/// The next slice is asked for by its number when it is due. When that is, the tailer learns: a slice that was there at the first attempt is asked for
/// a little earlier next time, one that was not is asked for again soon. So a slice costs little more than one request, wherever the clocks stand.
/// </remarks>
sealed partial class SliceTailer(LiveStoreOptions options, string cluster, string collector)
{
    const int FetchedAtOnce = 8;

    /// <summary>So much before its commit a sample may have been measured.</summary>
    const long LateMs = Replay.LateMs;

    /// <summary>A slice that is missing is asked for again so often, with each look at the fleet.</summary>
    const int LateAttempts = 20;

    readonly SortedDictionary<string, Window> _windows = new(StringComparer.Ordinal);
    volatile Tail[] _tails = [];
    LiveStatus? _status;
    IReadOnlyList<TimeRange> _vanished = [];
    volatile TimeRange[] _read = [];
    volatile TimeRange[] _lost = [];
    long _due;
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

        /// <summary>Where the slices end that were read.</summary>
        public long Until { get; set; } = long.MinValue;

        /// <summary>When the next number was missed first.</summary>
        public long? MissedAt { get; set; }

        /// <summary>Numbers that were not there when they should have been, and how often they were asked for since.</summary>
        public Dictionary<int, int> Missing { get; } = [];
    }

    public string Cluster => cluster;

    public string Collector => collector;

    /// <summary>Thread-safe.</summary>
    public IReadOnlyList<Tail> Tails => _tails;

    /// <summary>Whether a request should be made.</summary>
    public bool IsDue => _windows.Count > 0 && Now >= _due;

    /// <summary>Whether slices have not come for so long that the status may tell of another window.</summary>
    public bool IsOverdue => _windows.Count > 0 && _misses > 0 && Now - _found > IntervalMs * 3 / 2;

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
                covered.Add(new TimeRange(i == 0 ? read[i].MinTime : read[i].MinTime + 1, isOpen ? long.MaxValue : read[i].MaxTime - LateMs));
            }

            return TimeSpans.Except(TimeSpans.Union(covered), _lost);
        }
    }

    /// <summary>Whether nothing newer than what is here should be in the bucket. Thread-safe.</summary>
    public bool IsInStep => !Volatile.Read(ref _isBehind) && Now - Volatile.Read(ref _found) <= 3 * IntervalMs;

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
            _vanished = TimeSpans.Union([.. _vanished, gone.Range]);
        }

        foreach (var one in listed.Where(window => SliceKey.BeginOf(window.Name) is not null))
        {
            if (!_windows.TryGetValue(one.Name, out var window))
            {
                _windows.Add(one.Name, window = new Window(one.Name) { Range = new TimeRange(one.MinTime, one.MaxTime) });
                _due = 0;
            }

            (window.Data, window.IsShipped) = (one.Data, one.Shipped is not null);
            window.Range = new TimeRange(Math.Min(window.Range.MinTime, one.MinTime), Math.Max(window.Range.MaxTime, one.MaxTime));
            window.Last = Math.Max(window.Last, one.Last);
            if (window.Next <= window.Last)
            {
                (_isBehind, _due) = (true, window.MissedAt is null ? 0 : _due);
            }
        }
    }

    /// <summary>Asks no more for a while, since the bucket failed.</summary>
    public void Defer() => _due = Now + Math.Max(1, IntervalMs / 4);

    /// <summary>Drops what blocks have that can be read here.</summary>
    /// <param name="shipped">Times of which the collector has found blocks in the bucket.</param>
    /// <param name="visible">Times of which the blocks that are read here have all that the collector had; listed after the status was read.</param>
    public void Release(IReadOnlyList<TimeRange> shipped, IEnumerable<TimeRange> visible)
    {
        var foreign = _windows.Values.Where(window => window.Data != _status?.Data && !window.IsShipped).Select(window => window.Range).ToList();
        var done = _windows.Values.Where(window => window.IsShipped).Select(window => window.Range);
        var released = TimeSpans.Intersect(TimeSpans.Except(TimeSpans.Union([.. shipped, .. _vanished, .. done]), foreign), TimeSpans.Union(visible));
        foreach (var tail in _tails)
        {
            tail.Head.Drop(released);
        }

        // What was never read, since blocks had it already, is not read any more.
        foreach (var window in _windows.Values.Where(window => window.IsShipped && TimeSpans.Except([window.Range], released).All(range => range.IsEmpty)))
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
        if (_windows.Values.FirstOrDefault(window => window.Next <= window.Last) is { } behind)
        {
            if (!await CatchUpAsync(behind, cancellationToken))
            {
                Defer();
            }

            Volatile.Write(ref _isBehind, _windows.Values.Any(window => window.Next <= window.Last));
            return;
        }

        Volatile.Write(ref _isBehind, false);
        var newest = _windows.Values.Last();
        if (await GetAsync(newest, newest.Next, cancellationToken) is not { } bytes)
        {
            _misses++;
            _due = Now + Math.Max(1, _misses <= 16 ? IntervalMs / 16 : IntervalMs);
            return;
        }

        // The first attempt may have come late; what is found after a miss came just now.
        var early = _misses == 0 ? IntervalMs / 256 : 0;
        await ReadAsync(newest, newest.Next, bytes, cancellationToken);
        newest.Last = Math.Max(newest.Last, newest.Next - 1);
        _due = Now + Math.Max(1, IntervalMs - early);
    }

    /// <summary>Asks once more for slices that were missing.</summary>
    /// <exception cref="BucketException">The bucket fails.</exception>
    public async Task PollLateAsync(CancellationToken cancellationToken)
    {
        foreach (var window in _windows.Values)
        {
            foreach (var (number, attempts) in window.Missing.ToList())
            {
                if (await GetAsync(window, number, cancellationToken) is { } bytes)
                {
                    window.Missing.Remove(number);
                    await ReadAsync(window, number, bytes, cancellationToken);
                }
                else if (attempts >= LateAttempts)
                {
                    window.Missing.Remove(number);
                }
                else
                {
                    window.Missing[number] = attempts + 1;
                }
            }
        }
    }

    /// <summary>Reads several slices that should be there; false where the first of them is not.</summary>
    async Task<bool> CatchUpAsync(Window window, CancellationToken cancellationToken)
    {
        var numbers = Enumerable.Range(window.Next, Math.Min(FetchedAtOnce, window.Last - window.Next + 1)).ToList();
        var fetched = await Task.WhenAll(numbers.Select(number => GetAsync(window, number, cancellationToken)));
        for (var i = 0; i < numbers.Count; i++)
        {
            if (fetched[i] is { } bytes)
            {
                window.MissedAt = null;
                await ReadAsync(window, numbers[i], bytes, cancellationToken);
                continue;
            }

            window.MissedAt ??= Now;
            if (Now - window.MissedAt < 2 * IntervalMs)
            {
                return i > 0;
            }

            Miss(window, numbers[i], "it is not in the bucket");
        }

        return true;
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
        catch (CorruptionException e)
        {
            options.Metrics.Corrupt.Inc();
            Miss(window, number, e.Message);
        }
    }

    void Take(Window window, Slice slice)
    {
        var header = slice.Header;
        using (var samples = slice.Unpack())
        {
            HeadOf(header.Labels).Append(samples);
        }

        if (header.Sequence == window.Next)
        {
            if (window.Until != long.MinValue && !window.Missing.ContainsKey(header.Sequence - 1) && !slice.Header.Previous.Span.SequenceEqual(window.Hash.Span))
            {
                LogChain(options.Logger, cluster, collector, window.Name, header.Sequence);
            }

            (window.Hash, window.Next, window.Until) = (slice.Hash, header.Sequence + 1, header.To);
            (window.Last, _misses) = (Math.Max(window.Last, header.Sequence), 0);
            Volatile.Write(ref _found, Now);
            Volatile.Write(ref _until, Math.Max(_until, header.To));
        }

        if (header.Samples > 0)
        {
            window.Range = new TimeRange(Math.Min(window.Range.MinTime, header.Range.MinTime), Math.Max(window.Range.MaxTime, header.Range.MaxTime));
        }

        _read = [.. TimeSpans.Union([.. _read, new TimeRange(header.From, header.To - 1)])];
        if (header.Lost.Count > 0)
        {
            _lost = [.. TimeSpans.Union([.. _lost, .. header.Lost.Ranges])];
        }

        options.Metrics.Slices.Inc();
        options.Metrics.Samples.Inc(header.Samples);
        options.Metrics.Age.Observe(Math.Max(0, Now - header.From) / 1000.0);
    }

    void Miss(Window window, int number, string why)
    {
        window.Missing.TryAdd(number, 0);
        window.MissedAt = null;
        if (number == window.Next)
        {
            window.Next++;
        }

        // What comes after it is not covered before a later slice says so.
        Volatile.Write(ref _until, Math.Max(_until, _read.Length == 0 ? 0 : _read[^1].MaxTime + 2));
        options.Metrics.Missing.Inc();
        LogMissing(options.Logger, cluster, collector, window.Name, number, why);
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

    [LoggerMessage(LogLevel.Warning, "a live slice is missing; answers say what they lack until its block is there cluster={Cluster} collector={Collector} window={Window} number={Number} why={Why}")]
    static partial void LogMissing(ILogger logger, string cluster, string collector, string window, int number, string why);

    [LoggerMessage(LogLevel.Warning, "a live slice does not continue the one before it: objects in the bucket were replaced cluster={Cluster} collector={Collector} window={Window} number={Number}")]
    static partial void LogChain(ILogger logger, string cluster, string collector, string window, int number);
}
