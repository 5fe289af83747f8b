using Google.Protobuf.Collections;
using Observe.Store.Api.Wire;
using Observe.Store.Fleet;
using Observe.Tsdb.Model;
using Wired = Observe.Store.Api.Wire.KnownCollector;

namespace Observe.Store.Api;

/// <summary>Collectors on the wire.</summary>
static class WireFleet
{
    public static Wired ToWire(Fleet.KnownCollector collector)
    {
        var wire = new Wired
        {
            Cluster = collector.Cluster,
            Collector = collector.Collector,
            Labels = WireLabels.ToWire(collector.Labels),
            NewestSample = collector.NewestSample ?? 0,
            IsExpected = collector.IsExpected,
            ClusterUid = collector.ClusterUid,
        };
        wire.Gaps.AddRange(collector.Gaps.Select(gap => new KnownGap
        {
            MinTime = gap.Range.MinTime,
            MaxTime = gap.Range.MaxTime,
            Why = gap.Why,
            Since = gap.Since,
            IsLost = gap.IsLost,
        }));
        wire.Has.AddRange(collector.Has.Select(range => new KnownTime { MinTime = range.MinTime, MaxTime = range.MaxTime }));
        return wire;
    }

    public static Fleet.KnownCollector FromWire(Wired wire) => new(
        wire.Cluster,
        wire.Collector,
        WireLabels.FromWire(wire.Labels?.Labels ?? new RepeatedField<Label>()),
        wire.NewestSample == 0 ? null : wire.NewestSample,
        wire.IsExpected,
        [.. wire.Gaps.Select(gap => new FleetGap(new TimeRange(gap.MinTime, gap.MaxTime), gap.Why, gap.Since) { IsLost = gap.IsLost })])
    {
        ClusterUid = wire.ClusterUid,
        Has = [.. wire.Has.Select(time => new TimeRange(time.MinTime, time.MaxTime))],
    };

    /// <summary>The range of each set of labels, which a store may tell in several parts.</summary>
    public static Dictionary<Labels, TimeRange> Ranges(StoreInfo store)
    {
        var ranges = new Dictionary<Labels, TimeRange>();
        foreach (var info in store.TsdbInfos)
        {
            var labels = WireLabels.FromWire(info.Labels?.Labels ?? new RepeatedField<Label>());
            ranges[labels] = ranges.TryGetValue(labels, out var known)
                ? new TimeRange(Math.Min(known.MinTime, info.MinTime), Math.Max(known.MaxTime, info.MaxTime))
                : new TimeRange(info.MinTime, info.MaxTime);
        }

        return ranges;
    }
}
