using System.Text;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Observe.Store.Bucket;
using Observe.Store.Fleet;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Head;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Observe.Tsdb.Threading;

namespace Observe.Store.Live;

public sealed record SliceWriterOptions
{
    public required IBucket Bucket { get; init; }

    public required string Cluster { get; init; }

    public required string Collector { get; init; }

    /// <summary>Called for each slice; where it throws, the slice is tried again.</summary>
    public required Func<Labels> ExternalLabels { get; init; }

    /// <summary>How often a slice is sealed (<c>--live.interval</c>).</summary>
    public required TimeSpan Interval { get; init; }

    /// <summary>The grid of blocks, on which windows begin. Milliseconds.</summary>
    public required long BlockRangeMs { get; init; }

    /// <summary>Names the data folder; see <see cref="SliceWriter.DataOf"/>.</summary>
    public required string Data { get; init; }

    /// <summary>Names this run of the collector.</summary>
    public required uint Run { get; init; }

    /// <summary>Its commits are written, from the writer's making on.</summary>
    public required HeadBlock Head { get; init; }

    /// <summary>Head and local blocks, without external labels: from there comes what an earlier run had not written.</summary>
    public required IQuerier Local { get; init; }

    /// <summary>Called for the times of local blocks that are in the bucket.</summary>
    public required Func<IReadOnlyList<TimeRange>> Shipped { get; init; }

    /// <summary>Called when something new is in the bucket.</summary>
    public Action Written { get; init; } = () => { };

    /// <summary>How long slices are kept after blocks have their samples, for readers to find these.</summary>
    public TimeSpan DeleteDelay { get; init; } = TimeSpan.FromMinutes(15);

    /// <summary>Bytes of commits that are not sealed yet, and of slices that are not in the bucket yet, each.</summary>
    public long BufferBytes { get; init; } = 64 << 20;

    /// <summary>The threads that pack slices.</summary>
    public TaskScheduler Background { get; init; } = TaskScheduler.Default;

    public required TimeProvider Time { get; init; }

    public required SliceWriterMetrics Metrics { get; init; }

    public ILogger Logger { get; init; } = NullLogger.Instance;

    public LoopSupervisor Loops { get; init; } = new();
}

/// <summary>
/// Writes what a head commits to the bucket, slice by slice. Nothing waits for it: commits that it cannot buffer are lost to the slices, and so are
/// the oldest of those that cannot be sent; the next slice says so.
/// </summary>
/// <remarks>
/// One loop seals, another sends, in order and each until it is in the bucket: numbers are given as slices are sent, so that they have no hole.
/// </remarks>
public sealed partial class SliceWriter : IDisposable
{
    const int DeletesAtOnce = 8;
    const int MaxWindows = 1_000;

    readonly SliceWriterOptions _options;
    readonly CommitTap _tap;
    readonly SliceBuilder _builder = new();
    readonly BackgroundLoop _sending;
    readonly SemaphoreSlim _sends = new(1, 1);
    readonly Lock _lock = new();
    readonly LinkedList<SealedSlice> _queue = new();
    readonly TimeRange _replayed;
    readonly long _began;
    long _queued;
    long _from;
    LostSamples _lost = LostSamples.None;

    // Of the one that sends.
    SealedSlice? _current;
    Replay? _replay;
    volatile bool _isPrepared;
    string _window = "";
    long _grid;
    long _to;
    int _sequence;
    ReadOnlyMemory<byte> _hash = new byte[SliceHeader.HashSize];
    volatile LiveWindow[] _windows = [];

    /// <summary>A packed slice, and its bytes once it has a number.</summary>
    sealed class SealedSlice(PackedSamples samples, long from, long to, LostSamples lost)
    {
        public PackedSamples Samples => samples;

        public long From => from;

        public long To => to;

        public LostSamples Lost { get; set; } = lost;

        public string Key { get; set; } = "";

        public byte[]? Bytes { get; set; }

        public long Size => samples.Content.Length;
    }

