using System.Globalization;

namespace Observe.Benchmarks.QueryBench;

/// <summary>
/// Three Kubernetes clusters for six hours: node_exporter, cAdvisor, kube-state-metrics and a web application with latency histograms,
/// under the names and labels that they have in the field. Pods come and go, containers start again.
/// </summary>
static class FleetData
{
    public const long IntervalMs = 15_000;

    /// <summary>2025-06-01T00:00:00Z: a multiple of 6 h.</summary>
    public const long StartMs = 1_748_736_000_000;

    public const long EndMs = StartMs + (6 * 3_600_000);

    const int Nodes = 20;
    const int Pods = 80;

    static readonly string[] s_namespaces = ["default", "kube-system", "monitoring", "ingress", "shop", "payments", "search", "batch", "identity", "media"];

    /// <summary>In order of scrapes for each target; call <see cref="FleetSeries.Scrape"/> with rising times.</summary>
    public static List<FleetSeries> Build()
    {
        var all = new List<FleetSeries>();
        foreach (var cluster in (string[])["dev", "staging", "prod"])
        {
            var label = $"cluster=\"{cluster}\"";
            for (var node = 0; node < Nodes; node++)
            {
                AddNode(all, cluster, label, $"{cluster}-node-{node:D2}");
            }

            for (var pod = 0; pod < Pods; pod++)
            {
                AddPod(all, label, cluster, pod);
            }

            AddApplication(all, label, cluster);
        }

        return all;
    }

    static void AddNode(List<FleetSeries> all, string cluster, string label, string node)
    {
        var target = new ScrapedTarget($"{node}/node-exporter", StartMs, EndMs);
        var own = $"{label},job=\"node-exporter\",instance=\"{node}\"";
        all.Add(new StateSeries(target, $"up{{{own}}}", 1, 0.002));
        for (var cpu = 0; cpu < 8; cpu++)
        {
            foreach (var (mode, share) in ((string, double)[])
                [("idle", 0.7), ("user", 0.18), ("system", 0.08), ("iowait", 0.02), ("irq", 0), ("softirq", 0.01), ("nice", 0.001), ("steal", 0)])
            {
                all.Add(share == 0
                    ? new StateSeries(target, $"node_cpu_seconds_total{{{own},cpu=\"{cpu}\",mode=\"{mode}\"}}", 0)
                    : new CounterSeries(target, $"node_cpu_seconds_total{{{own},cpu=\"{cpu}\",mode=\"{mode}\"}}", share, 2));
            }
        }

        all.Add(new StateSeries(target, $"node_memory_MemTotal_bytes{{{own}}}", 68719476736));
        foreach (var (name, low, high) in ((string, double, double)[])
            [("MemAvailable", 8e9, 5e10), ("MemFree", 1e9, 2e10), ("Buffers", 1e8, 1e9), ("Cached", 4e9, 2e10), ("SwapFree", 0, 4e9)])
        {
            all.Add(new GaugeSeries(target, $"node_memory_{name}_bytes{{{own}}}", low, high, 4096));
        }

        foreach (var (load, high) in ((string, double)[])[("load1", 16), ("load5", 12), ("load15", 10)])
        {
            all.Add(new GaugeSeries(target, $"node_{load}{{{own}}}", 0.1, high, 0.01));
        }

        foreach (var mount in (string[])["/", "/var/lib/containerd", "/boot"])
        {
            var disk = $"{own},device=\"/dev/nvme0n1p{mount.Length}\",fstype=\"ext4\",mountpoint=\"{mount}\"";
            all.Add(new GaugeSeries(target, $"node_filesystem_avail_bytes{{{disk}}}", 1e10, 2e11, 4096));
            all.Add(new StateSeries(target, $"node_filesystem_size_bytes{{{disk}}}", 214748364800));
            all.Add(new GaugeSeries(target, $"node_filesystem_files_free{{{disk}}}", 1e6, 1e7, 1));
            all.Add(new StateSeries(target, $"node_filesystem_readonly{{{disk}}}", 0));
        }

        foreach (var device in (string[])["nvme0n1", "nvme1n1"])
        {
            foreach (var (name, rate, digits) in ((string, double, int)[])
                [("read_bytes_total", 2e6, 0), ("written_bytes_total", 5e6, 0), ("io_time_seconds_total", 0.3, 3), ("reads_completed_total", 50, 0), ("writes_completed_total", 120, 0)])
            {
                all.Add(new CounterSeries(target, $"node_disk_{name}{{{own},device=\"{device}\"}}", rate, digits));
            }
        }

        foreach (var device in (string[])["eth0", "cilium_host", "lo"])
        {
            foreach (var (name, rate) in ((string, double)[])
                [("receive_bytes_total", 3e6), ("transmit_bytes_total", 2e6), ("receive_packets_total", 4e3), ("transmit_packets_total", 3e3), ("receive_drop_total", 0.01)])
            {
                all.Add(new CounterSeries(target, $"node_network_{name}{{{own},device=\"{device}\"}}", rate, 0));
            }
        }

        all.Add(new StateSeries(target, $"node_boot_time_seconds{{{own}}}", 1748000000));
        all.Add(new StateSeries(target, $"node_uname_info{{{own},machine=\"x86_64\",nodename=\"{node}\",release=\"6.8.0-{node.Length}\",sysname=\"Linux\"}}", 1));

        var state = new ScrapedTarget($"{cluster}/kube-state-metrics", StartMs, EndMs);
        var kube = $"{label},job=\"kube-state-metrics\",instance=\"10.0.0.1:8080\",node=\"{node}\"";
        all.Add(new StateSeries(state, $"kube_node_info{{{kube},kubelet_version=\"v1.33.1\",os_image=\"Debian GNU/Linux 13\"}}", 1));
        foreach (var (resource, value) in ((string, double)[])[("cpu", 8), ("memory", 68719476736), ("pods", 110)])
        {
            all.Add(new StateSeries(state, $"kube_node_status_allocatable{{{kube},resource=\"{resource}\",unit=\"{resource}\"}}", value));
        }

        foreach (var condition in (string[])["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"])
        {
            foreach (var status in (string[])["true", "false", "unknown"])
            {
                var holds = status == (condition == "Ready" ? "true" : "false");
                all.Add(new StateSeries(
                    state, $"kube_node_status_condition{{{kube},condition=\"{condition}\",status=\"{status}\"}}", holds ? 1 : 0, status == "unknown" ? 0 : 0.001));
            }
        }
    }

