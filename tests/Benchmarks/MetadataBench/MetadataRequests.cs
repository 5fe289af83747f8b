using System.Globalization;

namespace Observe.Benchmarks.MetadataBench;

/// <summary>Searches for labels and series as dashboards' variables and editors' completion send them, over <see cref="MetadataBlocks"/>.</summary>
static class MetadataRequests
{
    /// <summary>The second block and the end of the first.</summary>
    static string Newest => string.Create(
        CultureInfo.InvariantCulture,
        $"start={(MetadataBlocks.StartMs + (MetadataBlocks.WindowMs * 9 / 10)) / 1000}&end={(MetadataBlocks.StartMs + (2 * MetadataBlocks.WindowMs)) / 1000}");

    /// <summary>Paths behind <c>/api/v1/</c>.</summary>
    public static IReadOnlyList<string> All { get; } =
    [
        "labels",
        "labels?limit=5",
        $"labels?{Newest}",
        Matching("labels", "kube_pod_info"),
        Matching("labels", "{namespace=\"ns-07\"}"),
        Matching("labels", "{cluster=\"prod\"}"),
        Matching("labels", "{__name__=~\"container_.*\"}"),
        Matching("labels", "{__name__=~\"container_.*\"}", "limit=3"),

        "label/cluster/values",
        Matching("label/cluster/values", "kube_pod_info"),
        Matching("label/cluster/values", "{cluster=\"prod\"}"),
        Matching("label/cluster/values", "{namespace=\"ns-07\"}"),
        Matching("label/cluster/values", "{pod!=\"\",job!=\"kubelet\"}"),
        Matching("label/cluster/values", "{__name__=~\".+\"}"),

        "label/__name__/values",
        "label/__name__/values?limit=10",
        Matching("label/__name__/values", "{namespace=\"ns-07\"}"),
        Matching("label/__name__/values", "{cluster=\"prod\"}"),
        Matching("label/__name__/values", "{cluster=\"prod\"}", "limit=10"),
        Matching("label/__name__/values", "{pod=~\"app-1.*\"}"),

        "label/pod/values",
        "label/pod/values?limit=10",
        Matching("label/pod/values", "{namespace=\"ns-07\"}"),
        Matching("label/pod/values", "kube_pod_info{cluster=\"prod\"}"),
        Matching("label/pod/values", "kube_pod_info{cluster=\"prod\"}", "limit=10"),
        Matching("label/pod/values", "{cluster=\"prod\"}"),
        Matching("label/pod/values", "{cluster=\"prod\"}", "limit=10"),
        Matching("label/pod/values", "{namespace=~\"ns-0.*\",cluster!=\"dev\"}"),
        Matching("label/pod/values", "{namespace=\"ns-07\"}", Newest),
        Matching("label/namespace/values", "kube_pod_info{cluster=\"prod\"}"),
        Matching("label/namespace/values", "{cluster=~\"prod|staging\"}", Newest),
        Matching("label/instance/values", "{job=\"node-exporter\"}"),
        Matching("label/container/values", "{pod=\"app-07-0007\"}"),
        "label/le/values",

        Matching("series", "kube_pod_info"),
        Matching("series", "kube_pod_info", "limit=10"),
        Matching("series", "kube_pod_info", Newest),
        Matching("series", "{namespace=\"ns-07\"}"),
        Matching("series", "{namespace=\"ns-07\"}", "limit=10"),
        Matching("series", "{namespace=\"ns-07\"}", "limit=1000"),
        Matching("series", "{cluster=\"prod\"}", "limit=10"),
        Matching("series", "{cluster=\"prod\"}", $"limit=10&{Newest}"),
        Matching("series", "{__name__=~\"container_.*\"}", "limit=10"),
        Matching("series", "{__name__=~\".+\"}", "limit=10"),
        Matching("series", "{pod=~\"app-1.*\",cluster!=\"dev\"}", "limit=10"),
        Matching("series", "container_memory_rss{cluster=\"prod\"}"),
        Matching("series", "{pod=~\"app-0[0-4]-.*\",__name__=~\"kube_.*\"}", Newest),
    ];

    static string Matching(string path, string selector, string? more = null) =>
        $"{path}?match[]={Uri.EscapeDataString(selector)}{(more is null ? "" : "&" + more)}";
}
