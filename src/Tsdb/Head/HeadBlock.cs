using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Observe.Tsdb.Ingest;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Observe.Tsdb.Threading;
using Observe.Tsdb.Wal;
using Prometheus;

namespace Observe.Tsdb.Head;

public sealed record HeadOptions
{
    /// <summary>The collector's data folder: <c>wal/</c> and the blocks that were cut lie in it.</summary>
    public required string Directory { get; init; }

    public required TimeProvider Time { get; init; }

    /// <summary>The span of a block, and the grid that blocks are cut on. Milliseconds.</summary>
    public long BlockRangeMs { get; init; } = 2 * 3_600_000;

    /// <summary>Where blocks and checkpoints are written.</summary>
    public TaskScheduler Background { get; init; } = TaskScheduler.Default;

    /// <summary>
    /// How long a record may wait for its fsync: the group commit's interval. Zero: each commit is synced before it returns.
    /// </summary>
    public TimeSpan WalSyncInterval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>
    /// False for a head that follows another program's log, from which it is filled anew at each start: it has no log itself, and is never cut.
    /// </summary>
    public bool HasLog { get; init; } = true;

    /// <summary>The size at which the log starts its next segment. Bytes.</summary>
    public int WalSegmentBytes { get; init; } = 128 << 20;

    /// <summary>How much of the log a start may have to read before a snapshot is written that it can begin with, about; 0: none is. Bytes.</summary>
    public long SnapshotBytes { get; init; } = 64 << 20;

    /// <summary>The head's metrics are registered here, if it is not null.</summary>
    public CollectorRegistry? Metrics { get; init; }

    /// <summary>Watches the head's background loops.</summary>
    public LoopSupervisor Loops { get; init; } = new();

    /// <summary>For tests: stands between the log and the disk.</summary>
    internal WalDisk? Disk { get; init; }

    public ILogger Logger { get; init; } = NullLogger.Instance;

    /// <summary>
    /// Called with the folder of each block that <see cref="HeadBlock.CutAsync(bool, CancellationToken)"/> has written, before its samples
    /// leave the head: who reads head and blocks as one opens the block here, so that at no moment samples are in neither.
    /// </summary>
    public Func<string, CancellationToken, ValueTask>? BlockCut { get; init; }
}

/// <summary>The newest samples, in memory and in the write-ahead log; cut into blocks as they age.</summary>
/// <remarks>
/// Two locks order commits. The first is held while a commit is logged and applied, so that the log has the order of memory. The second is
/// held only while it is applied, and by readers for the moment at which they begin. Inside these, each stripe of series has a lock.
/// </remarks>
public sealed partial class HeadBlock : IQuerier, IAsyncDisposable
{
    static readonly TimeSpan ReaderPatience = TimeSpan.FromMinutes(5);

    readonly Lock _committing = new();
    readonly Lock _applying = new();
    readonly HeadOptions _options;
    readonly DirectoryLock _directoryLock;
    readonly ByteArena _arena = new();
    readonly ChunkFiles _files;
    readonly WalMetrics _walMetrics;
    readonly ReaderGate _readers = new();
    readonly SemaphoreSlim _cutting = new(1);
    readonly WalBatch _batch = new();
    readonly Bytes.ByteWriter _seriesRecord = new(4096);
    readonly Func<long, CancellationToken, ValueTask> _durable;
    readonly ILogger _logger;
    readonly CollectorRegistry _registry;
    WalWriter? _wal;
    long _minTime = long.MaxValue;
    long _maxTime = long.MinValue;
    long _cutTime = long.MinValue;
    long _visibleFrom = long.MinValue;
    long _position;
    CommitTap[] _taps = [];
    int _disposed;

    HeadBlock(HeadOptions options, DirectoryLock directoryLock)
    {
        (_options, _directoryLock, _logger) = (options, directoryLock, options.Logger);
        _registry = options.Metrics ?? Metrics.NewCustomRegistry();
        HeadMetrics = new HeadMetrics(_registry);
        _walMetrics = new WalMetrics(_registry);
        _durable = (position, cancellationToken) => Wal.DurableAsync(position, cancellationToken);
        Series = new SeriesTable(_arena);
        _files = new ChunkFiles(Path.Combine(options.Directory, "head_chunks"));
        Chunks = new SeriesChunks(_arena, _files, options.BlockRangeMs);
    }

    internal HeadMetrics HeadMetrics { get; }

    internal SeriesTable Series { get; }

    internal SeriesChunks Chunks { get; }

    /// <summary>Bytes of labels and open chunks.</summary>
    internal long MemoryBytes => _arena.UsedBytes;

