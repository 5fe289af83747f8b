using Microsoft.Extensions.Logging;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Ingest;
using Observe.Tsdb.Wal;
using Prometheus;

namespace Observe.Tsdb.Head;

public sealed record WalFollowerOptions
{
    /// <summary>The folder of the log, which is only read. It may come later.</summary>
    public required string Directory { get; init; }

    /// <summary>Takes what the log has; see <see cref="HeadOptions.HasLog"/>.</summary>
    public required HeadBlock Head { get; init; }

    /// <summary>Series of the head beyond which new ones are left out; 0 for no limit.</summary>
    public long SeriesLimit { get; init; }

    public required TimeProvider Time { get; init; }

    public required WalFollowerMetrics Metrics { get; init; }

    public required ILogger Logger { get; init; }
}

public sealed class WalFollowerMetrics
{
    public WalFollowerMetrics(CollectorRegistry registry)
    {
        var metrics = Prometheus.Metrics.WithCustomRegistry(registry);
        Segment = metrics.CreateGauge("observe_wal_follow_segment", "Segment of Prometheus's write-ahead log that is read at present.");
        Restarts = metrics.CreateCounter(
            "observe_wal_follow_restarts_total", "Times that Prometheus's write-ahead log was read from its checkpoint on, the first one among them.");
        Corruptions = metrics.CreateCounter("observe_wal_follow_corruptions_total", "Damaged places of Prometheus's write-ahead log that were skipped.");
        Orphans = metrics.CreateCounter(
            "observe_wal_follow_orphans_total", "Samples of Prometheus's write-ahead log whose series was not known when they were read.");
        Refused = metrics.CreateCounter("observe_wal_follow_refused_series_total", "Series of Prometheus that the limit of series leaves out.");
    }

    internal Gauge Segment { get; }

    internal Counter Restarts { get; }

    internal Counter Corruptions { get; }

    internal Counter Orphans { get; }

    internal Counter Refused { get; }
}

/// <summary>
/// Follows the write-ahead log that another process is writing, and appends to a head what is new: first the checkpoint, then segment by
/// segment. A record that is written in part is read when it is whole. Each start begins at the checkpoint, as does each time that the log
/// is another one than before (its owner repaired it): what the head has already it does not take twice.
/// </summary>
/// <remarks>For one caller at a time.</remarks>
public sealed partial class WalFollower : IDisposable
{
    /// <summary>How often a damaged place at the end of the log is looked at before it is skipped: it may be half written.</summary>
    const int Patience = 10;

    static readonly TimeSpan s_restartPause = TimeSpan.FromMinutes(5);

    readonly WalFollowerOptions _options;
    readonly HeadBlock _head;
    readonly HeadAppender _appender;
    readonly Dictionary<ulong, uint> _series = [];
    readonly List<WalSeries> _newSeries = [];
    readonly List<WalSample> _samples = [];
    readonly List<WalHistogram> _histograms = [];
    int _segment = -1;
    Place _last = Place.Begin;
    long _damagedAt = -1;
    int _looks;
    long _orphans;
    bool _isCaughtUp;
    long? _restarted;

    public WalFollower(WalFollowerOptions options)
    {
        (_options, _head) = (options, options.Head);
        _appender = _head.Appender();
        _appender.Source = new AppendSource(AppendOrigin.Replay, "wal");
    }

    /// <summary>The last record that was taken of the segment: where its last fragment begins, its checksum, and the page that it begins in.</summary>
    readonly record struct Place(long Offset, uint Checksum, long Page)
    {
        public static Place Begin { get; } = new(-1, 0, 0);

        public static Place Of(WalReader reader) => new(
            reader.Offset, Crc32C.Of(reader.Record), reader.FirstOffset / WalSegment.PageSize * WalSegment.PageSize);
    }

    /// <summary>Reads what the log has by now. Where there is no log there is nothing.</summary>
    /// <exception cref="IOException">A file can't be read; the next call goes on from where this one came to.</exception>
    public void Read(CancellationToken cancellationToken)
    {
        if (!Directory.Exists(_options.Directory) || (_segment < 0 && !Begin(cancellationToken)))
        {
            return;
        }

        while (true)
        {
            var segments = WalSegment.List(_options.Directory);
            var at = segments.FindIndex(segment => segment.Index == _segment);
            if (at < 0)
            {
                Restart($"segment {_segment} is gone");
                return;
            }

            var isLast = at == segments.Count - 1;
            if (!ReadSegment(segments[at], isLast, cancellationToken))
            {
                return;
            }

            if (isLast)
            {
                break;
            }

            if (segments[at + 1].Index != _segment + 1)
            {
                Damaged(new WalDamage(segments[at + 1].Path, 0, $"the segments after {_segment} are missing"));
            }

            Enter(segments[at + 1].Index);
        }

        if (!_isCaughtUp)
        {
            // What the log has of series that are gone from it is of no use to anybody.
            (_isCaughtUp, _orphans) = (true, 0);
        }

        if (_orphans > 0 && (_restarted is not { } last || _options.Time.GetElapsedTime(last) >= s_restartPause))
        {
            Restart($"the series of {_orphans} samples are not known");
        }
    }

    /// <summary>Drops samples that blocks have.</summary>
    /// <param name="before">Unix milliseconds.</param>
    public async Task DropAsync(long before, CancellationToken cancellationToken)
    {
        await _head.DropAsync(before, cancellationToken);
        foreach (var (reference, series) in _series)
        {
            if (series != 0 && !_head.Series.TryGetSlot(series, out _))
            {
                _series.Remove(reference);
            }
        }
    }

    public void Dispose() => _appender.Dispose();

