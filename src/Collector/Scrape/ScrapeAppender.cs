using System.Collections.Concurrent;
using Observe.Collector.Config;
using Observe.Collector.Exposition;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Head;
using Observe.Tsdb.Ingest;
using Observe.Tsdb.Model;

namespace Observe.Collector.Scrape;

/// <summary>
/// One target's series from scrape to scrape: cache, metadata, automatic series. A loop that replaces another after a reload takes it over
/// where the series keep their labels.
/// </summary>
sealed class TargetSeries
{
    public TargetSeries(ScrapeConfig config, SampleLabels labels, MetricFamilyTable families) => (Config, Labels, Cache, Metadata, Budget, Reports) =
        (config, labels, new ScrapeCache(), new MetadataStore(families), new SeriesBudget(), new SeriesRef[ScrapeReport.Names.Length]);

    TargetSeries(ScrapeConfig config, SampleLabels labels, TargetSeries old) => (Config, Labels, Cache, Metadata, Budget, Reports) =
        (config, labels, old.Cache, old.Metadata, old.Budget, old.Reports);

    public ScrapeConfig Config { get; }

    public SampleLabels Labels { get; }

    public ScrapeCache Cache { get; }

    public MetadataStore Metadata { get; }

    public SeriesBudget Budget { get; }

    /// <summary>The automatic series, which the scraper makes itself, indexed by <see cref="ScrapeReport"/>.</summary>
    public SeriesRef[] Reports { get; }

    /// <summary>The same series under another version of the configuration, which gives them the same labels.</summary>
    public TargetSeries With(ScrapeConfig config, SampleLabels labels) => new(config, labels, this);
}

/// <summary>Counts of one scrape.</summary>
struct ScrapeCounts
{
    /// <summary>Samples in the body.</summary>
    public int Scraped;

    /// <summary>Samples left after metric relabelling, those that the head refused included.</summary>
    public int Added;

    /// <summary>Series that the scrape before did not have.</summary>
    public int SeriesAdded;

    public int OutOfOrder;
    public int Duplicates;
    public int OutOfBounds;

    /// <summary>The sample limit was exceeded.</summary>
    public bool OverSampleLimit;

    /// <summary>A limit on labels was exceeded, or labels were not valid.</summary>
    public bool BadLabels;

    /// <summary>A limit on series was exceeded.</summary>
    public bool OverSeriesLimit;

    public readonly int Rejected => OutOfOrder + Duplicates + OutOfBounds;
}

/// <summary>The automatic series of a target, in the order in which they are written.</summary>
static class ScrapeReport
{
    public const int Up = 0;
    public const int Duration = 1;
    public const int SamplesScraped = 2;
    public const int SamplesPostRelabeling = 3;
    public const int SeriesAdded = 4;
    public const int Timeout = 5;
    public const int SampleLimit = 6;
    public const int BodySize = 7;

    /// <summary>How many automatic series there are without extra_scrape_metrics.</summary>
    public const int Standard = 5;

    public static readonly string[] Names =
    [
        "up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling", "scrape_series_added",
        "scrape_timeout_seconds", "scrape_sample_limit", "scrape_body_size_bytes",
    ];
}

/// <summary>
/// Writes one scrape into the head as one append: samples, staleness markers, report. Reused from scrape to scrape, of any target. Not
/// thread-safe.
/// </summary>
sealed class ScrapeAppender : IDisposable
{
    const int LinesBetweenLooksAtTheClock = 256;

    readonly HeadAppender _appender;
    readonly RuledAppender _ruled;
    readonly LabelsBuilder _labels = new();
    readonly List<SeriesRef> _stale = [];
    readonly long _seriesLimit;

    /// <param name="seriesLimit">Series that the head may have; 0 for no limit.</param>
    public ScrapeAppender(HeadBlock head, long seriesLimit)
    {
        _seriesLimit = seriesLimit;
        _appender = head.Appender();
        _ruled = new RuledAppender(_appender);
    }

