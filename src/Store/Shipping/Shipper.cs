using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Store.Fleet;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Threading;

namespace Observe.Store.Shipping;

public sealed record ShipperOptions
{
    /// <summary>The data folder that blocks are cut into.</summary>
    public required string Directory { get; init; }

    /// <summary>
    /// Where it is written down what became of each block; null: in the data folder. Given, the data folder belongs to another program, which
    /// cuts, joins and deletes blocks by itself: nothing there is changed, and neither limit nor retention applies.
    /// </summary>
    public string? StateDirectory { get; init; }

    public required IBucket Bucket { get; init; }

    /// <summary>Called for each new block: the external labels of its stream. Blocks without any are never shipped.</summary>
    public required Func<Labels> ExternalLabels { get; init; }

    /// <summary>Called for each new block: the collector that writes it.</summary>
    public required Func<BlockOrigin> Origin { get; init; }

    public required TimeProvider Time { get; init; }

    public required Random Random { get; init; }

    /// <summary>The threads that verify and hash blocks.</summary>
    public TaskScheduler Background { get; init; } = TaskScheduler.Default;

    public required ShipperMetrics Metrics { get; init; }

    public ILogger Logger { get; init; } = NullLogger.Instance;

    public LoopSupervisor Loops { get; init; } = new();

