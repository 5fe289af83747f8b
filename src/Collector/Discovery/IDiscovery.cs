using Observe.Tsdb.Model;

namespace Observe.Collector.Discovery;

/// <summary>Targets that were found together and share labels.</summary>
/// <param name="Source">Tells the group from others of the same discovery.</param>
/// <param name="Targets">Each with its <c>__address__</c>; labels of a target win over those of the group.</param>
public sealed record TargetGroup(string Source, IReadOnlyList<Labels> Targets, Labels Labels);

/// <summary>Finds the targets of a job.</summary>
public interface IDiscovery
{
    /// <summary>
    /// Hands over all groups once, then those that change; a group without targets is gone. Runs until it is cancelled, or returns once
    /// nothing will ever change. What goes wrong on the way is logged and tried again: what was found before stays.
    /// </summary>
    Task RunAsync(Func<IReadOnlyList<TargetGroup>, ValueTask> found, CancellationToken cancellationToken);
}
