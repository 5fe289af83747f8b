using Observe.Testkit;
using Xunit;

namespace Observe.EndToEnd.Tests.Repository;

/// <summary>The manifests as kubectl renders them. Nothing to do where there is no kubectl.</summary>
public sealed class ManifestTests
{
    [Theory]
    [InlineData("clusters/dev", "DaemonSet", "StatefulSet", "ClusterRole", "NetworkPolicy", "PodDisruptionBudget", "Secret", "ConfigMap")]
    [InlineData("clusters/prod", "DaemonSet", "StatefulSet", "ClusterRole", "NetworkPolicy", "PodDisruptionBudget", "Secret", "ConfigMap")]
    [InlineData("central", "Deployment", "StatefulSet", "NetworkPolicy", "PodDisruptionBudget", "Service", "ServiceAccount")]
    public async Task Renders_with_everything_in_it(string overlay, params string[] kinds)
    {
        if (Rendered(overlay) is not { } rendering)
        {
            return;
        }

        var (exitCode, manifests) = await rendering;
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
        if (Rendered("clusters/" + cluster) is not { } rendering)
        {
            return;
        }

        var (_, manifests) = await rendering;
        Assert.Contains($"data:\n  name: {cluster}\n", manifests, StringComparison.Ordinal);
        Assert.Contains("cluster: $(CLUSTER)", manifests, StringComparison.Ordinal);
    }

    static Task<(int ExitCode, string Output)>? Rendered(string overlay)
    {
        var kubectl = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Select(p => Path.Combine(p, "kubectl")).FirstOrDefault(File.Exists);
        return kubectl is null ? null : ChildProcess.RunAsync(kubectl, ["kustomize", Path.Combine(Checkout.Root, "deploy", "kustomize", overlay)]);
    }
}
