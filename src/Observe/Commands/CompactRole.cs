using System.CommandLine;
using Microsoft.Extensions.Logging;
using Observe.Hosting;
using Observe.Store.Bucket;
using Observe.Store.Compact;
using Observe.Store.Live;
using Observe.Tsdb.Threading;

namespace Observe.Commands;

/// <summary>The flags of compaction, downsampling, retention and cleaning.</summary>
sealed class CompactFlags
{
    readonly Option<string[]> _replicaLabels = Flags.Many(
        "--deduplication.replica-label", "label that tells replicas apart: their blocks become one; repeatable");
    readonly Option<TimeSpan> _raw = Flags.Span(
        "--retention.resolution-raw", "how long raw samples are kept, at least 40h while they are downsampled; 0 for ever", "0s");
    readonly Option<TimeSpan> _fiveMinutes = Flags.Span(
        "--retention.resolution-5m", "how long samples of 5 minutes are kept, at least 10d while they are downsampled; 0 for ever", "0s");
    readonly Option<TimeSpan> _oneHour = Flags.Span("--retention.resolution-1h", "how long samples of an hour are kept; 0 for ever", "0s");
    readonly Option<bool> _noDownsampling = Flags.Switch("--downsampling.disable", "make no downsampled blocks");
    readonly Option<TimeSpan> _consistency = Flags.Span("--consistency-delay", "how old a block must be before it is compacted", "30m");
    readonly Option<TimeSpan> _delete = Flags.Span("--delete-delay", "how long a block stays after it was marked for deletion", "48h");

    public Option<TimeSpan> WaitInterval { get; } = Flags.Span("--wait-interval", "time between two rounds", "5m");

    public void AddTo(Command command)
    {
        foreach (var option in (
            Option[])[_replicaLabels, _raw, _fiveMinutes, _oneHour, _noDownsampling, _consistency, _delete, WaitInterval])
        {
            command.Options.Add(option);
        }
    }

    /// <exception cref="FlagException">A retention is shorter than downsampling needs.</exception>
    public CompactOptions Options(ParseResult flags, string folder, RoleHost host)
    {
        var options = new CompactOptions
        {
            Directory = folder,
            Time = host.Time,
            Random = new Random(),
            Background = host.BackgroundThreads,
            ReplicaLabels = flags.GetValue(_replicaLabels)!,
            RetentionRaw = flags.GetValue(_raw),
            RetentionFiveMinutes = flags.GetValue(_fiveMinutes),
            RetentionOneHour = flags.GetValue(_oneHour),
            Downsampling = !flags.GetValue(_noDownsampling),
            ConsistencyDelay = flags.GetValue(_consistency),
            DeleteDelay = flags.GetValue(_delete),
        };
        return options.RetentionFault() is { } fault ? throw new FlagException(fault) : options;
    }
}

/// <summary>Compacts a bucket again and again while the process runs.</summary>
sealed class CompactRole(RoleHost host, IBucket bucket, CompactOptions options, TimeSpan interval) : IRole
{
    readonly CompactLoop _compact = new(bucket, options, new CompactMetrics(host.Registry), new Logger<CompactLoop>(host.Logging));
    readonly SliceCleaner _slices = new(bucket, host.Time, host.Logging.CreateLogger<SliceCleaner>());

    /// <summary>Far less often than blocks are looked at: what it finds is hours old at least, and it lists the windows of each collector.</summary>
    readonly BackgroundLoop _cleaning = new(new LoopOptions
    {
        Name = "live cleaning",
        Interval = interval * 48,
        Time = host.Time,
        Logger = host.Logging.CreateLogger<SliceCleaner>(),
        Supervisor = host.Loops,
        StartsAtOnce = true,
    });
    readonly CancellationTokenSource _stop = new();
    Task _loop = Task.CompletedTask;

    public string Name => "compact";

    public Task StartAsync(CancellationToken cancellationToken)
    {
        _loop = Task.WhenAll(
            _compact.RunAsync(interval, host.Loops, _stop.Token),
            _cleaning.RepeatAsync(token => _slices.CleanAsync(token), _stop.Token));
        return Task.CompletedTask;
    }

    public async Task StopAsync(StopSequence stop, CancellationToken grace)
    {
        await _stop.CancelAsync();
        await _loop.WaitAsync(grace);
    }

    public async ValueTask DisposeAsync()
    {
        await bucket.DisposeAsync();
        _stop.Dispose();
    }
}