    static void AddPod(List<FleetSeries> all, string label, string cluster, int number)
    {
        var space = s_namespaces[number % s_namespaces.Length];
        var workload = $"{space}-app-{number / 20}";
        var node = $"{cluster}-node-{number * 7 % Nodes:D2}";
        // One pod of eight is replaced by another in the middle.
        var life = number % 8 == 3 ? StartMs + (number * 225_000L) : EndMs;
        AddPod(all, label, cluster, space, workload, node, $"{workload}-{Suffix(cluster, number, 0)}", number, StartMs, life);
        if (life < EndMs)
        {
            AddPod(all, label, cluster, space, workload, node, $"{workload}-{Suffix(cluster, number, 1)}", number, life, EndMs);
        }
    }

    static string Suffix(string cluster, int number, int generation) =>
        Dice.Of($"{cluster}{number}.{generation}").Next().ToString("x16", CultureInfo.InvariantCulture)[..10];

    static void AddPod(
        List<FleetSeries> all, string label, string cluster, string space, string workload, string node, string pod, int number, long from, long to)
    {
        var kubelet = new ScrapedTarget($"{node}/cadvisor", from, to);
        var state = new ScrapedTarget($"{cluster}/kube-state-metrics", from, to);
        var advisor = $"{label},job=\"kubelet\",metrics_path=\"/metrics/cadvisor\",instance=\"{node}\",node=\"{node}\",namespace=\"{space}\",pod=\"{pod}\"";
        var kube = $"{label},job=\"kube-state-metrics\",instance=\"10.0.0.1:8080\",namespace=\"{space}\",pod=\"{pod}\"";
        string[] containers = number % 4 == 0 ? [space, "istio-proxy"] : [space];
        foreach (var container in containers)
        {
            var own = $"{advisor},container=\"{container}\"";
            var cpu = 0.02 + (number % 17 * 0.03);
            var restarts = number % 30 == 9 ? 0.004 : 0;
            all.Add(new CounterSeries(kubelet, $"container_cpu_usage_seconds_total{{{own},cpu=\"total\"}}", cpu, 6, restarts));
            all.Add(new CounterSeries(kubelet, $"container_cpu_cfs_periods_total{{{own}}}", 10, 0, restarts));
            all.Add(new CounterSeries(kubelet, $"container_cpu_cfs_throttled_periods_total{{{own}}}", number % 5 * 0.5, 0, restarts));
            all.Add(new GaugeSeries(kubelet, $"container_memory_working_set_bytes{{{own}}}", 5e7, 4e8 + (number * 1e6), 4096));
            all.Add(new GaugeSeries(kubelet, $"container_memory_rss{{{own}}}", 4e7, 3e8 + (number * 1e6), 4096));
            all.Add(new GaugeSeries(kubelet, $"container_memory_cache{{{own}}}", 1e6, 1e8, 4096));
            var state1 = $"{kube},container=\"{container}\"";
            all.Add(new CounterSeries(state, $"kube_pod_container_status_restarts_total{{{state1}}}", restarts / 10, 0));
            all.Add(new StateSeries(state, $"kube_pod_container_status_ready{{{state1}}}", 1, 0.003));
            all.Add(new StateSeries(state, $"kube_pod_container_info{{{state1},image=\"registry.example/{workload}:1.{number % 9}\"}}", 1));
            foreach (var (resource, unit, request) in ((string, string, double)[])[("cpu", "core", 0.25), ("memory", "byte", 268435456)])
            {
                all.Add(new StateSeries(state, $"kube_pod_container_resource_requests{{{state1},node=\"{node}\",resource=\"{resource}\",unit=\"{unit}\"}}", request));
                all.Add(new StateSeries(state, $"kube_pod_container_resource_limits{{{state1},node=\"{node}\",resource=\"{resource}\",unit=\"{unit}\"}}", request * 2));
            }
        }

        foreach (var direction in (string[])["receive", "transmit"])
        {
            all.Add(new CounterSeries(kubelet, $"container_network_{direction}_bytes_total{{{advisor},interface=\"eth0\"}}", 20_000 + (number * 300), 0));
        }

        all.Add(new StateSeries(state, $"kube_pod_info{{{kube},node=\"{node}\",host_ip=\"10.1.0.{number % 250}\",created_by_kind=\"ReplicaSet\",created_by_name=\"{workload}-5d4f\"}}", 1));
        all.Add(new StateSeries(state, $"kube_pod_owner{{{kube},owner_kind=\"ReplicaSet\",owner_name=\"{workload}\",owner_is_controller=\"true\"}}", 1));
        all.Add(new StateSeries(state, $"kube_pod_created{{{kube}}}", from / 1000));
        foreach (var phase in (string[])["Running", "Pending", "Failed", "Succeeded", "Unknown"])
        {
            all.Add(new StateSeries(state, $"kube_pod_status_phase{{{kube},phase=\"{phase}\"}}", phase == "Running" ? 1 : 0, phase is "Running" or "Pending" ? 0.002 : 0));
        }
    }

