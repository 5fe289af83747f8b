using Observe.Tsdb.Histograms;
using Observe.Tsdb.Ingest;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Head;

/// <summary>A series that the samples of a <see cref="TappedCommit"/> refer to.</summary>
public readonly record struct TappedSeries(SeriesRef Series, Labels Labels);

/// <param name="Timestamp">Unix milliseconds, as the start timestamp, which is 0 where unknown.</param>
/// <param name="Value">Staleness markers among them.</param>
public readonly record struct TappedSample(SeriesRef Series, long Timestamp, double Value, long StartTimestamp);

/// <param name="Histogram">Never to be changed.</param>
public readonly record struct TappedHistogram(SeriesRef Series, long Timestamp, Histogram Histogram, long StartTimestamp);

/// <summary>What the reader of a tap has missed because it was too slow.</summary>
/// <param name="Commits">0 where only samples of series that were dropped meanwhile are lost.</param>
/// <param name="Range">Of the samples.</param>
public sealed record TapGap(long Commits, long Samples, TimeRange Range);

/// <summary>One commit as it was logged.</summary>
public sealed class TappedCommit
{
    /// <summary>What was lost before it; null when nothing was.</summary>
    public TapGap? Gap { get; init; }

    public AppendSource Source { get; init; } = AppendSource.Unknown;

    /// <summary>Those series of the samples below that no commit had since <see cref="CommitTap.RepeatSeries"/> was called.</summary>
    public IReadOnlyList<TappedSeries> Series { get; init; } = [];

    public ReadOnlyMemory<TappedSample> Samples { get; init; }

    public IReadOnlyList<TappedHistogram> Histograms { get; init; } = [];

    public IReadOnlyList<(SeriesRef Series, Exemplar Exemplar)> Exemplars { get; init; } = [];

    public IReadOnlyList<(SeriesRef Series, SeriesMetadata Metadata)> Metadata { get; init; } = [];
}

/// <summary>
/// Follows the commits of a head in their order, from the moment it was opened. No commit waits for it: where the reader is so slow that
/// the buffer is full, commits are lost and reported as a gap. For one reader, which disposes it.
/// </summary>
/// <remarks>
/// As in the log, the labels of a series come once, with its first sample. After <see cref="RepeatSeries"/> they come once more, so that
/// what is read from then on can be understood without what was read before.
/// </remarks>
public sealed class CommitTap : IDisposable
{
    const int SampleBytes = 32;
    const int EntryBytes = 128;

    readonly Lock _lock = new();
    readonly Queue<(TappedCommit Commit, long Bytes)> _queue = new();
    readonly SeriesTable _series;
    readonly long _maxBytes;
    readonly Action<CommitTap> _closed;
    ulong[] _known = [];
    TaskCompletionSource? _waiting;
    TapGap? _gap;
    long _bytes;

    internal CommitTap(SeriesTable series, long maxBytes, Action<CommitTap> closed) =>
        (_series, _maxBytes, _closed) = (series, maxBytes, closed);

    /// <summary>The next commit; false when there is none yet. A gap after the last commit comes in an empty one.</summary>
    public bool TryRead([System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out TappedCommit? commit)
    {
        lock (_lock)
        {
            if (_queue.TryDequeue(out var next))
            {
                commit = next.Commit;
                _bytes -= next.Bytes;
            }
            else
            {
                commit = _gap is null ? null : new TappedCommit { Gap = _gap };
                _gap = null;
            }
        }

        commit = commit is null ? null : WithSeries(commit);
        return commit is not null;
    }

    /// <summary>Completes when <see cref="TryRead"/> would return true.</summary>
    public Task WaitToReadAsync(CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            if (_queue.Count > 0 || _gap is not null)
            {
                return Task.CompletedTask;
            }

            _waiting ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            return _waiting.Task.WaitAsync(cancellationToken);
        }
    }

    /// <summary>From the next commit on, the labels of each series come once more. Called by the reader.</summary>
    public void RepeatSeries() => Array.Clear(_known);

    public void Dispose() => _closed(this);

    /// <summary>Copies what was committed. Called in the order of commits.</summary>
    internal void Offer(in PendingAppend append)
    {
        var bytes = EntryBytes
            + ((long)append.Samples.Length * SampleBytes) + ((append.Exemplars.Length + append.Metadata.Length) * EntryBytes);
        foreach (ref readonly var sample in append.Histograms)
        {
            bytes += EntryBytes + (sizeof(double) * (sample.Histogram.PositiveBuckets.Length + sample.Histogram.NegativeBuckets.Length));
        }

        if (bytes == EntryBytes)
        {
            return;
        }

        lock (_lock)
        {
            if (_bytes + bytes > _maxBytes)
            {
                _gap = Add(_gap, 1, append);
            }
            else
            {
                _queue.Enqueue((Copy(append, _gap), bytes));
                (_bytes, _gap) = (_bytes + bytes, null);
            }

            _waiting?.TrySetResult();
            _waiting = null;
        }
    }