    /// <summary>
    /// Adds all samples of a body; returns why the scrape as a whole must fail, null when it need not. Allocates for new series only.
    /// </summary>
    /// <exception cref="ExpositionException">The body is malformed; what was added must be rolled back.</exception>
    /// <exception cref="OperationCanceledException">The scrape's time is over; what was added must be rolled back.</exception>
    public string? Append(TargetSeries target, ExpositionParser parser, long time, long now, CancellationToken budget, ref ScrapeCounts counts)
    {
        var (config, cache, metadata) = (target.Config, target.Cache, target.Metadata);
        _ruled.Begin(target.Labels.Source, target.Labels.Rules, now);
        metadata.Begin();
        parser.Known = cache.Known;
        target.Budget.Advance(now);
        for (var lines = 1; ; lines++)
        {
            if (lines % LinesBetweenLooksAtTheClock == 0)
            {
                budget.ThrowIfCancellationRequested();
            }

            var entry = parser.Next();
            switch (entry)
            {
                case ExpositionEntry.End:
                    return counts.OverSampleLimit ? "sample limit exceeded" : null;
                case ExpositionEntry.Type:
                    metadata.Type(parser.MetricName, parser.Type);
                    continue;
                case ExpositionEntry.Help:
                    metadata.Help(parser.MetricName, parser.Text);
                    continue;
                case ExpositionEntry.Unit:
                    metadata.Unit(parser.MetricName, parser.Text);
                    continue;
                case ExpositionEntry.Comment:
                    continue;
            }

            counts.Scraped++;
            var given = config.HonorTimestamps ? parser.Timestamp : null;
            var timestamp = given ?? time;
            var index = cache.Find(parser.Series, out var hash, out var again);
            var isNew = index < 0;
            Labels labels = default;
            var fault = SeriesFault.None;
            if (isNew)
            {
                labels = LabelsOf(target, parser, out fault);
                if (labels.IsEmpty)
                {
                    cache.Add(hash, parser.Series.Length, default);
                    continue;
                }
            }
            else if (cache.Series(index).IsNone)
            {
                continue;
            }

            if (fault != SeriesFault.None)
            {
                counts.BadLabels = true;
                return target.Labels.Rules.Explain(fault, labels);
            }

            // A line that stands twice counts against no limit.
            AppendResult result;
            if (again && given is null)
            {
                result = AppendResult.DuplicateTimestamp;
            }
            else if (!_ruled.TryReserve())
            {
                result = AppendResult.OverSampleLimit;
            }
            else if (!_ruled.IsTimely(timestamp) || timestamp < _appender.MinValidTime)
            {
                result = AppendResult.OutOfBounds;
            }
            else if (!isNew)
            {
                result = Append(cache.Series(index), timestamp, parser, entry);
                if (result == AppendResult.UnknownSeries)
                {
                    cache.SetSeries(index, _appender.GetOrAdd(LabelsOf(target, parser, out _)));
                    result = Append(cache.Series(index), timestamp, parser, entry);
                }
            }
            else if (parser.Repeated(_labels) is { } repeated)
            {
                counts.BadLabels = true;
                return $"label name {GoText.Quote(repeated)} is not unique: invalid sample";
            }
            else
            {
                var series = _appender.Find(labels);
                if (series.IsNone && OverSeriesLimit(target) is { } over)
                {
                    counts.OverSeriesLimit = true;
                    return over;
                }

                series = series.IsNone ? _appender.GetOrAdd(labels, out fault) : series;
                if (series.IsNone)
                {
                    counts.BadLabels = true;
                    return target.Labels.Rules.Explain(fault, labels);
                }

                // Where the sample is refused, the line stays unknown, and the same line may follow with one that is taken.
                result = Append(series, timestamp, parser, entry);
                index = result == AppendResult.Appended ? cache.Add(hash, parser.Series.Length, series) : index;
            }

            counts.Added++;
            switch (result)
            {
                case AppendResult.Appended:
                    counts.SeriesAdded += isNew && !counts.OverSampleLimit ? 1 : 0;
                    if (given is null || config.TrackTimestampsStaleness)
                    {
                        cache.Track(index);
                    }

                    break;
                case AppendResult.OverSampleLimit:
                    counts.OverSampleLimit = true;
                    break;
                case AppendResult.OutOfOrder:
                    counts.OutOfOrder++;
                    break;
                case AppendResult.DuplicateTimestamp:
                    counts.Duplicates++;
                    break;
                default:
                    counts.OutOfBounds++;
                    break;
            }
        }
    }

