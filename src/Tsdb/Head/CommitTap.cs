using System.Diagnostics.CodeAnalysis;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Ingest;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Head;

/// <param name="Timestamp">Unix milliseconds, as the start timestamp, which is 0 where unknown.</param>
/// <param name="Value">Staleness markers among them.</param>
public readonly record struct TappedSample(SeriesRef Series, long Timestamp, double Value, long StartTimestamp);

/// <param name="Histogram">Never to be changed.</param>
public readonly record struct TappedHistogram(SeriesRef Series, long Timestamp, Histogram Histogram, long StartTimestamp);

/// <summary>What the reader of a tap has missed because it was too slow.</summary>
/// <param name="Range">Of the samples.</param>
public sealed record TapGap(long Commits, long Samples, TimeRange Range);

/// <summary>One commit as it was logged.</summary>
public sealed record TappedCommit
{
    /// <summary>What was lost before it; null when nothing was.</summary>
    public TapGap? Gap { get; init; }

    public AppendSource Source { get; init; } = AppendSource.Unknown;

    /// <summary>Valid until the next commit is read.</summary>
    public ReadOnlyMemory<TappedSample> Samples { get; init; }

    public IReadOnlyList<TappedHistogram> Histograms { get; init; } = [];

    public IReadOnlyList<(SeriesRef Series, Exemplar Exemplar)> Exemplars { get; init; } = [];

    public IReadOnlyList<(SeriesRef Series, SeriesMetadata Metadata)> Metadata { get; init; } = [];
}

/// <summary>
/// Follows the commits of a head in their order, from the moment it was opened. No commit waits for it: where the reader is so slow that
/// the buffer is full, commits are lost and reported as a gap. For one reader, which disposes it.
/// </summary>
/// <remarks>Commits name series by reference; their labels are read when they are wanted, by <see cref="TryReadLabels"/>.</remarks>
public sealed class CommitTap : IDisposable
{
    const int SampleBytes = 12;
    const int EntryBytes = 128;

    readonly Lock _lock = new();
    readonly Queue<Entry> _queue = new();
    readonly TapBuffer _samples = new();
    readonly SeriesTable _series;
    readonly long _maxBytes;
    readonly Action<CommitTap> _closed;
    TappedSample[] _read = [];
    TaskCompletionSource? _waiting;
    TapGap? _gap;
    long _bytes;

    /// <summary>A commit whose samples are in the buffer.</summary>
    readonly record struct Entry(TappedCommit Commit, int Samples, long Bytes);

    internal CommitTap(SeriesTable series, long maxBytes, Action<CommitTap> closed) =>
        (_series, _maxBytes, _closed) = (series, maxBytes, closed);

    /// <summary>The next commit; false when there is none yet. A gap after the last commit comes in an empty one.</summary>
    public bool TryRead([NotNullWhen(true)] out TappedCommit? commit)
    {
        lock (_lock)
        {
            if (_queue.TryDequeue(out var next))
            {
                commit = next.Samples == 0 ? next.Commit : next.Commit with { Samples = Read(next.Samples) };
                _bytes -= next.Bytes;
            }
            else
            {
                commit = _gap is null ? null : new TappedCommit { Gap = _gap };
                _gap = null;
            }

            return commit is not null;
        }
    }

    /// <summary>Adds the labels of a series to a list, as numbers of symbols: name, value, name, value…, sorted by name.</summary>
    /// <returns>False when the series was dropped since: its samples had long been cut into a block.</returns>
    public bool TryReadLabels(SeriesRef series, SymbolMap symbols, List<int> numbers) =>
        series.Value <= uint.MaxValue && _series.TryReadSymbols((uint)series.Value, symbols, numbers);

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
                _samples.Write(append.Samples);
                _queue.Enqueue(new Entry(Copy(append, _gap), append.Samples.Length, bytes));
                (_bytes, _gap) = (_bytes + bytes, null);
            }

            _waiting?.TrySetResult();
            _waiting = null;
        }
    }

    ReadOnlyMemory<TappedSample> Read(int count)
    {
        if (_read.Length < count)
        {
            _read = new TappedSample[Math.Max(count, _read.Length + (_read.Length / 2))];
        }

        _samples.Read(_read.AsSpan(0, count));
        return _read.AsMemory(0, count);
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

    /// <summary>All of a commit but its samples.</summary>
    static TappedCommit Copy(in PendingAppend append, TapGap? gap)
    {
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
            Histograms = histograms,
            Exemplars = append.Exemplars.ToArray(),
            Metadata = append.Metadata.ToArray(),
        };
    }
}