    static TapGap Add(TapGap? gap, int commits, in PendingAppend append)
    {
        var (min, max) = gap is null ? (long.MaxValue, long.MinValue) : (gap.Range.MinTime, gap.Range.MaxTime);
        foreach (ref readonly var sample in append.Samples)
        {
            (min, max) = (Math.Min(min, sample.Time), Math.Max(max, sample.Time));
        }

        foreach (ref readonly var sample in append.Histograms)
        {
            (min, max) = (Math.Min(min, sample.Time), Math.Max(max, sample.Time));
        }

        return new TapGap(
            (gap?.Commits ?? 0) + commits, (gap?.Samples ?? 0) + append.Samples.Length + append.Histograms.Length, new TimeRange(min, max));
    }

    static TappedCommit Copy(in PendingAppend append, TapGap? gap)
    {
        var samples = new TappedSample[append.Samples.Length];
        for (var i = 0; i < samples.Length; i++)
        {
            ref readonly var sample = ref append.Samples[i];
            samples[i] = new TappedSample(new SeriesRef(sample.Ref), sample.Time, sample.Value, sample.Start);
        }

        var histograms = new TappedHistogram[append.Histograms.Length];
        for (var i = 0; i < histograms.Length; i++)
        {
            ref readonly var sample = ref append.Histograms[i];
            histograms[i] = new TappedHistogram(new SeriesRef(sample.Ref), sample.Time, sample.Histogram, sample.Start);
        }

        return new TappedCommit
        {
            Gap = gap,
            Source = append.Source,
            Samples = samples,
            Histograms = histograms,
            Exemplars = append.Exemplars.ToArray(),
            Metadata = append.Metadata.ToArray(),
        };
    }

    /// <summary>Looks up labels when a commit is read, not while it is made. Samples of series that were dropped since are lost.</summary>
    TappedCommit WithSeries(TappedCommit commit)
    {
        var series = new List<TappedSeries>();
        var gone = new HashSet<SeriesRef>();
        foreach (ref readonly var sample in commit.Samples.Span)
        {
            AddSeries(sample.Series, series, gone);
        }

        foreach (var sample in commit.Histograms)
        {
            AddSeries(sample.Series, series, gone);
        }

        foreach (var (reference, _) in commit.Exemplars)
        {
            AddSeries(reference, series, gone);
        }

        foreach (var (reference, _) in commit.Metadata)
        {
            AddSeries(reference, series, gone);
        }

        var lost = gone.Count == 0 ? [] : commit.Samples.ToArray().Where(s => gone.Contains(s.Series)).Select(s => s.Timestamp)
            .Concat(commit.Histograms.Where(s => gone.Contains(s.Series)).Select(s => s.Timestamp)).ToList();
        return new TappedCommit
        {
            Gap = lost.Count == 0 ? commit.Gap : new TapGap(
                commit.Gap?.Commits ?? 0,
                (commit.Gap?.Samples ?? 0) + lost.Count,
                new TimeRange(Math.Min(lost.Min(), commit.Gap?.Range.MinTime
                    ?? long.MaxValue), Math.Max(lost.Max(), commit.Gap?.Range.MaxTime ?? long.MinValue))),
            Source = commit.Source,
            Series = series,
            Samples = gone.Count == 0 ? commit.Samples : commit.Samples.ToArray().Where(s => !gone.Contains(s.Series)).ToArray(),
            Histograms = gone.Count == 0 ? commit.Histograms : [.. commit.Histograms.Where(s => !gone.Contains(s.Series))],
            Exemplars = gone.Count == 0 ? commit.Exemplars : [.. commit.Exemplars.Where(e => !gone.Contains(e.Series))],
            Metadata = gone.Count == 0 ? commit.Metadata : [.. commit.Metadata.Where(m => !gone.Contains(m.Series))],
        };
    }

    void AddSeries(SeriesRef reference, List<TappedSeries> into, HashSet<SeriesRef> gone)
    {
        var (word, bit) = ((int)(reference.Value / 64), 1UL << (int)(reference.Value % 64));
        if (word >= _known.Length)
        {
            Array.Resize(ref _known, Math.Max(word + 1, _known.Length * 2));
        }

        ref var known = ref _known[word];
        if ((known & bit) != 0)
        {
            return;
        }

        if (_series.TryGetLabels((uint)reference.Value, out var labels))
        {
            known |= bit;
            into.Add(new TappedSeries(reference, labels));
        }
        else
        {
            gone.Add(reference);
        }
    }
}