    string WalDirectory => Path.Combine(_options.Directory, "wal");

    WalWriter Wal => _wal ?? throw new InvalidOperationException("the head is not open");

    /// <summary>Opens the folder and replays its log; a damaged record is skipped, counted and named, never fatal.</summary>
    /// <exception cref="IOException">Another process has the folder open, or it can't be written.</exception>
    public static async Task<HeadBlock> OpenAsync(HeadOptions options, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(options.BlockRangeMs);
        Bytes.DurableFile.CreateDirectory(options.Directory);
        var head = new HeadBlock(options, DirectoryLock.Acquire(options.Directory));
        try
        {
            // On a thread of its own: a long log takes minutes.
            await Task.Factory.StartNew(
                () => head.Open(cancellationToken),
                cancellationToken, TaskCreationOptions.LongRunning | TaskCreationOptions.DenyChildAttach, TaskScheduler.Default);
            return head;
        }
        catch
        {
            await head.DisposeAsync();
            throw;
        }
    }

    /// <summary>Oldest and newest sample, Unix milliseconds; empty while there is none.</summary>
    public TimeRange Range => new(Volatile.Read(ref _minTime), Volatile.Read(ref _maxTime));

    /// <summary>
    /// Samples before it are OutOfBounds: they are in a block already, or too far behind the newest sample. Unix milliseconds.
    /// </summary>
    public long MinValidTime
    {
        get
        {
            var newest = Volatile.Read(ref _maxTime);
            return Math.Max(Volatile.Read(ref _cutTime), newest == long.MinValue ? newest : newest - (_options.BlockRangeMs / 2));
        }
    }

    public long SeriesCount => Series.Count;

    /// <summary>Since the head was opened; those of its replay count too.</summary>
    public long SamplesAppended => HeadMetrics.SamplesAppended;

    /// <summary>Why nothing can be appended at present, or what was may be lost with the machine; null when all is well.</summary>
    public string? Fault => _wal?.Fault is { } fault ? "the write-ahead log cannot be written: " + fault : null;

    /// <summary>
    /// Places of the log that could not be read at the start, as an operator would look for them: file, offset, what is wrong.
    /// </summary>
    public IReadOnlyList<string> Damages { get; private set; } = [];

    public HeadAppender Appender() => new(this);

    /// <summary>Follows the commits from here on; see <see cref="CommitTap"/>.</summary>
    /// <param name="maxBytes">How much of what is not yet read is held, about.</param>
    public CommitTap Tap(long maxBytes)
    {
        var tap = new CommitTap(Series, maxBytes, RemoveTap);
        lock (_committing)
        {
            _taps = [.. _taps, tap];
        }

        return tap;
    }

