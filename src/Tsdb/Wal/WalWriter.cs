using System.Diagnostics;
using Microsoft.Extensions.Logging;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Threading;

namespace Observe.Tsdb.Wal;

/// <summary>
/// The write-ahead log's end: batches are written at once, in the caller's order, and synced together at most an interval later.
/// A position counts the bytes logged since the log was opened.
/// </summary>
/// <remarks>
/// A failed sync is final for its segment, since the kernel has dropped what it could not write: everything since the last good sync
/// is kept until then, and written again into a new segment. Recovery meets some records twice, which changes nothing.
/// </remarks>
sealed partial class WalWriter : IAsyncDisposable
{
    const int MaxUnsyncedBytes = 2 << 20;

    readonly Lock _syncing = new();
    readonly Lock _writing = new();
    readonly SegmentWriter _segment;
    readonly WalBatch _unsynced = new();
    readonly Queue<(long Position, TaskCompletionSource Done)> _waiting = new();
    readonly TimeSpan _interval;
    readonly WalMetrics _metrics;
    readonly ILogger _logger;
    readonly CancellationTokenSource _stop = new();
    readonly Task _loop;
    long _position;
    long _durable;
    bool _segmentFailed;
    volatile string? _fault;

    /// <param name="firstIndex">The segment to begin with; those before it are left alone.</param>
    /// <param name="interval">Between syncs; zero: each batch is synced before <see cref="Log"/> returns.</param>
    /// <exception cref="IOException">The folder or the first segment can't be created.</exception>
    public WalWriter(
        string directory, int firstIndex, int segmentBytes, TimeSpan interval, TimeProvider time, WalMetrics metrics, ILogger logger,
        WalDisk? disk = null, LoopSupervisor? loops = null)
    {
        (_interval, _metrics, _logger) = (interval, metrics, logger);
        DurableFile.CreateDirectory(directory);
        _segment = new SegmentWriter(directory, firstIndex, segmentBytes, disk ?? WalDisk.Real);
        _metrics.CurrentSegment.Set(firstIndex);
        var loop = new BackgroundLoop(new LoopOptions
        {
            Name = "wal sync",
            Interval = interval,
            Time = time,
            Logger = logger,
            Supervisor = loops ?? new LoopSupervisor(),
            MaxBackoff = TimeSpan.FromSeconds(5),
        });
        _loop = interval > TimeSpan.Zero ? loop.RepeatAsync(SyncAsync, _stop.Token) : Task.CompletedTask;
    }

    /// <summary>Why what was last logged or synced failed; null when it went well.</summary>
    public string? Fault => _fault;

    /// <summary>The segment that is written to.</summary>
    public int Segment
    {
        get
        {
            lock (_writing)
            {
                return _segment.Index;
            }
        }
    }

    /// <summary>Writes a batch. Callers take turns; the batch may be reused as soon as this returns.</summary>
    /// <returns>The position at the batch's end, for <see cref="DurableAsync"/>.</returns>
    /// <exception cref="IOException">Nothing of the batch is in the log.</exception>
    public long Log(WalBatch batch)
    {
        try
        {
            if (_segmentFailed || _unsynced.Length > MaxUnsyncedBytes || _segment.NeedsNext(batch))
            {
                lock (_syncing)
                {
                    SyncHeld();
                    lock (_writing)
                    {
                        if (_segment.NeedsNext(batch))
                        {
                            NextSegmentHeld();
                        }
                    }
                }
            }

            long position;
            lock (_writing)
            {
                _metrics.WrittenBytes.Inc(_segment.Write(batch));
                _unsynced.Add(batch);
                position = _position += batch.Length;
            }

            if (_interval == TimeSpan.Zero)
            {
                lock (_syncing)
                {
                    SyncHeld();
                }
            }

            // A segment that fails is heard of again only when it is synced.
            _fault = _segmentFailed ? _fault : null;
            return position;
        }
        catch (Exception e)
        {
            _metrics.WritesFailed.Inc();
            _fault = e.Message;
            throw;
        }
    }

    /// <summary>Completes once everything up to the position is synced.</summary>
    /// <exception cref="IOException">The disk refused the sync, and the records could not be written elsewhere either.</exception>
    public ValueTask DurableAsync(long position, CancellationToken cancellationToken)
    {
        lock (_writing)
        {
            if (position <= _durable)
            {
                return ValueTask.CompletedTask;
            }

            var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _waiting.Enqueue((position, done));
            return new ValueTask(done.Task.WaitAsync(cancellationToken));
        }
    }

    /// <summary>Syncs, then goes on in a new segment. Returns its number: all that was logged before lies in lower ones.</summary>
    /// <exception cref="IOException"/>
    public int NextSegment()
    {
        lock (_syncing)
        {
            SyncHeld();
            lock (_writing)
            {
                NextSegmentHeld();
                return _segment.Index;
            }
        }
    }

    /// <exception cref="IOException"/>
    public void Sync()
    {
        lock (_syncing)
        {
            SyncHeld();
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        try
        {
            await _loop;
            Sync();
        }
        finally
        {
            _segment.Dispose();
            _unsynced.Dispose();
            _stop.Dispose();
        }
    }

    Task SyncAsync(CancellationToken cancellationToken)
    {
        Sync();
        return Task.CompletedTask;
    }

    /// <summary>Syncs what was written up to now. Held: <see cref="_syncing"/>; writers go on meanwhile.</summary>
    void SyncHeld()
    {
        long position;
        int records;
        lock (_writing)
        {
            if (_position == _durable && !_segmentFailed)
            {
                return;
            }

            (position, records) = (_position, _unsynced.Count);
        }

        try
        {
            if (_segmentFailed)
            {
                (position, records) = WriteAgain();
            }

            try
            {
                TimedSync();
            }
            catch (Exception e)
            {
                _segmentFailed = true;
                _metrics.FsyncFailures.Inc();
                LogWriteAgain(e, _segment.Index);
                (position, records) = WriteAgain();
                TimedSync();
            }

            (_segmentFailed, _fault) = (false, null);
        }
        catch (Exception e)
        {
            _segmentFailed = true;
            Fail(e);
            throw;
        }

        lock (_writing)
        {
            _unsynced.RemoveFirst(records);
            _durable = position;
            while (_waiting.TryPeek(out var first) && first.Position <= _durable)
            {
                _waiting.Dequeue().Done.TrySetResult();
            }
        }
    }

    void TimedSync()
    {
        var start = Stopwatch.GetTimestamp();
        _segment.Sync();
        _metrics.FsyncDuration.Observe(Stopwatch.GetElapsedTime(start).TotalSeconds);
    }

    (long Position, int Records) WriteAgain()
    {
        lock (_writing)
        {
            NextSegmentHeld();
            if (!_unsynced.IsEmpty)
            {
                _metrics.WrittenBytes.Inc(_segment.Write(_unsynced));
            }

            return (_position, _unsynced.Count);
        }
    }

    void NextSegmentHeld()
    {
        _segment.Next();
        _metrics.CurrentSegment.Set(_segment.Index);
    }

    void Fail(Exception e)
    {
        _fault = e.Message;
        lock (_writing)
        {
            while (_waiting.TryDequeue(out var waiter))
            {
                waiter.Done.TrySetException(new IOException($"the write-ahead log could not be synced: {e.Message}", e));
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "sync of write-ahead log segment {segment} failed, writing its unsynced records into the next one")]
    partial void LogWriteAgain(Exception e, int segment);
}
