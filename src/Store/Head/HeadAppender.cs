using Observe.Store.Model;

namespace Observe.Store.Head;

/// <summary>A series of one head, valid as long as the head lives; 0 is none. Never reused while the process runs.</summary>
public readonly record struct SeriesRef(ulong Value)
{
    public bool IsNone => Value == 0;
}

/// <summary>What became of one sample: expected outcomes, counted and reported, never thrown.</summary>
public enum AppendResult : byte
{
    Appended,

    /// <summary>Older than the newest sample of its series.</summary>
    OutOfOrder,

    /// <summary>Another value at the timestamp of the series' newest sample. (The same value again is Appended.)</summary>
    DuplicateTimestamp,

    /// <summary>Before what the head still takes.</summary>
    OutOfBounds,

    /// <summary>The reference is none of this head's, or its series was dropped since: look the labels up again.</summary>
    UnknownSeries,
}

/// <summary>
/// One atomic append: samples are checked as they are added and become visible together at <see cref="Commit"/>. Reusable after
/// Commit or Rollback. Not thread-safe, but any number of appenders may be at work on one head.
/// </summary>
public sealed class HeadAppender : IDisposable
{
    /// <summary>The series with these labels, made if it is new.</summary>
    public SeriesRef GetOrAdd(Labels labels) => throw new NotImplementedException();

    public AppendResult Append(SeriesRef series, long timestamp, double value) => throw new NotImplementedException();

    /// <summary>The head keeps no reference to the histogram.</summary>
    public AppendResult Append(SeriesRef series, long timestamp, Histogram histogram) => throw new NotImplementedException();

    /// <summary>Logs and applies all samples. Returns the WAL position to hand to <see cref="HeadBlock.DurableAsync"/>.</summary>
    /// <exception cref="IOException">The log could not be written (a full disk): nothing of this append is visible, the head goes on.</exception>
    public long Commit() => throw new NotImplementedException();

    public void Rollback() => throw new NotImplementedException();

    /// <summary>Rolls back what was not committed.</summary>
    public void Dispose() => throw new NotImplementedException();
}