    /// <summary>Syncs and closes the log; samples stay in it for the next start.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        try
        {
            if (_wal is not null)
            {
                await _wal.DisposeAsync();
            }
        }
        finally
        {
            _files.Dispose();
            _batch.Dispose();
            _seriesRecord.Dispose();
            _cutting.Dispose();
            _directoryLock.Dispose();
        }
    }

    /// <summary>
    /// Logs a batch, the series that are new to the log before it, and applies it. Ends the pending state of its samples.
    /// </summary>
    /// <exception cref="IOException">Nothing was logged or applied.</exception>
    internal CommitTicket Commit(WalBatch batch, ReadOnlySpan<uint> unlogged, in PendingAppend append)
    {
        lock (_committing)
        {
            if (!batch.IsEmpty)
            {
                if (_options.HasLog)
                {
                    _position = Wal.Log(WithSeries(batch, unlogged));
                }

                SetLogged(unlogged);
                lock (_applying)
                {
                    Apply(append.Samples, append.Histograms);
                }
            }

            foreach (var tap in _taps)
            {
                tap.Offer(append);
            }

            return new CommitTicket(_position, _durable);
        }
    }

    void SetLogged(ReadOnlySpan<uint> unlogged)
    {
        foreach (var reference in unlogged)
        {
            if (Series.TryGetSlot(reference, out var slot))
            {
                lock (Series.Stripe(slot))
                {
                    Series.At(slot).Flags |= SeriesFlags.Logged;
                }
            }
        }
    }

    void RemoveTap(CommitTap tap)
    {
        lock (_committing)
        {
            _taps = Array.FindAll(_taps, other => other != tap);
        }
    }

    void Open(CancellationToken cancellationToken)
    {
        if (_options.HasLog)
        {
            OpenLog(cancellationToken);
        }

        _registry.AddBeforeCollectCallback(() =>
        {
            var (range, none) = (Range, Range.IsEmpty);
            HeadMetrics.Series.Set(SeriesCount);
            HeadMetrics.Chunks.Set(Chunks.Count);
            HeadMetrics.MinTime.Set(none ? 0 : range.MinTime);
            HeadMetrics.MaxTime.Set(none ? 0 : range.MaxTime);
            HeadMetrics.MemoryBytes.Set(_arena.UsedBytes);
            HeadMetrics.AheadOfClock.Set(AheadOfClock.TotalSeconds);
            HeadMetrics.ChunkFileBytes.Set(_files.Bytes);
        });
    }

    void OpenLog(CancellationToken cancellationToken)
    {
        RemoveUnfinished();
        var fault = Checkpoint.RemoveReplaced(WalDirectory);
        var start = _options.Time.GetTimestamp();
        var next = Replay(fault, cancellationToken);
        HeadMetrics.ReplayDuration.Set(_options.Time.GetElapsedTime(start).TotalSeconds);
        LogReplayed(SeriesCount, Damages.Count, _options.Time.GetElapsedTime(start).TotalMilliseconds);
        _wal = new WalWriter(
            WalDirectory,
            next, _options.WalSegmentBytes, _options.WalSyncInterval, _options.Time, _walMetrics, _logger, _options.Disk, _options.Loops);
    }

    WalBatch WithSeries(WalBatch batch, ReadOnlySpan<uint> unlogged)
    {
        _seriesRecord.Clear();
        foreach (var reference in unlogged)
        {
            if (Series.TryGetSlot(reference, out var slot) && (Series.At(slot).Flags & SeriesFlags.Logged) == 0
                && Series.TryGetLabels(reference, out var labels))
            {
                if (_seriesRecord.Length == 0)
                {
                    WalRecords.BeginSeries(_seriesRecord);
                }

                WalRecords.Add(_seriesRecord, reference, labels);
            }
        }

        if (_seriesRecord.Length == 0)
        {
            return batch;
        }

        // The record of series is written twice, since without it none of their samples can be read.
        _batch.Clear();
        _batch.Add(_seriesRecord.Written);
        _batch.AddAgain();
        _batch.Add(batch);
        return _batch;
    }

    void Apply(ReadOnlySpan<WalSample> samples, ReadOnlySpan<WalHistogram> histograms)
    {
        var (minTime, maxTime, minValid) = (_minTime, _maxTime, MinValidTime);
        int floats = 0, histogramCount = 0;
        var trace = BeginTrace(samples.Length + histograms.Length);
        foreach (ref readonly var sample in samples)
        {
            if (!Series.TryGetSlot(sample.Ref, out var slot))
            {
                continue;
            }

            lock (Series.Stripe(slot))
            {
                ref var series = ref Series.At(slot);
                series.Pending--;
                var result = sample.Time < minValid ? AppendResult.OutOfBounds : SeriesChunks.Check(series, sample.Time, sample.Value);
                if (result != AppendResult.Appended || sample.Time == series.MaxTime)
                {
                    HeadMetrics.Refused(result, histogram: false);
                    continue;
                }

                trace?.Add((slot, series.MaxTime));
                Chunks.Append(ref series, slot, sample.Time, sample.Value, sample.Start);
            }

            floats++;
            minTime = Math.Min(minTime, sample.Time);
            maxTime = Math.Max(maxTime, sample.Time);
        }

        foreach (ref readonly var sample in histograms)
        {
            if (!Series.TryGetSlot(sample.Ref, out var slot))
            {
                continue;
            }

            lock (Series.Stripe(slot))
            {
                ref var series = ref Series.At(slot);
                series.Pending--;
                var result = sample.Time < minValid
                    ? AppendResult.OutOfBounds : Chunks.Check(series, slot, sample.Time, sample.Histogram);
                if (result != AppendResult.Appended || sample.Time == series.MaxTime)
                {
                    HeadMetrics.Refused(result, histogram: true);
                    continue;
                }

                trace?.Add((slot, series.MaxTime));
                Chunks.Append(ref series, slot, sample.Time, sample.Histogram, sample.Start);
            }

            histogramCount++;
            minTime = Math.Min(minTime, sample.Time);
            maxTime = Math.Max(maxTime, sample.Time);
        }

        EndTrace(trace);
        Volatile.Write(ref _minTime, minTime);
        Volatile.Write(ref _maxTime, maxTime);
        HeadMetrics.Appended(floats, histogramCount);
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "write-ahead log replayed: {series} series, {damages} damaged places, {milliseconds} ms")]
    partial void LogReplayed(long series, int damages, double milliseconds);
}