    /// <summary>Reads the checkpoint. False where there is no segment yet.</summary>
    bool Begin(CancellationToken cancellationToken)
    {
        var (checkpoint, segments) = Checkpoint.Replay(_options.Directory);
        if (segments.Count == 0)
        {
            return false;
        }

        _series.Clear();
        using (var reader = new WalReader(checkpoint))
        {
            while (reader.Next())
            {
                cancellationToken.ThrowIfCancellationRequested();
                Take(reader);
            }

            foreach (var damage in reader.Damages)
            {
                Damaged(damage);
            }
        }

        Enter(segments[0].Index);
        _options.Metrics.Restarts.Inc();
        _restarted = _options.Time.GetTimestamp();
        _isCaughtUp = false;
        return true;
    }

    void Restart(string reason)
    {
        LogRestart(_options.Logger, reason);
        Enter(-1);
    }

    void Enter(int segment)
    {
        (_segment, _last, _damagedAt, _looks) = (segment, Place.Begin, -1, 0);
        _options.Metrics.Segment.Set(segment);
    }

    /// <returns>False when the segment is not the one that was read before.</returns>
    bool ReadSegment(WalSegment segment, bool isLast, CancellationToken cancellationToken)
    {
        using var reader = new WalReader([segment], start: _last.Page);
        var found = _last == Place.Begin;
        while (reader.Next())
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (!found || reader.Offset <= _last.Offset)
            {
                found |= reader.Offset == _last.Offset && Crc32C.Of(reader.Record) == _last.Checksum;
                if (!found && reader.Offset >= _last.Offset)
                {
                    break;
                }

                continue;
            }

            if (!Accept(reader, isLast))
            {
                return true;
            }

            Take(reader);
            _last = Place.Of(reader);
            _looks = 0;
        }

        if (!found)
        {
            Restart($"{segment.Path} was written anew");
            return false;
        }

        Accept(reader, isLast);
        return true;
    }

    /// <summary>Whether the damaged places that were met, if any, are to be skipped.</summary>
    bool Accept(WalReader reader, bool isLast)
    {
        var met = reader.Damages.Where(damage => damage.Offset > _damagedAt).ToList();
        if (met.Count == 0)
        {
            return true;
        }

        if (isLast && ++_looks < Patience)
        {
            return false;
        }

        foreach (var damage in met)
        {
            Damaged(damage);
        }

        _damagedAt = met[^1].Offset;
        return true;
    }

    void Take(WalReader reader)
    {
        try
        {
            Take(reader, (WalRecordType)reader.Record[0]);
            _appender.Commit();
        }
        catch (Exception e) when (e is CorruptionException or ArgumentException)
        {
            _appender.Rollback();
            Damaged(new WalDamage(reader.File, reader.Offset, (e as CorruptionException)?.What ?? e.Message));
        }
    }

    void Take(WalReader reader, WalRecordType type)
    {
        switch (type)
        {
            case WalRecordType.Series:
                _newSeries.Clear();
                WalRecords.Series(reader.Record, _newSeries, reader.File, reader.Offset);
                foreach (var (reference, labels) in _newSeries)
                {
                    var isFull = _options.SeriesLimit > 0 && _head.SeriesCount >= _options.SeriesLimit;
                    var series = isFull ? _appender.Find(labels) : _appender.GetOrAdd(labels);

                    // One that is left out is known, so that its samples are no orphans.
                    _series[reference] = (uint)series.Value;
                    _options.Metrics.Refused.Inc(series.IsNone ? 1 : 0);
                }

                break;
            case WalRecordType.Samples or WalRecordType.SamplesV2:
                _samples.Clear();
                WalRecords.Samples(reader.Record, _samples, reader.File, reader.Offset);
                foreach (var sample in _samples)
                {
                    if (TryFind(sample.Ref, out var series))
                    {
                        Note(sample.Ref, _appender.Append(series, sample.Time, sample.Value, sample.Start));
                    }
                }

                break;
            case (>= WalRecordType.Histograms and <= WalRecordType.CustomBucketsFloatHistograms)
                or WalRecordType.HistogramsV2 or WalRecordType.FloatHistogramsV2:
                _histograms.Clear();
                WalRecords.Histograms(reader.Record, _histograms, reader.File, reader.Offset);
                foreach (var sample in _histograms)
                {
                    if (TryFind(sample.Ref, out var series))
                    {
                        Note(sample.Ref, _appender.Append(series, sample.Time, sample.Histogram, sample.Start));
                    }
                }

                break;
        }
    }

    /// <summary>False for a series that is not known, or was left out.</summary>
    bool TryFind(ulong reference, out SeriesRef series)
    {
        series = default;
        if (!_series.TryGetValue(reference, out var found))
        {
            AddOrphan();
            return false;
        }

        series = new SeriesRef(found);
        return !series.IsNone;
    }

    void Note(ulong reference, AppendResult result)
    {
        if (result == AppendResult.UnknownSeries)
        {
            _series.Remove(reference);
            AddOrphan();
        }
    }

    void AddOrphan()
    {
        _orphans++;
        _options.Metrics.Orphans.Inc();
    }

    void Damaged(WalDamage damage)
    {
        _options.Metrics.Corruptions.Inc();
        LogDamage(_options.Logger, damage.ToString());
    }

    [LoggerMessage(LogLevel.Information, "the write-ahead log is read from its checkpoint on again: {Reason}")]
    static partial void LogRestart(ILogger logger, string reason);

    [LoggerMessage(LogLevel.Error, "damaged place in Prometheus's write-ahead log skipped: {Damage}")]
    static partial void LogDamage(ILogger logger, string damage);
}
