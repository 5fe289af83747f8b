using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Store.Api;

/// <summary>
/// Tells which labels of a peer's series are external, by the label sets that the peer announces: for peers that do not leave replica
/// labels off themselves. A series belongs to the largest set whose labels it has.
/// </summary>
/// <remarks>
/// Where a peer announces a stream with a replica label and the same stream without, a series of the latter that has the other's very
/// label itself cannot be told from it, and loses it.
/// </remarks>
sealed class AnnouncedLabels
{
    /// <summary>Sets with the same names, those with the most first.</summary>
    readonly List<(LabelProjection Names, HashSet<Labels> Sets, string[] LeftOff)> _kinds = [];

    public AnnouncedLabels(IReadOnlyList<Labels> sets, IReadOnlyList<string> replicaLabels)
    {
        foreach (var kind in sets.GroupBy(set => string.Join('\0', set.ToDictionary().Keys)).OrderByDescending(kind => kind.First().Count))
        {
            string[] names = [.. kind.First().ToDictionary().Keys];
            _kinds.Add((new LabelProjection(names, keep: true), [.. kind], [.. names.Intersect(replicaLabels)]));
        }
    }

    /// <summary>The labels of a series without the external ones that tell replicas apart, and these.</summary>
    public SeriesKey LeaveOff(Labels labels)
    {
        foreach (var (names, sets, leftOff) in _kinds)
        {
            if (sets.Contains(names.Project(labels)))
            {
                return new SeriesKey(leftOff.Length == 0 ? labels : labels.Without(leftOff), labels.Only(leftOff));
            }
        }

        return new SeriesKey(labels, Labels.Empty);
    }
}
