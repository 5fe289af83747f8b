using System.Globalization;
using Observe.Collector.Config;
using Observe.Tsdb.Model;

namespace Observe.Collector.Discovery;

/// <summary>The targets that stand in the configuration itself.</summary>
sealed class StaticDiscovery(IReadOnlyList<StaticConfig> configs) : IDiscovery
{
    public Task RunAsync(Action<IReadOnlyList<TargetGroup>> found, CancellationToken cancellationToken)
    {
        found([.. configs.Select((config, index) => new TargetGroup(
            index.ToString(CultureInfo.InvariantCulture),
            [.. config.Targets.Select(address => Labels.Of(("__address__", address)))], config.Labels))]);
        return Task.CompletedTask;
    }
}
