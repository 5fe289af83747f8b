using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Ingest;

/// <summary>An appender that holds whoever appends to the rules. Between two appends the rules may change. Not thread-safe.</summary>
/// <remarks>
/// The rules look at a series once, when it is found by its labels. Whoever asks <see cref="IngestRules.Admit"/>, <see cref="TryReserve"/>
/// and
/// <see cref="IsTimely"/> itself may use the inner appender, without a detour for each sample.
/// </remarks>
public sealed class RuledAppender(IAppender inner) : IAppender
{
    readonly LabelsBuilder _labels = new();
    IngestRules _rules = new();
    long _latest = long.MaxValue;
    long _samples;

    public AppendSource Source
    {
        get => inner.Source;
        set => inner.Source = value;
    }

    /// <summary>Begins an append under rules.</summary>
    /// <param name="now">Unix milliseconds.</param>
    public void Begin(AppendSource source, IngestRules rules, long now) =>
        (inner.Source, _rules, _latest, _samples) = (source, rules, IngestRules.LatestTime(now), 0);

    public SeriesRef GetOrAdd(Labels labels, out SeriesFault fault)
    {
        var admitted = _rules.Admit(_labels.Reset(labels), out fault);
        return fault == SeriesFault.None ? inner.GetOrAdd(admitted, out fault) : default;
    }

    /// <summary>Counts one sample; false when it is one too many for this append.</summary>
    public bool TryReserve() => ++_samples <= _rules.SampleLimit || _rules.SampleLimit == 0;

    /// <summary>False for a sample from too far in the future.</summary>
    public bool IsTimely(long timestamp) => timestamp <= _latest;

    public AppendResult Append(SeriesRef series, long timestamp, double value, long startTimestamp = 0) =>
        !TryReserve() ? AppendResult.OverSampleLimit
        : IsTimely(timestamp) ? inner.Append(series, timestamp, value, startTimestamp)
        : AppendResult.OutOfBounds;

    public AppendResult Append(SeriesRef series, long timestamp, Histogram histogram, long startTimestamp = 0) =>
        !TryReserve() ? AppendResult.OverSampleLimit
        : IsTimely(timestamp) ? inner.Append(series, timestamp, histogram, startTimestamp)
        : AppendResult.OutOfBounds;

    public void Append(SeriesRef series, in Exemplar exemplar) => inner.Append(series, exemplar);

    public void Describe(SeriesRef series, SeriesMetadata metadata) => inner.Describe(series, metadata);

    public CommitTicket Commit()
    {
        _samples = 0;
        return inner.Commit();
    }

    public void Rollback()
    {
        _samples = 0;
        inner.Rollback();
    }

    public void Dispose() => inner.Dispose();
}
