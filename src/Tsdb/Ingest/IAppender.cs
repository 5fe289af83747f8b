using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Ingest;

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

    /// <summary>Before what the head still takes, or too far in the future.</summary>
    OutOfBounds,

    /// <summary>The reference is none of this head's, or its series was dropped since: look the labels up again.</summary>
    UnknownSeries,

    /// <summary>The append has as many samples as its limit allows.</summary>
    OverSampleLimit,
}

/// <summary>How samples came in.</summary>
public enum AppendOrigin : byte
{
    Unknown,
    Scrape,
    Receiver,
    Rule,
    Replay,
}

/// <summary>Who appends.</summary>
/// <param name="Name">Of the job, the receiver's client, the group of rules.</param>
public sealed record AppendSource(AppendOrigin Origin, string Name)
{
    public static AppendSource Unknown { get; } = new(AppendOrigin.Unknown, "");
}

/// <summary>A sample of somebody's trace, attached to a series.</summary>
/// <param name="Timestamp">Unix milliseconds.</param>
public readonly record struct Exemplar(Labels Labels, double Value, long Timestamp);

/// <summary>What is said of a series besides its samples.</summary>
public sealed record SeriesMetadata(MetricType Type, string Unit, string Help);

/// <summary>A committed append, to be waited for by whoever has to answer for it.</summary>
/// <param name="position">In the log.</param>
public readonly struct CommitTicket(long position, Func<long, CancellationToken, ValueTask> durable)
{
    /// <summary>Completes once the append is on the disk: then it is acknowledged.</summary>
    /// <exception cref="IOException">The disk refused; whether it is there after a crash is not known.</exception>
    public ValueTask DurableAsync(CancellationToken cancellationToken) => durable(position, cancellationToken);
}

/// <summary>
/// The way in, for scrapes, receivers, rules and replay alike. One atomic append: samples are checked as they are added and become visible
/// together at <see cref="Commit"/>. Reusable after Commit or Rollback. Not thread-safe, but any number of appenders may be at work.
/// </summary>
public interface IAppender : IDisposable
{
    /// <summary>Who appends, from now on.</summary>
    AppendSource Source { get; set; }

    /// <summary>The series with these labels, made if it is new; none when it was refused.</summary>
    SeriesRef GetOrAdd(Labels labels, out SeriesFault fault);

    /// <param name="timestamp">Unix milliseconds.</param>
    /// <param name="value">A staleness marker is a value like others.</param>
    /// <param name="startTimestamp">When the counter started, Unix milliseconds; 0 where unknown.</param>
    AppendResult Append(SeriesRef series, long timestamp, double value, long startTimestamp = 0);

    /// <param name="histogram">Not kept: the caller may change it.</param>
    /// <exception cref="ArgumentException">Spans and buckets do not match, or the schema is none.</exception>
    AppendResult Append(SeriesRef series, long timestamp, Histogram histogram, long startTimestamp = 0);

    /// <summary>Adds an exemplar; where exemplars are not kept, it goes no further than to those who follow the commits.</summary>
    void Append(SeriesRef series, in Exemplar exemplar);

    /// <summary>Adds what is known of a series; as with exemplars, whoever follows the commits is told.</summary>
    void Describe(SeriesRef series, SeriesMetadata metadata);

    /// <summary>Logs and applies all of it.</summary>
    /// <exception cref="IOException">The log could not be written (a full disk): nothing of this append is visible.</exception>
    CommitTicket Commit();

    void Rollback();
}