    /// <summary>
    /// Ends a scrape that <see cref="Append(TargetSeries, ExpositionParser, long, long, CancellationToken, ref ScrapeCounts)"/> began: series
    /// that it lacks get staleness markers.
    /// </summary>
    public void Complete(TargetSeries target, long time)
    {
        target.Metadata.Complete();
        _stale.Clear();
        target.Cache.Complete(_stale);
        AppendStale(time);
    }

    /// <summary>Ends a scrape that failed: none of its samples are kept, and all series of the target get staleness markers.</summary>
    public void Abandon(TargetSeries target, long time)
    {
        _appender.Rollback();
        _stale.Clear();
        target.Cache.Abandon(_stale);
        AppendStale(time);
    }

    /// <summary>
    /// Adds a sample of an automatic series. A target that was lost and found again may have a sample at that time already, which is kept.
    /// </summary>
    public AppendResult Report(TargetSeries target, int report, long time, double value)
    {
        ref var series = ref target.Reports[report];
        var result = series.IsNone ? AppendResult.UnknownSeries : _appender.Append(series, time, value);
        if (result == AppendResult.UnknownSeries)
        {
            series = _appender.GetOrAdd(target.Labels.OfReport(ScrapeReport.Names[report]));
            result = _appender.Append(series, time, value);
        }

        return result;
    }

    /// <exception cref="IOException">The head's log could not be written; nothing of the scrape is kept.</exception>
    public void Commit() => _appender.Commit();

    public void Rollback() => _appender.Rollback();

    public void Dispose() => _appender.Dispose();

    AppendResult Append(SeriesRef series, long timestamp, ExpositionParser parser, ExpositionEntry entry) =>
        entry == ExpositionEntry.Histogram
            ? _appender.Append(series, timestamp, parser.Histogram!)
            : _appender.Append(series, timestamp, parser.Value);

    /// <summary>Counts a series that is to be made; returns why it must not be, null when it may.</summary>
    string? OverSeriesLimit(TargetSeries target)
    {
        var limit = target.Config.SeriesLimit;
        if (limit > 0 && target.Budget.Made >= limit)
        {
            return $"series_limit exceeded (new series of the target within two hours: {target.Budget.Made}, limit: {limit})";
        }

        if (_seriesLimit > 0 && _appender.SeriesCount >= _seriesLimit)
        {
            return $"the collector has {_appender.SeriesCount} series and makes no new ones (--storage.series-limit: {_seriesLimit})";
        }

        target.Budget.Add();
        return null;
    }

    /// <summary>The labels of a line as they are stored; empty when relabelling drops it.</summary>
    Labels LabelsOf(TargetSeries target, ExpositionParser parser, out SeriesFault fault)
    {
        parser.Labels(_labels);
        fault = SeriesFault.None;
        return target.Labels.Apply(parser, _labels) ? target.Labels.Rules.Admit(_labels, out fault) : default;
    }

    // A marker may be out of order: where the target was found again, another loop has written newer samples.
    void AppendStale(long time)
    {
        foreach (var series in _stale)
        {
            _appender.Append(series, time, StaleMarker.Value);
        }
    }
}

/// <summary>Appenders that no scrape is using. Thread-safe.</summary>
sealed class ScrapeAppenders(HeadBlock head, long seriesLimit) : IDisposable
{
    readonly ConcurrentBag<ScrapeAppender> _idle = [];

    public ScrapeAppender Rent() => _idle.TryTake(out var appender) ? appender : new ScrapeAppender(head, seriesLimit);

    public void Return(ScrapeAppender appender) => _idle.Add(appender);

    public void Dispose()
    {
        while (_idle.TryTake(out var appender))
        {
            appender.Dispose();
        }
    }
}
