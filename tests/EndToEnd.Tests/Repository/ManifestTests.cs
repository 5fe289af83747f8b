using Observe.Testkit;
using Xunit;

namespace Observe.EndToEnd.Tests.Repository;

/// <summary>The manifests as kubectl renders them.</summary>
public sealed class ManifestTests
{
    [Theory]
    [InlineData("clusters/dev", "DaemonSet", "StatefulSet", "ClusterRole", "NetworkPolicy", "PodDisruptionBudget", "Secret", "ConfigMap")]
    [InlineData("clusters/prod", "DaemonSet", "StatefulSet", "ClusterRole", "NetworkPolicy", "PodDisruptionBudget", "Secret", "ConfigMap")]
    [InlineData("central", "Deployment", "StatefulSet", "NetworkPolicy", "PodDisruptionBudget", "Service", "ServiceAccount")]
    public async Task Renders_with_everything_in_it(string overlay, params string[] kinds)
    {
        var (exitCode, manifests) = await RenderAsync(overlay);
        Assert.True(exitCode == 0, manifests);
        Assert.All(kinds, kind => Assert.Contains($"\nkind: {kind}\n", manifests, StringComparison.Ordinal));
        foreach (var container in manifests.Split("        image: observe").Skip(1))
        {
            Assert.Contains("readOnlyRootFilesystem: true", container, StringComparison.Ordinal);
            Assert.Contains("allowPrivilegeEscalation: false", container, StringComparison.Ordinal);
        }

        Assert.DoesNotContain("runAsNonRoot: false", manifests, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("dev")]
    [InlineData("prod")]
    public async Task The_cluster_is_named_once_and_reaches_the_collector(string cluster)
    {
        var (_, manifests) = await RenderAsync("clusters/" + cluster);
        Assert.Contains($"data:\n  name: {cluster}\n", manifests, StringComparison.Ordinal);
        Assert.Contains("cluster: $(CLUSTER)", manifests, StringComparison.Ordinal);
    }

    static Task<(int ExitCode, string Output)> RenderAsync(string overlay) =>
        ChildProcess.RunAsync(Required.Peer("kubectl"), ["kustomize", Path.Combine(Checkout.Root, "deploy", "kustomize", overlay)]);
}
