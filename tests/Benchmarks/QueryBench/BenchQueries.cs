namespace Observe.Benchmarks.QueryBench;

/// <summary>A query as a dashboard or an alert rule sends it.</summary>
/// <param name="Hours">Of the range that ends with the data; 0 is an instant query.</param>
/// <param name="StepSeconds">0 for an instant query.</param>
sealed record BenchQuery(string Promql, int Hours, int StepSeconds);

/// <summary>Expressions of the kubernetes, node and API mixins and their like, over the metrics of <see cref="FleetData"/>.</summary>
static class BenchQueries
{
    public static IReadOnlyList<BenchQuery> All { get; } =
    [
        // Alert rules: one evaluation each.
        new("up == 0", 0, 0),
        new("count by (cluster, job) (up == 1) / count by (cluster, job) (up)", 0, 0),
        new("increase(kube_pod_container_status_restarts_total[1h]) > 0", 0, 0),
        new("sum by (cluster, namespace, pod) (max by (cluster, namespace, pod) (kube_pod_status_phase{phase=~\"Pending|Unknown|Failed\"}) * on (cluster, namespace, pod) group_left (owner_kind) topk by (cluster, namespace, pod) (1, max by (cluster, namespace, pod, owner_kind) (kube_pod_owner{owner_kind!=\"Job\"}))) > 0", 0, 0),
        new("predict_linear(node_filesystem_avail_bytes{fstype!=\"\"}[6h], 24 * 3600) < 0 and node_filesystem_readonly == 0", 0, 0),
        new("max_over_time(sum by (cluster) (rate(http_requests_total{code=~\"5..\"}[5m]))[1h:1m])", 0, 0),
        new("histogram_quantile(0.99, sum by (cluster, handler, le) (rate(http_request_duration_seconds_bucket[5m]))) > 0.5", 0, 0),
        new("count({__name__=~\".+\"})", 0, 0),
        new("count by (__name__) ({cluster=\"prod\"})", 0, 0),
        new("avg_over_time(node_load1[6h])", 0, 0),
        new("quantile_over_time(0.95, container_memory_working_set_bytes[1h])", 0, 0),
        new("sum(kube_pod_container_resource_requests{resource=\"cpu\"}) by (cluster) / sum(kube_node_status_allocatable{resource=\"cpu\"}) by (cluster)", 0, 0),

        // Dashboards: the last hour.
        new("sum by (cluster) (rate(http_requests_total[5m]))", 1, 15),
        new("sum by (cluster) (rate(http_requests_total{code=~\"5..\"}[5m])) / sum by (cluster) (rate(http_requests_total[5m]))", 1, 15),
        new("histogram_quantile(0.99, sum by (cluster, le) (rate(http_request_duration_seconds_bucket[5m])))", 1, 15),
        new("topk(5, sum by (cluster, namespace, pod) (rate(container_cpu_usage_seconds_total[5m])))", 1, 15),
        new("sum by (cluster, instance) (rate(node_network_receive_bytes_total{device!=\"lo\"}[5m]))", 1, 15),
        new("1 - avg by (cluster, instance) (rate(node_cpu_seconds_total{mode=\"idle\"}[5m]))", 1, 15),
        new("node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes", 1, 15),
        new("container_memory_working_set_bytes{cluster=\"prod\"}", 1, 15),

        // Three hours.
        new("sum by (cluster, namespace) (rate(container_cpu_usage_seconds_total{container!=\"\"}[5m]))", 3, 30),
        new("sum by (cluster, owner_name) (sum by (cluster, namespace, pod) (rate(container_cpu_usage_seconds_total[5m])) * on (cluster, namespace, pod) group_left (owner_name) kube_pod_owner)", 3, 30),
        new("sum by (cluster, namespace) (container_memory_working_set_bytes) / sum by (cluster, namespace) (kube_pod_container_resource_requests{resource=\"memory\"})", 3, 30),
        new("max by (cluster, instance) (1 - node_filesystem_avail_bytes / node_filesystem_size_bytes)", 3, 30),
        new("histogram_quantile(0.9, sum by (cluster, handler, le) (rate(http_request_duration_seconds_bucket[5m])))", 3, 30),
        new("sum by (cluster, handler) (rate(http_request_duration_seconds_sum[5m])) / sum by (cluster, handler) (rate(http_request_duration_seconds_count[5m]))", 3, 30),
        new("avg_over_time(sum by (cluster) (rate(container_cpu_usage_seconds_total[5m]))[30m:1m])", 3, 60),
        new("count by (cluster, node) (kube_pod_info) * on (cluster, node) group_left (kubelet_version) kube_node_info", 3, 30),

        // Six hours, and over everything.
        new("sum by (cluster) (rate(node_cpu_seconds_total[5m]))", 6, 60),
        new("sum by (cluster, mode) (rate(node_cpu_seconds_total[5m]))", 6, 60),
        new("sum by (cluster, instance) (irate(node_disk_io_time_seconds_total[5m]))", 6, 60),
        new("quantile(0.95, rate(container_cpu_usage_seconds_total[5m]))", 6, 60),
        new("histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))", 6, 60),
        new("max_over_time(container_memory_working_set_bytes[30m])", 6, 120),
        new("sum by (cluster) (increase(http_requests_total[1h]))", 6, 60),
        new("sum by (cluster, namespace) (rate(container_cpu_cfs_throttled_periods_total[5m])) / sum by (cluster, namespace) (rate(container_cpu_cfs_periods_total[5m]))", 6, 60),
        new("rate(container_network_receive_bytes_total[5m]) unless on (cluster, namespace, pod) (kube_pod_status_phase{phase=\"Running\"} == 0)", 6, 60),
        new("sum by (cluster) (node_load1) > on (cluster) group_left () (0.5 * count by (cluster) (node_cpu_seconds_total{mode=\"idle\"}))", 6, 60),
        new("count by (cluster, job) ({__name__=~\".+\"})", 6, 300),
        new("sum by (cluster) (changes(kube_pod_container_status_ready[10m]))", 6, 60),
    ];
}
