using Observe.Tsdb.Model;

namespace Observe.Collector.Discovery;

/// <summary>Targets that were found together and share labels.</summary>
/// <param name="Source">Identifies the group among those of the same discovery.</param>
/// <param name="Targets">Each with its <c>__address__</c>; labels of a target win over those of the group.</param>
public sealed record TargetGroup(string Source, IReadOnlyList<Labels> Targets, Labels Labels);

/// <summary>Finds the targets of one discovery configuration.</summary>
public interface IDiscovery
{
    /// <summary>
    /// Publishes all groups at once as an immutable snapshot, and a new snapshot of all groups whenever one has changed. Runs until it is
    /// cancelled, or returns once the groups can't change any more. Errors on the way are logged and the discovery goes on; the last
    /// snapshot stays in force.
    /// </summary>
    Task RunAsync(Action<IReadOnlyList<TargetGroup>> found, CancellationToken cancellationToken);
}
