using Microsoft.Extensions.Logging;
using Observe.Tsdb.Ingest;
using Observe.Tsdb.Threading;

namespace Observe.Tsdb.Head;

/// <summary>
/// A clock that was wrong and is set back leaves samples of the future, beside which every sample of the present is too old. They are cut
/// into blocks at once, as they are, and the head begins anew in the present.
/// </summary>
public sealed partial class HeadBlock
{
    /// <summary>Beyond what a target may be ahead with timestamps of its own.</summary>
    const long ClockToleranceMs = 5 * 60_000;

    /// <summary>How far the newest sample is ahead of the clock; zero when it is not.</summary>
    public TimeSpan AheadOfClock
    {
        get
        {
            var (newest, now) = (Math.Min(NewestTaken(), DateTimeOffset.MaxValue.ToUnixTimeMilliseconds()), Now());
            return newest > now ? TimeSpan.FromMilliseconds(newest - now) : TimeSpan.Zero;
        }
    }

    long Now() => _options.Time.GetUtcNow().ToUnixTimeMilliseconds();

    long LatestTime() => IngestRules.LatestTime(Now()) + ClockToleranceMs;

    /// <summary>The time of the newest sample in memory or cut.</summary>
    long NewestTaken() => Math.Max(Volatile.Read(ref _maxTime), Volatile.Read(ref _cutTime));

    bool IsAheadOfClock() => NewestTaken() > LatestTime();

    async Task<List<string>> LeaveFutureAsync(CancellationToken cancellationToken)
    {
        LogAheadOfClock(AheadOfClock);
        var blocks = await CutRangesAsync(force: true, cancellationToken);

        // Were the log to keep samples of the future, a replay would skip those of the present that follow them.
        if (!Range.IsEmpty || !await _options.Background.RunAsync(() => TruncateWal(_blockEnd), cancellationToken))
        {
            return blocks;
        }

        lock (_committing)
        {
            lock (_applying)
            {
                SetCutTime(long.MinValue);
                for (var slot = 0; slot < Series.SlotCount; slot++)
                {
                    lock (Series.Stripe(slot))
                    {
                        // Of series that an append was holding while all others were dropped.
                        Series.At(slot).MaxTime = long.MinValue;
                    }
                }
            }
        }

        SaveState(long.MinValue);
        HeadMetrics.SetBack.Inc();
        return blocks;
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "the newest samples are {ahead} ahead of the clock, which was set back: they are cut into blocks, and then samples of the present are taken again")]
    partial void LogAheadOfClock(TimeSpan ahead);
}
