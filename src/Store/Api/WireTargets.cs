using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Observe.Store.Api.StatusWire;
using Observe.Store.Api.Wire;
using Observe.Tsdb.Model;

namespace Observe.Store.Api;

/// <summary>Converts targets and metadata between the model and the wire.</summary>
static class WireTargets
{
    /// <summary>Targets, or metrics, in one message.</summary>
    const int FrameEntries = 500;

    const int ActiveField = 1;
    const int DroppedField = 2;
    const int CountField = 1000;

    public static IEnumerable<TargetsResponse> ToWire(ApiTargets targets, TargetsRequest.Types.State state)
    {
        foreach (var some in state == TargetsRequest.Types.State.Dropped ? [] : targets.Active.Chunk(FrameEntries))
        {
            yield return new TargetsResponse { Targets = new TargetDiscovery { ActiveTargets = { some.Select(ToWire) } } };
        }

        if (state == TargetsRequest.Types.State.Active)
        {
            yield break;
        }

        foreach (var some in targets.Dropped.Chunk(FrameEntries))
        {
            yield return new TargetsResponse { Targets = new TargetDiscovery { DroppedTargets = { some.Select(ToWire) } } };
        }

        var counts = new TargetDiscovery();
        foreach (var (pool, count) in targets.DroppedCounts)
        {
            counts.DroppedCounts[pool] = count;
        }

        yield return new TargetsResponse { Targets = counts };
    }

    public static IEnumerable<MetricMetadataResponse> ToWire(IEnumerable<ApiMetadata> all)
    {
        foreach (var some in all.GroupBy(metadata => metadata.Metric).Chunk(FrameEntries))
        {
            var frame = new MetricMetadata();
            foreach (var metric in some)
            {
                frame.Metadata[metric.Key] = new MetricMetadataEntry
                {
                    Metas = { metric.Select(metadata => new Meta { Type = metadata.Kind, Help = metadata.Help, Unit = metadata.Unit }) },
                };
            }

            yield return new MetricMetadataResponse { Metadata = frame };
        }
    }

    /// <summary>Targets of a peer, gathered from the fields of its messages.</summary>
    public sealed class Gathered
    {
        readonly List<ApiTarget> _active = [];
        readonly List<ApiDroppedTarget> _dropped = [];
        readonly Dictionary<string, int> _counts = [];

        /// <exception cref="InvalidProtocolBufferException">The content is damaged.</exception>
        public void Add(int field, ReadOnlySpan<byte> content)
        {
            switch (field)
            {
                case ActiveField:
                    _active.Add(FromWire(ActiveTarget.Parser.ParseFrom(content)));
                    break;

                case DroppedField:
                    var dropped = DroppedTarget.Parser.ParseFrom(content);
                    _dropped.Add(new ApiDroppedTarget(dropped.ScrapePool, FromWire(dropped.DiscoveredLabels)));
                    break;

                case CountField:
                    // An entry of a map is a message whose first field is the key.
                    var entry = TargetDiscovery.Parser.ParseFrom(Entry(CountField, content));
                    foreach (var (pool, count) in entry.DroppedCounts)
                    {
                        _counts[pool] = (int)Math.Clamp(count, 0, int.MaxValue);
                    }

                    break;
            }
        }

        public ApiTargets All()
        {
            // Peers of another make count none.
            var counts = _counts.Count > 0
                ? _counts
                : _dropped.GroupBy(target => target.Pool).ToDictionary(pool => pool.Key, pool => pool.Count());
            string[] pools = [.. _active.Select(target => target.Pool).Concat(counts.Keys).Where(pool => pool.Length > 0).Distinct()];
            return new ApiTargets(pools, _active, _dropped, counts);
        }
    }

    /// <summary>Metadata of one metric, an entry of a peer's map.</summary>
    /// <exception cref="InvalidProtocolBufferException">The content is damaged.</exception>
    public static IEnumerable<ApiMetadata> MetadataOf(ReadOnlySpan<byte> content)
    {
        var entry = MetricMetadata.Parser.ParseFrom(Entry(1, content));
        return entry.Metadata.SelectMany(metric => metric.Value.Metas.Select(meta => new ApiMetadata(metric.Key, meta.Type, meta.Help, meta.Unit)));
    }

    // A message that has nothing but one entry of a map.
    static byte[] Entry(int field, ReadOnlySpan<byte> content)
    {
        using var stream = new MemoryStream(content.Length + 10);
        using (var output = new CodedOutputStream(stream, leaveOpen: true))
        {
            output.WriteTag(field, WireFormat.WireType.LengthDelimited);
            output.WriteBytes(ByteString.CopyFrom(content));
        }

        return stream.ToArray();
    }

    static ActiveTarget ToWire(ApiTarget target) => new()
    {
        DiscoveredLabels = WireLabels.ToWire(target.DiscoveredLabels),
        Labels = WireLabels.ToWire(target.Labels),
        ScrapePool = target.Pool,
        ScrapeUrl = target.Url,
        GlobalUrl = target.GlobalUrl,
        LastError = target.LastError,
        LastScrape = target.LastScrape == 0 ? Never : Timestamp.FromDateTimeOffset(DateTimeOffset.FromUnixTimeMilliseconds(target.LastScrape)),
        LastScrapeDuration = target.LastScrapeDuration,
        Health = target.Health switch { "up" => TargetHealth.Up, "down" => TargetHealth.Down, _ => TargetHealth.Unknown },
        ScrapeInterval = target.ScrapeInterval,
        ScrapeTimeout = target.ScrapeTimeout,
        Cluster = target.Cluster,
        Collector = target.Collector,
    };

    static DroppedTarget ToWire(ApiDroppedTarget target) =>
        new() { DiscoveredLabels = WireLabels.ToWire(target.DiscoveredLabels), ScrapePool = target.Pool };

    static ApiTarget FromWire(ActiveTarget target) => new(
        target.ScrapePool, FromWire(target.DiscoveredLabels), FromWire(target.Labels), target.ScrapeUrl,
        target.Health switch { TargetHealth.Up => "up", TargetHealth.Down => "down", _ => "unknown" },
        target.LastError, Milliseconds(target.LastScrape), target.LastScrapeDuration, target.ScrapeInterval, target.ScrapeTimeout)
    {
        GlobalUrl = target.GlobalUrl,
        Cluster = target.Cluster,
        Collector = target.Collector,
    };

    static Labels FromWire(LabelSet? set) => set is null ? Labels.Empty : WireLabels.FromWire(set.Labels);

    /// <summary>Go's time that is none, the first second of the first year.</summary>
    static Timestamp Never => new() { Seconds = -62_135_596_800 };

    static long Milliseconds(Timestamp? time) => time is { Seconds: >= 0 and <= 253_402_300_799 }
        ? (time.Seconds * 1000) + (Math.Clamp(time.Nanos, 0, 999_999_999) / 1_000_000)
        : 0;
}