    static void AddApplication(List<FleetSeries> all, string label, string cluster)
    {
        for (var instance = 0; instance < 5; instance++)
        {
            var target = new ScrapedTarget($"{cluster}/shop/{instance}", StartMs, EndMs);
            var own = $"{label},job=\"shop\",namespace=\"shop\",instance=\"10.2.0.{instance}:8080\"";
            all.Add(new StateSeries(target, $"up{{{own}}}", 1, 0.002));
            all.Add(new GaugeSeries(target, $"go_goroutines{{{own}}}", 20, 400, 1));
            var handlers = (string[])["/", "/cart", "/search", "/checkout", "/api/v1/items", "/login"];
            for (var i = 0; i < handlers.Length; i++)
            {
                foreach (var method in (string[])["GET", "POST"])
                {
                    var request = $"{own},handler=\"{handlers[i]}\",method=\"{method}\"";
                    all.Add(new LatencySeries(target, "http_request_duration_seconds", request, 3 + (i * 2), 0.02 * (i + 1)));
                    foreach (var (code, rate) in ((string, double)[])[("200", 20), ("404", 0.5), ("500", 0.1), ("503", 0.02)])
                    {
                        all.Add(new CounterSeries(target, $"http_requests_total{{{request},code=\"{code}\"}}", rate, 0));
                    }
                }
            }
        }
    }
}
