using Observe.Tsdb.Model;

namespace Observe.Collector.Discovery;

/// <summary>Targets that were found together and share labels.</summary>
/// <param name="Source">Tells the group from others of the same discovery.</param>
/// <param name="Targets">Each with its <c>__address__</c>; labels of a target win over those of the group.</param>
public sealed record TargetGroup(string Source, IReadOnlyList<Labels> Targets, Labels Labels);

/// <summary>Finds targets, for whatever job wants them.</summary>
public interface IDiscovery
{
    /// <summary>
    /// Hands over all groups at once, and all of them again whenever one has changed: a snapshot that stays as it is. Runs until it is
    /// cancelled, or returns once nothing will ever change. What goes wrong on the way is logged and tried again: what was found before
    /// stays.
    /// </summary>
    Task RunAsync(Action<IReadOnlyList<TargetGroup>> found, CancellationToken cancellationToken);
}
