using System.Text;
using Observe.Store.Fleet;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Store.Live;

/// <summary>Samples that are in no slice since there was no way to keep them.</summary>
/// <param name="Ranges">Of the samples, neither overlapping nor touching.</param>
public sealed record LostSamples(long Count, IReadOnlyList<TimeRange> Ranges)
{
    /// <summary>More ranges than this are told as one.</summary>
    const int MostRanges = 100;

    public static LostSamples None { get; } = new(0, []);

    public LostSamples And(long count, TimeRange range) => And(new LostSamples(count, [range]));

    public LostSamples And(LostSamples other)
    {
        var ranges = TimeSpans.Union([.. Ranges, .. other.Ranges]);
        return new LostSamples(
            Count + other.Count, ranges.Count > MostRanges ? [new TimeRange(ranges[0].MinTime, ranges[^1].MaxTime)] : ranges);
    }
}

/// <summary>What a slice says of itself.</summary>
/// <remarks>Format: docs/format/live-slice.md.</remarks>
public sealed record SliceHeader
{
    /// <summary>Bytes of a SHA-256.</summary>
    public const int HashSize = 32;

    const long LongestIntervalMs = 24L * 3_600_000;
    const int MaxRanges = 10_000;

    static readonly UTF8Encoding s_strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    public required string Cluster { get; init; }

    public required string Collector { get; init; }

    public required string Window { get; init; }

    public required int Sequence { get; init; }

    /// <summary>Names the collector's data folder: where it is another one, what was not shipped from the old one is in slices only.</summary>
    public required string Data { get; init; }

    /// <summary>External labels.</summary>
    public required Labels Labels { get; init; }

    /// <summary>All that was committed from here on…</summary>
    public required long From { get; init; }

    /// <summary>…and before this is in the slice, but for what was lost. Unix milliseconds.</summary>
    public required long To { get; init; }

    /// <summary>How soon the next one comes, milliseconds.</summary>
    public required long IntervalMs { get; init; }

    /// <summary>Of the slice before in the same window; zeros for the first.</summary>
    public required ReadOnlyMemory<byte> Previous { get; init; }

    /// <summary>What was lost since the slice before.</summary>
    public LostSamples Lost { get; init; } = LostSamples.None;

    public required int Series { get; init; }

    public required long Samples { get; init; }

    /// <summary>Of the samples; empty where there are none.</summary>
    public required TimeRange Range { get; init; }

    public string Key => SliceKey.Of(Cluster, Collector, Window, Sequence);

    internal void Write(ByteWriter into)
    {
        foreach (var text in (ReadOnlySpan<string>)[Cluster, Collector, Window])
        {
            into.LengthPrefixed(Encoding.UTF8.GetBytes(text));
        }

        into.UVarint((ulong)Sequence);
        into.LengthPrefixed(Encoding.UTF8.GetBytes(Data));
        into.UVarint((ulong)Labels.Count);
        foreach (var label in Labels)
        {
            into.LengthPrefixed(label.Name);
            into.LengthPrefixed(label.Value);
        }

        into.Varint(From);
        into.Varint(To);
        into.UVarint((ulong)IntervalMs);
        into.Raw(Previous.Span);
        into.UVarint((ulong)Lost.Count);
        into.UVarint((ulong)Lost.Ranges.Count);
        foreach (var range in Lost.Ranges)
        {
            into.Varint(range.MinTime);
            into.Varint(range.MaxTime);
        }

        into.UVarint((ulong)Series);
        into.UVarint((ulong)Samples);
        into.Varint(Range.MinTime);
        into.Varint(Range.MaxTime);
    }

    /// <exception cref="CorruptionException">It has values that no slice can have.</exception>
    internal static SliceHeader Read(ReadOnlySpan<byte> bytes, string source, long origin)
    {
        var reader = new ByteReader(bytes, source, origin);
        var (cluster, collector, window) = (Text(ref reader), Text(ref reader), Text(ref reader));
        var sequence = reader.UVarint();
        var data = Text(ref reader);
        var labels = new LabelsBuilder();
        for (var i = reader.Length(); i > 0; i--)
        {
            var name = reader.LengthPrefixed();
            labels.Set(name, reader.LengthPrefixed());
        }

        var header = new SliceHeader
        {
            Cluster = cluster,
            Collector = collector,
            Window = window,
            Sequence = (int)Math.Min(sequence, int.MaxValue),
            Data = data,
            Labels = labels.Build(),
            From = reader.Varint(),
            To = reader.Varint(),
            IntervalMs = (long)Math.Min(reader.UVarint(), long.MaxValue),
            Previous = reader.Take(HashSize).ToArray(),
            Lost = Lose(ref reader),
            Series = reader.UVarint() is var series && series > int.MaxValue ? -1 : (int)series,
            Samples = (long)Math.Min(reader.UVarint(), long.MaxValue),
            Range = new TimeRange(reader.Varint(), reader.Varint()),
        };
        if (!FleetName.IsValid(cluster) || !FleetName.IsValid(collector) || SliceKey.BeginOf(window) is null)
        {
            CorruptionException.Throw(source, origin, "names no collector and window");
        }

        if (sequence is 0 or > SliceKey.MaxSequence || header.IntervalMs is <= 0 or > LongestIntervalMs
            || header.Series is < 0 or > Slice.MaxCount || header.Samples > Slice.MaxCount
            || !IsTime(header.From) || !IsTime(header.To) || header.From > header.To
            || (header.Samples > 0 && (header.Range.IsEmpty || !IsTime(header.Range.MinTime) || !IsTime(header.Range.MaxTime))))
        {
            CorruptionException.Throw(source, origin, "has a header that no slice can have");
        }

        return header;
    }

    static LostSamples Lose(ref ByteReader reader)
    {
        var count = (long)Math.Min(reader.UVarint(), long.MaxValue);
        var ranges = new List<TimeRange>();
        var number = reader.Length();
        if (number > MaxRanges)
        {
            reader.Fail("more ranges of lost samples than there can be");
        }

        for (; number > 0; number--)
        {
            ranges.Add(new TimeRange(reader.Varint(), reader.Varint()));
        }

        return new LostSamples(count, TimeSpans.Union(ranges));
    }

    static string Text(ref ByteReader reader)
    {
        try
        {
            return s_strict.GetString(reader.LengthPrefixed());
        }
        catch (DecoderFallbackException)
        {
            reader.Fail("a name that is no text");
            throw;
        }
    }

    static bool IsTime(long timestamp) =>
        timestamp >= DateTimeOffset.MinValue.ToUnixTimeMilliseconds() && timestamp <= DateTimeOffset.MaxValue.ToUnixTimeMilliseconds();
}