    public SliceWriter(SliceWriterOptions options)
    {
        _options = options;
        _replayed = options.Head.Range;
        _tap = options.Head.Tap(options.BufferBytes);
        _began = _from = Now;
        _sending = new BackgroundLoop(new LoopOptions
        {
            Name = "live slices",
            Interval = options.Interval,
            Time = options.Time,
            Logger = options.Logger,
            Supervisor = options.Loops,
            StartsAtOnce = true,
            MaxBackoff = options.Interval,
        });
    }

    /// <summary>What is in the bucket; not known before <see cref="PrepareAsync"/>, and not to be told before.</summary>
    public LiveStatus Status => new() { IntervalMs = IntervalMs, Data = _options.Data, Windows = _windows };

    long Now => _options.Time.GetUtcNow().ToUnixTimeMilliseconds();

    long IntervalMs => (long)_options.Interval.TotalMilliseconds;

    /// <summary>The name of a data folder, which is made with it and stays.</summary>
    /// <exception cref="IOException"/>
    public static string DataOf(string folder)
    {
        var path = Path.Combine(folder, "data-id");
        if (File.Exists(path) && File.ReadAllText(path).Trim() is var name && FleetName.IsValid(name))
        {
            return name;
        }

        name = Guid.NewGuid().ToString("N");
        Directory.CreateDirectory(folder);
        DurableFile.Write(path, Encoding.UTF8.GetBytes(name));
        return name;
    }

    /// <summary>Seals and sends until it is cancelled.</summary>
    public Task RunAsync(CancellationToken cancellationToken)
    {
        var sealing = new BackgroundLoop(new LoopOptions
        {
            Name = "live sealing",
            Interval = _options.Interval,
            Time = _options.Time,
            Logger = _options.Logger,
            Supervisor = _options.Loops,
        });
        return Task.WhenAll(
            sealing.RepeatAsync(SealAsync, cancellationToken),
            _sending.RepeatAsync(SendAsync, cancellationToken));
    }

    /// <summary>Learns what earlier runs wrote, once: from the status that this run is going to replace.</summary>
    /// <exception cref="BucketException">The bucket fails.</exception>
    public async Task PrepareAsync(CancellationToken cancellationToken)
    {
        if (_isPrepared)
        {
            return;
        }

        await _sends.WaitAsync(cancellationToken);
        try
        {
            await ReadBeforeAsync(cancellationToken);
        }
        finally
        {
            _sends.Release();
        }
    }

    /// <summary>Seals what was committed since it was called last.</summary>
    public async Task SealAsync(CancellationToken cancellationToken)
    {
        await _options.Background.RunAsync(Seal, cancellationToken);
        _sending.Wake();
    }

    /// <summary>Sends what is sealed, and deletes what blocks have.</summary>
    /// <exception cref="BucketException">The bucket fails; it is tried again with the next call.</exception>
    public async Task SendAsync(CancellationToken cancellationToken)
    {
        await _sends.WaitAsync(cancellationToken);
        try
        {
            await ReadBeforeAsync(cancellationToken);
            while ((_current ??= await NextAsync(cancellationToken)) is { } slice)
            {
                await PutAsync(slice, cancellationToken);
                _current = null;
                _options.Written();
            }

            MarkShipped();
            await DeleteShippedAsync(cancellationToken);
        }
        catch (Exception) when (!cancellationToken.IsCancellationRequested)
        {
            _options.Metrics.Failures.Inc();
            throw;
        }
        finally
        {
            _sends.Release();
        }
    }

    /// <summary>Notes the windows whose samples are all in blocks in the bucket: at the end of a run all of them may be.</summary>
    /// <param name="isLast">Nothing is written any more.</param>
    public void MarkShipped(bool isLast = false)
    {
        var shipped = TimeSpans.Union(_options.Shipped());
        _windows =
        [
            .. _windows.Select(window => window.Shipped is null && window.Data == _options.Data && (isLast || window.Name != _window)
                && TimeSpans.Except([new TimeRange(window.MinTime, window.MaxTime)], shipped).All(range => range.IsEmpty)
                ? window with { Shipped = _options.Time.GetUtcNow() } : window),
        ];
    }

    public void Dispose()
    {
        _tap.Dispose();
        _builder.Dispose();
        _sends.Dispose();
    }