    /// <summary>The time between two passes over the data folder.</summary>
    public TimeSpan Interval { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>A new block waits a random part of this time, since all collectors cut blocks at the same hour.</summary>
    public TimeSpan Spread { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The longest pause after failures, of the bucket or of one block; it starts at the interval and doubles.</summary>
    public TimeSpan MaxBackoff { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>How long a shipped block is kept for local queries, from its newest sample on (<c>--storage.tsdb.retention</c>).</summary>
    public TimeSpan Retention { get; init; } = TimeSpan.FromHours(6);

    /// <summary>How long a block is kept after its upload whatever the retention says, for the bucket's readers to find it.</summary>
    public TimeSpan Grace { get; init; } = TimeSpan.FromMinutes(15);

    /// <summary>
    /// Bytes that all blocks together may have (<c>--storage.size-limit</c>); 0 for no limit, null for four fifths of what they have and what is
    /// free on their disk, so that the log finds room when the bucket is away for long.
    /// </summary>
    public long? SizeLimit { get; init; }

    /// <summary>
    /// Bytes a second that uploads take on average, block by block (<c>--shipping.max-rate</c>); 0 for no limit. A graceful stop does not wait
    /// for it.
    /// </summary>
    public long UploadBytesPerSecond { get; init; }

    /// <summary>Called before a block's folder is deleted or set aside, so that a reader can close the block.</summary>
    public Func<string, CancellationToken, ValueTask>? Deleting { get; init; }

    /// <summary>
    /// Called with the folder of a block that holds what was whole in a damaged one, which is set aside then. Null: damaged blocks stay where
    /// they are.
    /// </summary>
    public Func<string, CancellationToken, ValueTask>? Salvaged { get; init; }

    /// <summary>The folders of blocks that a reader found damaged; they are verified once more, shipped or not.</summary>
    public Func<IReadOnlyList<string>> Suspects { get; init; } = () => [];
}

/// <summary>The state of the outbox.</summary>
/// <param name="Shipped">Spans of local blocks that are in the bucket.</param>
/// <param name="Unshipped">Spans of local blocks that are not in the bucket, damaged blocks among them.</param>
/// <param name="PendingBlocks">Blocks that are not in the bucket.</param>
/// <param name="ShedBlocks">Since the start.</param>
/// <param name="Damaged">Folders of blocks that can't be shipped, and why.</param>
/// <param name="Lost">What is gone and was never in the bucket.</param>
/// <param name="LastError">The error of the newest attempt; "" when there was none.</param>
public sealed record ShipperStatus(
    IReadOnlyList<TimeRange> Shipped,
    IReadOnlyList<TimeRange> Unshipped,
    int PendingBlocks,
    long PendingBytes,
    long ShedBlocks,
    IReadOnlyList<LostRange> Lost,
    IReadOnlyList<string> Damaged,
    DateTimeOffset? LastUpload,
    string LastError)
{
    /// <summary>Folders of the blocks that are not in the bucket.</summary>
    public IReadOnlyList<string> Pending { get; init; } = [];
}

/// <summary>
/// A verified outbox: each block, oldest first, is verified by its checksums, uploaded, and checked in the bucket, and only then may be
/// deleted here. A block that fails waits for its next turn, ever longer, and holds no other back. While the bucket can't be reached blocks
/// pile up within the size limit; beyond it the oldest are deleted, shipped ones first, and each block that is lost is named in the log.
/// </summary>
public sealed partial class Shipper : IDisposable
{
    /// <summary>After so many blocks that failed one after another the bucket is out of reach, and the others wait for the next pass.</summary>
    const int MaxFailuresInRow = 3;

    /// <summary>How long the whole outbox waits at most while the bucket is out of reach, so that it is soon seen to be back.</summary>
    static readonly TimeSpan s_maxAway = TimeSpan.FromMinutes(1);

    readonly ShipperOptions _options;
    readonly BucketBlocks _bucket;
    readonly Outbox _outbox;
    readonly BackgroundLoop _loop;
    readonly SemaphoreSlim _turn = new(1);
    readonly Dictionary<BlockId, Failure> _failed = [];

    // Each upload of the last pass failed, or the pass as a whole.
    bool _isOutOfReach;
    string _unread = "";
    long _shed;
    DateTimeOffset? _lastUpload;

    public Shipper(ShipperOptions options)
    {
        _options = options;
        _bucket = new BucketBlocks(options.Bucket);
        _outbox = new Outbox(options.Directory, options.StateDirectory);
        _loop = new BackgroundLoop(new LoopOptions
        {
            Name = "shipper",
            Interval = options.Interval,
            Time = options.Time,
            Random = options.Random,
            Logger = options.Logger,
            Supervisor = options.Loops,
            MaxBackoff = options.MaxBackoff < s_maxAway ? options.MaxBackoff : s_maxAway,
            WakeDelay = () => Jitter(options.Spread),
        });
    }

    /// <summary>The state as of the last pass over the data folder.</summary>
    public ShipperStatus Status { get; private set; } = new([], [], 0, 0, 0, [], [], null, "");

    /// <summary>Starts a pass soon, since a block was cut.</summary>
    public void Wake() => _loop.Wake();

    /// <summary>Ships until cancelled; failures are logged and tried again, ever less often.</summary>
    public Task RunAsync(CancellationToken cancellationToken) => _loop.RepeatAsync(
        async token => await SyncAsync(paced: true, token) is { } error && _isOutOfReach ? error : null, cancellationToken);

    /// <summary>Ships all blocks once, without jitter, as a graceful stop does after the head was cut.</summary>
    /// <returns>False when blocks are left, which the next start ships.</returns>
    public async Task<bool> ShipAllAsync(CancellationToken cancellationToken) => await SyncAsync(paced: false, cancellationToken) is null;

    /// <summary>One pass over the data folder: ship, shed, delete. False when something failed that a later pass may do.</summary>
    public async Task<bool> SyncAsync(CancellationToken cancellationToken) => await SyncAsync(paced: true, cancellationToken) is null;

    public void Dispose() => _turn.Dispose();

    /// <returns>The reason of a failure; null when there was none.</returns>
    async Task<string?> SyncAsync(bool paced, CancellationToken cancellationToken)
    {
        await _turn.WaitAsync(cancellationToken);
        try
        {
            return await _options.Background.RunAsync(() => SyncOnceAsync(paced, cancellationToken));
        }
        finally
        {
            _turn.Release();
        }
    }

    async Task<string?> SyncOnceAsync(bool paced, CancellationToken cancellationToken)
    {
        _options.Metrics.Syncs.Inc();
        List<OutboxBlock> blocks = [];
        var error = "";
        _isOutOfReach = false;
        try
        {
            blocks = await FindAsync(cancellationToken);
            error = _unread;
            await UploadAsync(blocks, paced, cancellationToken);
            if (_options.StateDirectory is null)
            {
                await ShedAsync(blocks, cancellationToken);
                await ExpireAsync(blocks, cancellationToken);
            }

            Save();
            error = blocks.Where(block => block.Shipped is null && _failed.ContainsKey(block.Meta.Id))
                .Select(block => _failed[block.Meta.Id].Reason).FirstOrDefault(error);
        }
        catch (Exception e) when (!cancellationToken.IsCancellationRequested)
        {
            _isOutOfReach = true;
            _options.Metrics.SyncFailures.Inc();
            LogSyncFailed(_options.Logger, e);
            error = e.Message;
        }

        Report(blocks, error);
        return error.Length == 0 ? null : error;
    }

    async Task<List<OutboxBlock>> FindAsync(CancellationToken cancellationToken)
    {
        if (_outbox.Load() is { } lost)
        {
            LogStateLost(_options.Logger, lost);
        }

        var blocks = _outbox.Read(out var damaged, out var unread);
        foreach (var (folder, fault) in damaged)
        {
            if (await SetAsideAsync(folder, null, fault, cancellationToken) is { } salvaged)
            {
                blocks.Add(salvaged);
            }
        }

        _unread = unread.Select(block => block.Fault).FirstOrDefault("");
        foreach (var (folder, fault) in unread)
        {
            LogUnread(_options.Logger, folder, fault);
        }

        for (var i = 0; i < blocks.Count; i++)
        {
            if (blocks[i].Entry is null)
            {
                var labels = _options.ExternalLabels();
                blocks[i] = labels.IsEmpty
                    ? throw new InvalidOperationException("there are no external labels: a block without them would not tell whose it is")
                    : _outbox.Set(blocks[i], new OutboxEntry(labels.ToDictionary(), _options.Origin(), null)
                    {
                        Times = new OutboxTimes(blocks[i].Meta.Range.MinTime, blocks[i].Meta.Range.MaxTime),
                    });
            }
        }

        NoteGone(blocks);

        // A block keeps the labels that it was found with, whatever comes.
        Save();
        await VerifySuspectsAsync(blocks, cancellationToken);
        return blocks;
    }

    /// <summary>Saves what is known of the blocks. Where that fails the bucket tells it once more after a restart.</summary>
    void Save()
    {
        try
        {
            _outbox.Save();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            LogStateNotSaved(_options.Logger, e);
        }
    }

    async Task UploadAsync(List<OutboxBlock> blocks, bool paced, CancellationToken cancellationToken)
    {
        var ready = _options.Time.GetUtcNow();
        var (failures, uploaded) = (0, false);
        var failed = new List<BlockId>();
        for (var i = 0; i < blocks.Count && failures < MaxFailuresInRow; i++)
        {
            var block = blocks[i];
            if (IsRepeat(block, blocks, out var shipped))
            {
                blocks[i] = shipped ?? block;
                continue;
            }

            if (block.Shipped is not null
                || (paced && _failed.TryGetValue(block.Meta.Id, out var failure) && _options.Time.GetElapsedTime(failure.At) < failure.Pause))
            {
                continue;
            }

            try
            {
                if (_damaged.ContainsKey(block.Folder))
                {
                    continue;
                }

                if (Faults(block, cancellationToken) is { } fault && (_options.StateDirectory is null || Directory.Exists(block.Folder)))
                {
                    // What takes its place, if anything does, is next.
                    await ReplaceAsync(blocks, i, fault, cancellationToken);
                    i -= i < blocks.Count && blocks[i] == block ? 0 : 1;
                    continue;
                }

                if (paced && ready > _options.Time.GetUtcNow())
                {
                    await Task.Delay(ready - _options.Time.GetUtcNow(), _options.Time, cancellationToken);
                }

                ready = _options.Time.GetUtcNow() + Span(block.Bytes);
                await _bucket.UploadAsync(block.Folder, block.Stamped(), _options.Time.GetUtcNow(), cancellationToken);
                blocks[i] = _outbox.SetShipped(block, _options.Time.GetUtcNow());
                _waiting.Remove(block.Meta.Id);
                Save();
            }
            catch (Exception) when (_options.StateDirectory is not null && !Directory.Exists(block.Folder))
            {
                // Joined with others, or too old for its owner. The next pass knows.
                blocks.RemoveAt(i--);
                continue;
            }
            catch (Exception e) when (!cancellationToken.IsCancellationRequested)
            {
                failures++;
                _isOutOfReach = !uploaded;
                Failed(block, e);
                failed.Add(block.Meta.Id);
                continue;
            }

            (failures, uploaded, _isOutOfReach) = (0, true, false);
            _verified.Remove(block.Meta.Id);
            _failed.Remove(block.Meta.Id);
            Resume();
            _lastUpload = _options.Time.GetUtcNow();
            _options.Metrics.Uploads.Inc();
            _options.Metrics.LastUpload.Set(_lastUpload.Value.ToUnixTimeMilliseconds() / 1000.0);
            LogUploaded(_options.Logger, block.Meta.Id, block.Meta.MinTime, block.Meta.MaxTime, block.Bytes);
        }

        // Where all fail it may be the bucket.
        foreach (var id in _isOutOfReach ? failed : [])
        {
            _failed[id] = _failed[id] with { IsAway = true };
        }
    }

    /// <summary>The bucket takes blocks again: those that failed when it took none wait no longer.</summary>
    void Resume()
    {
        foreach (var (id, failure) in _failed.Where(failed => failed.Value.IsAway).ToList())
        {
            _failed[id] = failure with { IsAway = false, Pause = TimeSpan.Zero };
            _loop.Wake();
        }
    }

    /// <summary>Makes a block wait for its next turn: the others go first until then.</summary>
    void Failed(OutboxBlock block, Exception e)
    {
        _options.Metrics.UploadFailures.Inc();
        LogUploadFailed(_options.Logger, block.Meta.Id, e);
        var times = _failed.GetValueOrDefault(block.Meta.Id).Times + 1;
        var pause = _options.Interval * Math.Pow(2, Math.Min(times - 1, 16));
        pause = pause < _options.MaxBackoff ? pause : _options.MaxBackoff;
        _failed[block.Meta.Id] = new Failure(times, _options.Time.GetTimestamp(), (pause / 2) + Jitter(pause / 2), e.Message);
    }

    async Task ShedAsync(List<OutboxBlock> blocks, CancellationToken cancellationToken)
    {
        var (bytes, aside) = (blocks.Sum(b => b.Bytes), _outbox.Aside());
        var limit = _options.SizeLimit ?? Share(bytes + aside.Sum(damaged => damaged.Bytes));
        if (limit == 0)
        {
            return;
        }

        foreach (var (folder, size) in aside)
        {
            // What was whole in it is in another block.
            if (bytes + size > limit)
            {
                Directory.Delete(folder, recursive: true);
                continue;
            }

            bytes += size;
        }

        foreach (var block in blocks.OrderBy(b => b.Shipped is null).ToList())
        {
            if (bytes <= limit)
            {
                break;
            }

            if (block.Shipped is null)
            {
                // A crash behind this leaves a block that is not there for long, or one that is here and not lost.
                _outbox.Lose(block.Meta.Id, block.Meta.Range, "shed: the collector's blocks exceeded its size limit", _options.Time.GetUtcNow());
                Save();
            }

            await DeleteAsync(block, cancellationToken);
            blocks.Remove(block);
            bytes -= block.Bytes;
            if (block.Shipped is null)
            {
                _shed++;
                _options.Metrics.ShedBlocks.Inc();
                _options.Metrics.ShedSamples.Inc(block.Meta.Stats.Samples);
                LogShed(_options.Logger,
                    block.Meta.Id, block.Meta.MinTime, block.Meta.MaxTime, block.Meta.Stats.Samples, limit);
            }
        }
    }

    /// <summary>Four fifths of what blocks have and what is free; 0 where the disk does not tell.</summary>
    long Share(long bytes)
    {
        try
        {
            return Math.Max(1, (bytes + new DriveInfo(Path.GetFullPath(_options.Directory)).AvailableFreeSpace) / 5 * 4);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            return 0;
        }
    }

    async Task ExpireAsync(List<OutboxBlock> blocks, CancellationToken cancellationToken)
    {
        var now = _options.Time.GetUtcNow();
        var oldest = (now - _options.Retention).ToUnixTimeMilliseconds();
        foreach (var block in blocks.Where(b => b.Shipped + _options.Grace <= now && b.Meta.MaxTime <= oldest).ToList())
        {
            await DeleteAsync(block, cancellationToken);
            blocks.Remove(block);
        }
    }

    async ValueTask DeleteAsync(OutboxBlock block, CancellationToken cancellationToken)
    {
        if (_options.Deleting is { } deleting)
        {
            await deleting(block.Folder, cancellationToken);
        }

        Outbox.Delete(block.Folder);
        _failed.Remove(block.Meta.Id);
        _damaged.Remove(block.Folder);
    }

    void Report(List<OutboxBlock> blocks, string error)
    {
        foreach (var gone in _damaged.Keys.Where(folder => !Directory.Exists(folder)).ToList())
        {
            _damaged.Remove(gone);
        }

        var pending = blocks.Where(b => b.Shipped is null).ToList();
        _options.Metrics.Pending.Set(pending.Count);
        _options.Metrics.PendingBytes.Set(pending.Sum(b => b.Bytes));
        _options.Metrics.LocalBytes.Set(blocks.Sum(b => b.Bytes));
        var oldest = pending.Count == 0 ? 0 : _options.Time.GetUtcNow().ToUnixTimeMilliseconds() - pending.Min(b => b.Meta.Id.Timestamp);
        _options.Metrics.Lag.Set(Math.Max(0, oldest) / 1000.0);
        Status = new ShipperStatus(
            [.. blocks.Where(b => b.Shipped is not null).Select(b => b.Meta.Range)],
            [.. pending.Select(b => b.Meta.Range)],
            pending.Count,
            pending.Sum(b => b.Bytes),
            _shed,
            _outbox.Lost(),
            [.. _damaged.Select(d => $"{d.Key}: {d.Value}")],
            _lastUpload,
            error)
        {
            Pending = [.. pending.Select(block => block.Folder)],
        };
    }

    TimeSpan Span(long bytes) =>
        _options.UploadBytesPerSecond == 0 ? TimeSpan.Zero : TimeSpan.FromSeconds((double)bytes / _options.UploadBytesPerSecond);

    TimeSpan Jitter(TimeSpan of) => of * _options.Random.NextDouble();

    /// <param name="At">Of the monotonic clock.</param>
    /// <param name="IsAway">Nothing could be uploaded in that pass.</param>
    readonly record struct Failure(int Times, long At, TimeSpan Pause, string Reason, bool IsAway = false);

    [LoggerMessage(Level = LogLevel.Error, Message = "what is known of the blocks is lost, the bucket is asked for each of them: {Fault}")]
    private static partial void LogStateLost(ILogger logger, string fault);

    [LoggerMessage(Level = LogLevel.Warning, Message = "what is known of the blocks could not be saved, after a restart the bucket is asked for them")]
    private static partial void LogStateNotSaved(ILogger logger, Exception e);

    [LoggerMessage(Level = LogLevel.Warning, Message = "block can't be read at present, is tried again: {Folder}: {Fault}")]
    private static partial void LogUnread(ILogger logger, string folder, string fault);

    [LoggerMessage(Level = LogLevel.Information, Message = "block is in the bucket: {Block}, {MinTime} to {MaxTime}, {Bytes} bytes")]
    private static partial void LogUploaded(ILogger logger, BlockId block, long minTime, long maxTime, long bytes);

    [LoggerMessage(Level = LogLevel.Warning, Message = "upload of block failed, is tried again: {Block}")]
    private static partial void LogUploadFailed(ILogger logger, BlockId block, Exception e);

    [LoggerMessage(Level = LogLevel.Error, Message = "look at the data folder failed, is tried again")]
    private static partial void LogSyncFailed(ILogger logger, Exception e);

    [LoggerMessage(Level = LogLevel.Error, Message = "block is lost, deleted before it was in the bucket: {Block}, {MinTime} to {MaxTime}, {Samples} samples; blocks exceed the size limit of {SizeLimit} bytes")]
    private static partial void LogShed(ILogger logger, BlockId block, long minTime, long maxTime, long samples, long sizeLimit);
}
