using Microsoft.Extensions.Logging;
using Observe.Collector.Exposition;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Ingest;
using Observe.Tsdb.Model;
using Observe.Tsdb.Threading;

namespace Observe.Collector.Scrape;

/// <summary>Scrapes one target at its own place in the interval until it is stopped. Stopping waits for a scrape under way.</summary>
sealed partial class ScrapeLoop : IDisposable
{
    // Timers fire a little late. A scrape within this tolerance is stamped with its due time, since samples that are exactly an interval
    // apart take half the space.
    static readonly TimeSpan s_tolerance = TimeSpan.FromMilliseconds(20);

    // No timer waits longer than 49 days.
    static readonly TimeSpan s_longestWait = TimeSpan.FromDays(1);

    // Errors quote the exposition, so that they may be as long as a body.
    const int MaxErrorLength = 1024;

    readonly Target _target;
    TargetSeries _series;
    readonly ScrapeClient _client;
    readonly ScrapeContext _context;
    readonly CancellationTokenSource _stop = new();
    readonly CancellationToken _shutdown;
    readonly CancellationTokenRegistration _ending;
    readonly TaskCompletionSource _stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);

    // Cancelled when a scrape exceeds its timeout; reused for the next scrape until that happens.
    CancellationTokenSource _budget;

    DateTimeOffset? _last;
    int _lastSize;
    volatile bool _keepAlive;
    volatile string? _forcedError;

    /// <param name="shutdown">Ends the loop at once, a scrape under way too, and without staleness markers.</param>
    public ScrapeLoop(Target target, TargetSeries series, ScrapeClient client, ScrapeContext context, CancellationToken shutdown)
    {
        (_target, _series, _client, _context, _shutdown) = (target, series, client, context, shutdown);
        _budget = new CancellationTokenSource(Timeout.InfiniteTimeSpan, context.Time);
        _ending = shutdown.UnsafeRegister(static loop => ((ScrapeLoop)loop!)._stop.Cancel(), this);
    }

    public Target Target => _target;

    public TargetSeries Series => _series;

    /// <summary>The reason with which each scrape fails without a request to the target; null to scrape the target.</summary>
    public string? ForcedError
    {
        get => _forcedError;
        set => _forcedError = value;
    }

    /// <summary>Completes when the loop has written its last sample.</summary>
    public Task Finished { get; private set; } = Task.CompletedTask;

    public void Start() => Finished = RunAsync();

    /// <summary>
    /// Stops scraping; completes when no scrape is under way any more. Staleness markers follow two intervals later, unless another loop
    /// scrapes the series by then.
    /// </summary>
    /// <param name="keepAlive">Another loop continues the series, so that there are no markers.</param>
    public async Task StopAsync(bool keepAlive)
    {
        _keepAlive = keepAlive;
        await _stop.CancelAsync();
        await _stopped.Task;
    }

    async Task RunAsync()
    {
        await Task.Yield();
        var interval = _target.ScrapeInterval;
        var next = DateTimeOffset.MinValue;
        async Task ScrapeOnAsync(CancellationToken cancellationToken)
        {
            next = next == DateTimeOffset.MinValue ? _context.FirstScrape(_target) : next;
            while (true)
            {
                await UntilAsync(next, cancellationToken);
                var now = _context.Time.GetUtcNow();
                if (next - now > s_tolerance)
                {
                    // The clock was set back.
                    next = now;
                }

                next += Math.Max((now - next).Ticks / interval.Ticks, 0) * interval;
                var tolerance = interval / 100 < s_tolerance ? interval / 100 : s_tolerance;
                try
                {
                    await ScrapeAsync((now - next).Duration() <= tolerance ? next : now, _shutdown);
                }
                catch (OperationCanceledException) when (_shutdown.IsCancellationRequested)
                {
                    return; // A shutdown cancels the scrape under way a moment before the loop.
                }

                next += interval;
            }
        }

        try
        {
            var loop = new BackgroundLoop(new LoopOptions
            {
                Name = "scrape",
                Interval = Timeout.InfiniteTimeSpan,
                Time = _context.Time,
                Logger = _context.Logger,
                Supervisor = _context.Loops,
            });
            await loop.KeepRunningAsync(ScrapeOnAsync, _stop.Token);
        }
        finally
        {
            _stopped.TrySetResult();
        }

        if (_last is not null && !_keepAlive && !_shutdown.IsCancellationRequested)
        {
            await EndAsync(next);
        }
    }

    async Task UntilAsync(DateTimeOffset time, CancellationToken cancellationToken)
    {
        TimeSpan wait;
        do
        {
            wait = time - _context.Time.GetUtcNow();
            var step = wait < s_longestWait ? wait : s_longestWait;
            await Task.Delay(step > TimeSpan.Zero ? step : TimeSpan.Zero, _context.Time, cancellationToken);
        }
        while (wait > s_longestWait);
    }

    /// <summary>One scrape: fetch, append, report. Any exception on the way, foreseen or not, makes the scrape a failed one.</summary>
    /// <param name="time">The timestamp of samples that have none of their own.</param>
    internal async Task ScrapeAsync(DateTimeOffset time, CancellationToken cancellationToken)
    {
        var start = _context.Time.GetTimestamp();
        if (_last is { } last)
        {
            _context.Metrics.IntervalLength.WithLabels(Duration.Format(_target.ScrapeInterval)).Observe((time - last).TotalSeconds);
        }

        _last = time;
        var answer = (_forcedError ?? _target.Fault) is { } forced ? new ScrapeAnswer(null, null, forced) : await FetchAsync(cancellationToken);
        using (answer.Body)
        {
            Ingest(answer, time, start);
        }
    }

    async ValueTask<ScrapeAnswer> FetchAsync(CancellationToken cancellationToken)
    {
        if (!_budget.TryReset())
        {
            _budget.Dispose();
            _budget = new CancellationTokenSource(Timeout.InfiniteTimeSpan, _context.Time);
        }

        _budget.CancelAfter(_target.ScrapeTimeout < s_longestWait ? _target.ScrapeTimeout : s_longestWait);
        using (cancellationToken.UnsafeRegister(static budget => ((CancellationTokenSource)budget!).Cancel(), _budget))
        {
            try
            {
                return await _client.FetchAsync(_target, _lastSize, _budget.Token, cancellationToken);
            }
            catch (Exception e) when (e is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
            {
                return new ScrapeAnswer(null, null, Unforeseen(e));
            }
        }
    }

    void Ingest(ScrapeAnswer answer, DateTimeOffset time, long start)
    {
        var timestamp = time.ToUnixTimeMilliseconds();
        var counts = default(ScrapeCounts);
        var error = answer.Error;
        var bytes = answer.TooLarge ? -1 : answer.Body?.Length ?? 0;
        var appender = _context.Appenders.Rent();
        try
        {
            if (answer.Body is { Length: > 0 } body)
            {
                _lastSize = body.Length;
                error = Append(appender, body, answer.ContentType, timestamp, ref counts);
            }

            error = Commit(appender, timestamp, start, counts, bytes, error);
            error = error?.Length > MaxErrorLength ? string.Concat(error.AsSpan(0, MaxErrorLength), "…") : error;
        }
        finally
        {
            appender.Rollback();
            _context.Appenders.Return(appender);
        }

        var duration = _context.Time.GetElapsedTime(start);
        _target.State = new TargetState(error is null ? TargetHealth.Up : TargetHealth.Down, error ?? "", time, duration);
        Count(answer, counts, duration, Math.Max(bytes, 0), error);
    }

    /// <summary>Ends a scrape, successful or not, with its automatic series. Returns the reason of a failure, else null.</summary>
    string? Commit(ScrapeAppender appender, long timestamp, long start, in ScrapeCounts counts, int bytes, string? error)
    {
        try
        {
            if (error is not null || bytes <= 0)
            {
                Abandon(appender, timestamp);
            }

            var up = Report(appender, timestamp, _context.Time.GetElapsedTime(start), counts, bytes, error);
            appender.Commit();
            return error ?? (up is AppendResult.OutOfOrder or AppendResult.OutOfBounds ? _context.TooOld() : null);
        }
        catch (IOException e)
        {
            _context.Metrics.CommitsFailed.Inc();
            LogCommitFailed(_context.Logger, _target.Url, e.Message);
            return $"the scrape could not be stored: {e.Message}";
        }
        catch (Exception e)
        {
            // Where the scrape itself succeeded, its samples are the cause of the failed commit, and the report of a failed scrape may
            // still be written.
            return error is null ? Commit(appender, timestamp, start, counts, bytes, Unforeseen(e)) : $"{error}; {Unforeseen(e)}";
        }
    }

    /// <summary>
    /// Appends a fetched body and the markers of series that it lacks. Returns the reason why the scrape fails; null when all samples are
    /// appended.
    /// </summary>
    string? Append(ScrapeAppender appender, ScrapeBody body, string? contentType, long timestamp, ref ScrapeCounts counts)
    {
        try
        {
            if (!ExpositionParser.TryCreate(contentType, _series.Config.FallbackScrapeProtocol, body.Memory, out var parser, out var error))
            {
                return error;
            }

            _series.Cache.Begin();
            error = appender.Append(_series, parser, timestamp, _context.Time.GetUtcNow().ToUnixTimeMilliseconds(), _budget.Token, ref counts);
            if (error is null)
            {
                appender.Complete(_series, timestamp);
            }

            return error;
        }
        catch (ExpositionException e)
        {
            return e.Message;
        }
        catch (OperationCanceledException)
        {
            return $"the scrape timeout of {Duration.Format(_target.ScrapeTimeout)} is exceeded while the body is parsed (context deadline exceeded)";
        }
        catch (Exception e)
        {
            return Unforeseen(e);
        }
    }

    /// <summary>
    /// Marks all series stale. Where even that fails, the cache is dropped, and the next scrape looks its series up anew.
    /// </summary>
    void Abandon(ScrapeAppender appender, long timestamp)
    {
        try
        {
            appender.Abandon(_series, timestamp);
        }
        catch (Exception e)
        {
            Unforeseen(e);
            appender.Rollback();
            _series = new TargetSeries(_series.Config, _series.Labels, _context.Families);
        }
    }

    /// <summary>Counts and logs an exception of a kind that a scrape does not expect; returns the target's error text.</summary>
    string Unforeseen(Exception e)
    {
        _context.Metrics.Broken.Inc();
        LogBroken(_context.Logger, _target.Url, e);
        return $"the scrape broke off: {e.GetType().Name}: {e.Message}";
    }

    /// <returns>What became of the sample of <c>up</c>.</returns>
    AppendResult Report(ScrapeAppender appender, long timestamp, TimeSpan elapsed, in ScrapeCounts counts, int bytes, string? error)
    {
        var up = appender.Report(_series, ScrapeReport.Up, timestamp, error is null ? 1 : 0);
        appender.Report(_series, ScrapeReport.Duration, timestamp, elapsed.TotalSeconds);
        appender.Report(_series, ScrapeReport.SamplesScraped, timestamp, counts.Scraped);
        appender.Report(_series, ScrapeReport.SamplesPostRelabeling, timestamp, counts.Added);
        appender.Report(_series, ScrapeReport.SeriesAdded, timestamp, counts.SeriesAdded);
        if (_series.Config.ExtraScrapeMetrics)
        {
            appender.Report(_series, ScrapeReport.Timeout, timestamp, _target.ScrapeTimeout.TotalSeconds);
            appender.Report(_series, ScrapeReport.SampleLimit, timestamp, _series.Config.SampleLimit);
            appender.Report(_series, ScrapeReport.BodySize, timestamp, bytes);
        }

        return up;
    }

    void Count(in ScrapeAnswer answer, in ScrapeCounts counts, TimeSpan duration, int bytes, string? error)
    {
        var metrics = _context.Metrics;
        metrics.ScrapeDuration.Observe(duration.TotalSeconds);
        metrics.Samples.Inc(counts.Scraped);
        metrics.BodyBytes.Inc(bytes);
        metrics.ExceededBodySizeLimit.Inc(answer.TooLarge ? 1 : 0);
        metrics.ExceededSampleLimit.Inc(counts.OverSampleLimit ? 1 : 0);
        metrics.ExceededLabelLimits.Inc(counts.BadLabels ? 1 : 0);
        metrics.ExceededSeriesLimit.Inc(counts.OverSeriesLimit ? 1 : 0);
        if (counts.Rejected > 0)
        {
            metrics.OutOfOrder.Inc(counts.OutOfOrder);
            metrics.DuplicateTimestamp.Inc(counts.Duplicates);
            metrics.OutOfBounds.Inc(counts.OutOfBounds);
            LogRejected(_context.Logger, _target.Url, counts.OutOfOrder, counts.Duplicates, counts.OutOfBounds);
        }

        if (error is not null)
        {
            LogFailed(_context.Logger, _target.Url, error);
        }
    }

    /// <summary>
    /// Marks the series of a target that was dropped, at the time of its next scrape, once a loop that took the series over would have
    /// scraped them.
    /// </summary>
    async Task EndAsync(DateTimeOffset next)
    {
        try
        {
            await UntilAsync(next + (_target.ScrapeInterval * 1.1), _shutdown);
        }
        catch (Exception e)
        {
            if (!_shutdown.IsCancellationRequested)
            {
                Unforeseen(e);
            }

            return;
        }

        MarkStale(next);
    }

    internal void MarkStale(DateTimeOffset time)
    {
        var timestamp = time.ToUnixTimeMilliseconds();
        var appender = _context.Appenders.Rent();
        try
        {
            Abandon(appender, timestamp);
            var reports = _series.Config.ExtraScrapeMetrics ? ScrapeReport.Names.Length : ScrapeReport.Standard;
            for (var report = 0; report < reports; report++)
            {
                appender.Report(_series, report, timestamp, StaleMarker.Value);
            }

            appender.Commit();
        }
        catch (IOException e)
        {
            LogCommitFailed(_context.Logger, _target.Url, e.Message);
        }
        catch (Exception e)
        {
            Unforeseen(e);
        }
        finally
        {
            appender.Rollback();
            _context.Appenders.Return(appender);
        }
    }

    public void Dispose()
    {
        _ending.Dispose();
        _stop.Dispose();
        _budget.Dispose();
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "scrape failed: {Target}: {Reason}")]
    static partial void LogFailed(ILogger logger, string target, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "samples were rejected: {Target}: {OutOfOrder} out of order, {Duplicates} with another value at the same timestamp, {OutOfBounds} too old or too far in the future")]
    static partial void LogRejected(ILogger logger, string target, int outOfOrder, int duplicates, int outOfBounds);

    [LoggerMessage(Level = LogLevel.Error, Message = "a scrape could not be stored and is lost; the next one is tried as ever: {Target}: {Reason}")]
    static partial void LogCommitFailed(ILogger logger, string target, string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "a scrape broke off; the next one is tried as ever: {Target}")]
    static partial void LogBroken(ILogger logger, string target, Exception e);
}