    void Seal()
    {
        // What is committed in this very millisecond is in this slice already, or in the next one: the next one does not say that it has all
        // of it.
        // Where the clock was set back, time begins anew.
        var to = Now + 1;
        var from = to < _from - IntervalMs ? to - IntervalMs : _from;
        to = Math.Max(from, to);
        while (_tap.TryRead(out var commit))
        {
            Lose(_builder.Add(_tap, commit, () => Enqueue(from, from)));
        }

        Enqueue(from, to);
        _from = to;
    }

    void Enqueue(long from, long to)
    {
        var packed = _builder.Pack();
        lock (_lock)
        {
            _queue.AddLast(new SealedSlice(packed, from, to, _lost));
            _lost = LostSamples.None;
            _queued += packed.Content.Length;
            while (_queued > _options.BufferBytes && _queue.Count > 1)
            {
                var shed = _queue.First!.Value;
                _queue.RemoveFirst();
                _queued -= shed.Size;
                var next = _queue.First!.Value;
                next.Lost = next.Lost.And(shed.Lost);
                if (shed.Samples.Samples > 0)
                {
                    next.Lost = next.Lost.And(shed.Samples.Samples, shed.Samples.Range);
                    _options.Metrics.Lost.Inc(shed.Samples.Samples);
                    LogShed(_options.Logger, shed.Samples.Samples, shed.Samples.Range.MinTime, shed.Samples.Range.MaxTime);
                }
            }

            _options.Metrics.Buffered.Set(_queued);
        }
    }

    void Lose(LostSamples lost)
    {
        if (lost.Count > 0)
        {
            _lost = _lost.And(lost);
            _options.Metrics.Lost.Inc(lost.Count);
            LogLost(_options.Logger, lost.Count);
        }
    }

    /// <summary>What earlier runs had not written yet, the head has from its log.</summary>
    async Task ReadBeforeAsync(CancellationToken cancellationToken)
    {
        if (_isPrepared)
        {
            return;
        }

        var key = CollectorStatus.Key(_options.Cluster, _options.Collector);
        LiveStatus? before = null;
        try
        {
            var json = await _options.Bucket.GetBytesAsync(key, CollectorStatus.MaxSize, cancellationToken);
            before = CollectorStatus.Parse(json, $"{_options.Bucket.Name}/{key}").Live;
        }
        catch (Exception e) when (e is ObjectNotFoundException or CorruptionException or BucketException { Failure: BucketFailure.TooLarge })
        {
            // Nobody was here before, or nobody knows what it wrote: all that the head has is written.
        }

        _windows = [.. (before?.Windows ?? []).Where(window => SliceKey.BeginOf(window.Name) is not null)];
        if (!_replayed.IsEmpty)
        {
            var own = _windows.Where(window => window.Data == _options.Data);
            var until = own.Select(window => window.Until).DefaultIfEmpty(long.MinValue).Max();
            _replay = new Replay(_options.Local, _replayed, until, _began);
        }

        _isPrepared = true;
    }

    async Task<SealedSlice?> NextAsync(CancellationToken cancellationToken)
    {
        if (_replay is not null)
        {
            if (await _options.Background.RunAsync(() => _replay.NextAsync(cancellationToken)) is { } piece)
            {
                return new SealedSlice(piece.Samples, piece.From, piece.To, LostSamples.None);
            }

            _replay = null;
        }

        lock (_lock)
        {
            if (_queue.First is not { } first)
            {
                return null;
            }

            _queue.RemoveFirst();
            _queued -= first.Value.Size;
            _options.Metrics.Buffered.Set(_queued);
            return first.Value;
        }
    }

    async Task PutAsync(SealedSlice slice, CancellationToken cancellationToken)
    {
        if (slice.Bytes is null)
        {
            Number(slice);
        }

        // Whether a write that failed did happen, nobody knows: it is repeated with the same bytes under the same key.
        await _options.Bucket.PutBytesAsync(slice.Key, slice.Bytes!, PutCondition.None, cancellationToken);
        _hash = slice.Bytes.AsMemory(slice.Bytes!.Length - SliceHeader.HashSize);
        var (range, known) = (slice.Samples.Range, _windows.FirstOrDefault(window => window.Name == _window));
        known ??= new LiveWindow(_window, 0, slice.From, long.MaxValue, long.MinValue, _options.Data);
        var window = known with
        {
            Last = _sequence,
            Until = Math.Max(known.Until, slice.To),
            MinTime = Math.Min(known.MinTime, range.MinTime),
            MaxTime = Math.Max(known.MaxTime, range.MaxTime),
        };
        _windows = [.. _windows.Where(other => other.Name != _window).TakeLast(MaxWindows - 1), window];
        _options.Metrics.Slices.Inc();
        _options.Metrics.Bytes.Inc(slice.Bytes!.Length);
        _options.Metrics.Samples.Inc(slice.Samples.Samples);
        _options.Metrics.Until.Set(window.Until / 1000.0);
        _options.Metrics.Windows.Set(_windows.Length);
    }

    void Number(SealedSlice slice)
    {
        // Labels may be refused, for longer than one attempt: that gives no number away.
        var labels = _options.ExternalLabels();
        var grid = slice.From - (slice.From % _options.BlockRangeMs);
        if (_window.Length == 0 || grid != _grid || slice.From < _to || _sequence == SliceKey.MaxSequence)
        {
            (_window, _grid, _sequence) = (SliceKey.Window(DateTimeOffset.FromUnixTimeMilliseconds(slice.From), _options.Run), grid, 0);
            _hash = new byte[SliceHeader.HashSize];
        }

        var header = new SliceHeader
        {
            Cluster = _options.Cluster,
            Collector = _options.Collector,
            Window = _window,
            Sequence = ++_sequence,
            Data = _options.Data,
            Labels = labels,
            From = slice.From,
            To = slice.To,
            IntervalMs = IntervalMs,
            Previous = _hash,
            Lost = slice.Lost,
            Series = slice.Samples.Series,
            Samples = slice.Samples.Samples,
            Range = slice.Samples.Range,
        };
        (slice.Key, slice.Bytes, _to) = (header.Key, Slice.Seal(header, slice.Samples), slice.To);
    }

    async Task DeleteShippedAsync(CancellationToken cancellationToken)
    {
        var due = _options.Time.GetUtcNow() - _options.DeleteDelay;
        var oldest = (_options.Time.GetUtcNow() - SliceCleaner.Kept).ToUnixTimeMilliseconds();
        foreach (var window in _windows.Where(window => window.Shipped <= due || (window.Data != _options.Data && window.Until < oldest)))
        {
            var deleted = await DeleteAsync(_options.Bucket, _options.Cluster, _options.Collector, window.Name, cancellationToken);
            _windows = [.. _windows.Where(other => other.Name != window.Name)];
            _options.Metrics.Deleted.Inc(deleted);
            _options.Metrics.Windows.Set(_windows.Length);
            _options.Written();
        }
    }

    /// <summary>Deletes all slices of a window; returns how many there were.</summary>
    internal static async Task<int> DeleteAsync(
        IBucket bucket, string cluster, string collector, string window, CancellationToken cancellationToken)
    {
        var keys = new List<string>();
        var folder = $"{SliceKey.OfCollector(cluster, collector)}{window}/";
        await foreach (var entry in bucket.ListAsync(folder, recursive: true, cancellationToken))
        {
            keys.Add(entry.Key);
        }

        await Parallel.ForEachAsync(
            keys, new ParallelOptions { MaxDegreeOfParallelism = DeletesAtOnce, CancellationToken = cancellationToken },
            async (key, token) => await bucket.DeleteAsync(key, token));
        return keys.Count;
    }

    [LoggerMessage(LogLevel.Warning, "live slices lack samples since they were committed faster than they can be buffered, blocks will have them samples={Samples}")]
    static partial void LogLost(ILogger logger, long samples);

    [LoggerMessage(LogLevel.Warning, "live slices wait for the bucket, and the oldest were given up for the size of the buffer; blocks will have them samples={Samples} from={MinTime} to={MaxTime}")]
    static partial void LogShed(ILogger logger, long samples, long minTime, long maxTime);
}
