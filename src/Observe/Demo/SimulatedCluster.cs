using System.Globalization;
using System.Text;

namespace Observe.Demo;

/// <summary>
/// The exporters of one made-up cluster: nodes, kube-state-metrics and a web application. Their values are a function of the time alone, so
/// that both replicas of a pair scrape the same values and counters never fall.
/// </summary>
/// <param name="nodes">How many nodes.</param>
/// <param name="load">How busy the cluster is; 1 is average.</param>
sealed class SimulatedCluster(string name, int nodes, double load)
{
    static readonly string[] s_modes = ["idle", "user", "system", "iowait", "softirq", "steal", "nice", "irq"];
    static readonly (string Namespace, string Workload, int Replicas)[] s_workloads =
        [("shop", "frontend", 3), ("shop", "checkout", 2), ("shop", "catalog", 2), ("data", "orders-db", 1), ("data", "cache", 2), ("kube-system", "coredns", 2)];

    static readonly double[] s_bounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
    static readonly (string Handler, double Rate, double Latency)[] s_handlers =
        [("/", 12, 0.02), ("/api/items", 30, 0.06), ("/api/checkout", 4, 0.3)];

    public string Name => name;

    public int Nodes => nodes;

    /// <summary>The path of each exporter, with the instance and job it stands for.</summary>
    public IEnumerable<(string Job, string Instance, string Path)> Exporters()
    {
        for (var node = 1; node <= nodes; node++)
        {
            yield return ("node", NodeName(node), $"/{name}/node/{node}/metrics");
        }

        yield return ("kube-state-metrics", "kube-state-metrics", $"/{name}/kube-state-metrics/metrics");
        foreach (var (ns, workload, replicas) in s_workloads.Where(w => w.Namespace == "shop"))
        {
            for (var i = 0; i < replicas; i++)
            {
                yield return ("shop", $"{workload}-{i}", $"/{name}/shop/{workload}/{i}/metrics");
            }
        }
    }

    /// <summary>An exporter's exposition at a time (seconds since the epoch); null for a path that is no exporter's.</summary>
    public string? Scrape(string path, double now)
    {
        var parts = path.Split('/', StringSplitOptions.RemoveEmptyEntries);
        var text = new Exposition();
        switch (parts)
        {
            case [_, "node", var number, "metrics"] when int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var node) && node >= 1 && node <= nodes:
                Node(text, node, now);
                break;
            case [_, "kube-state-metrics", "metrics"]:
                KubeState(text, now);
                break;
            case [_, "shop", var workload, var replica, "metrics"]:
                Application(text, workload, Seed(workload + replica), now);
                break;
            default:
                return null;
        }

        return text.ToString();
    }

    string NodeName(int node) => string.Create(CultureInfo.InvariantCulture, $"{name}-node-{node}");

    void Node(Exposition text, int node, double now)
    {
        var seed = Seed(string.Create(CultureInfo.InvariantCulture, $"node{node}"));
        text.Family("node_cpu_seconds_total", "counter", "Seconds the CPUs spent in each mode.");
        for (var cpu = 0; cpu < 4; cpu++)
        {
            foreach (var mode in s_modes)
            {
                var busy =
                    mode switch { "user" => 0.22, "system" => 0.08, "iowait" => 0.02, "softirq" => 0.01, "idle" => 0, _ => 0.001 } * load;
                var share = mode == "idle" ? 1 - (0.33 * load) : busy;
                text.Sample("node_cpu_seconds_total", Counter(now, share, seed
                    + cpu, mode == "idle" ? 0.05 : 0.4), ("cpu", Number(cpu)), ("mode", mode));
            }
        }

        const double memory = 16.0 * (1L << 30);
        text.Family("node_memory_MemTotal_bytes", "gauge", "Memory information field MemTotal_bytes.");
        text.Sample("node_memory_MemTotal_bytes", memory);
        text.Family("node_memory_MemAvailable_bytes", "gauge", "Memory information field MemAvailable_bytes.");
        text.Sample("node_memory_MemAvailable_bytes", Math.Round(memory * Gauge(now, 0.45, 0.15, 1800, seed)));
        text.Family("node_load1", "gauge", "1m load average.");
        text.Sample("node_load1", Math.Round(Gauge(now, 1.2 * load, 0.8, 300, seed), 2));
        text.Family("node_filesystem_size_bytes", "gauge", "Filesystem size in bytes.");
        text.Family("node_filesystem_avail_bytes", "gauge", "Filesystem space available to non-root users in bytes.");
        foreach (var (mount, size) in (ReadOnlySpan<(string, double)>)[("/", 100e9), ("/var/lib/data", 500e9)])
        {
            text.Sample("node_filesystem_size_bytes", size, ("mountpoint", mount), ("fstype", "ext4"));
            text.Sample("node_filesystem_avail_bytes", Math.Round(
                size * Gauge(now, 0.5, 0.2, 86_400, seed)), ("mountpoint", mount), ("fstype", "ext4"));
        }

        foreach (var direction in (string[])["receive", "transmit"])
        {
            var metric = $"node_network_{direction}_bytes_total";
            text.Family(metric, "counter", $"Network device statistic {direction}_bytes.");
            text.Sample(metric, Math.Floor(Counter(now, 2.5e6 * load, seed + direction.Length, 0.6)), ("device", "eth0"));
        }

        text.Family("node_boot_time_seconds", "gauge", "Node boot time, in unixtime.");
        text.Sample("node_boot_time_seconds", 1_750_000_000 + (seed % 1_000_000));
    }

    void KubeState(Exposition text, double now)
    {
        text.Family("kube_node_status_condition", "gauge", "The condition of a cluster node.");
        for (var node = 1; node <= nodes; node++)
        {
            text.Sample("kube_node_status_condition", 1, ("node", NodeName(node)), ("condition", "Ready"), ("status", "true"));
        }

        text.Family("kube_pod_status_phase", "gauge", "The pods current phase.");
        text.Family("kube_pod_container_status_restarts_total", "counter", "The number of container restarts per container.");
        text.Family("kube_deployment_spec_replicas", "gauge", "Number of desired pods for a deployment.");
        text.Family("kube_deployment_status_replicas_available", "gauge", "The number of available replicas per deployment.");
        foreach (var (ns, workload, replicas) in s_workloads)
        {
            text.Sample("kube_deployment_spec_replicas", replicas, ("namespace", ns), ("deployment", workload));
            var missing = Gauge(now, 0, 1, 600, Seed(workload)) > 0.95 ? 1 : 0;
            text.Sample("kube_deployment_status_replicas_available", replicas - missing, ("namespace", ns), ("deployment", workload));
            for (var i = 0; i < replicas; i++)
            {
                var pod = string.Create(CultureInfo.InvariantCulture, $"{workload}-{Seed(name + workload) % 0xffff:x4}-{i}");
                foreach (var phase in (string[])["Running", "Pending", "Failed"])
                {
                    text.Sample("kube_pod_status_phase", phase == (missing > 0 && i == 0 ? "Pending" : "Running")
                        ? 1
                        : 0, ("namespace", ns), ("pod", pod), ("phase", phase));
                }

                text.Sample(
                    "kube_pod_container_status_restarts_total",
                    Math.Floor(now / 7200 % 40), ("namespace", ns), ("pod", pod), ("container", workload));
            }
        }
    }

    void Application(Exposition text, string workload, int seed, double now)
    {
        text.Family("http_requests_total", "counter", "Requests served.");
        foreach (var (handler, rate, _) in s_handlers)
        {
            foreach (var (code, share) in (ReadOnlySpan<(string, double)>)[("200", 0.97), ("404", 0.02), ("500", 0.01)])
            {
                text.Sample("http_requests_total", Math.Floor(
                    Counter(now, rate * load * share, seed + code[0], 0.7)), ("handler", handler), ("code", code));
            }
        }

        text.Family("http_request_duration_seconds", "histogram", "How long requests took.");
        foreach (var (handler, rate, latency) in s_handlers)
        {
            var total = Math.Floor(Counter(now, rate * load, seed, 0.7));
            foreach (var bound in s_bounds)
            {
                text.Sample("http_request_duration_seconds_bucket", Math.Floor(
                    total * (1 - Math.Exp(-bound / latency))), ("handler", handler), ("le", Number(bound)));
            }

            text.Sample("http_request_duration_seconds_bucket", total, ("handler", handler), ("le", "+Inf"));
            text.Sample("http_request_duration_seconds_sum", total * latency, ("handler", handler));
            text.Sample("http_request_duration_seconds_count", total, ("handler", handler));
        }

        text.Family("process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.");
        text.Sample("process_cpu_seconds_total", Counter(now, 0.15 * load, seed, 0.5));
        text.Family("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.");
        text.Sample("process_resident_memory_bytes", Math.Round(Gauge(now, 180e6, 40e6, 1200, seed)));
        text.Family("app_info", "gauge", "What runs.");
        text.Sample("app_info", 1, ("workload", workload), ("version", "1.4.2"));
    }

    /// <summary>The integral of a rate that swings around its mean within an hour: never falls, since the swing stays below 1.</summary>
    static double Counter(double now, double rate, int seed, double swing)
    {
        const double start = 1_700_000_000;
        var period = 600 + (seed % 7 * 300);
        var phase = seed % 360 * Math.PI / 180;
        var angular = 2 * Math.PI / period;
        return Math.Round(rate * (now - start - (swing / angular * Math.Cos((angular * (now - start)) + phase)) + (swing / angular)), 3);
    }

    static double Gauge(double now, double mean, double swing, double period, int seed) =>
        mean + (swing * Math.Sin((2 * Math.PI * now / period) + (seed % 360 * Math.PI / 180)));

    int Seed(string text)
    {
        var hash = 17;
        foreach (var c in name + text)
        {
            hash = ((hash * 31) + c) & 0xffffff;
        }

        return hash;
    }

    static string Number(double value) => value.ToString(CultureInfo.InvariantCulture);

    sealed class Exposition
    {
        readonly Dictionary<string, (string Type, string Help, StringBuilder Samples)> _families = [];

        public void Family(string family, string type, string help) => _families.TryAdd(family, (type, help, new StringBuilder()));

        public void Sample(string metric, double value, params ReadOnlySpan<(string Name, string Value)> labels)
        {
            var family = _families.ContainsKey(metric) ? metric : metric[..metric.LastIndexOf('_')];
            var text = _families[family].Samples.Append(metric);
            for (var i = 0; i < labels.Length; i++)
            {
                text.Append(i == 0 ? '{' : ',').Append(labels[i].Name).Append("=\"").Append(labels[i].Value).Append('"');
            }

            text.Append(labels.Length > 0 ? "} " : " ").Append(Number(value)).Append('\n');
        }

        public override string ToString()
        {
            var text = new StringBuilder();
            foreach (var (family, (type, help, samples)) in _families)
            {
                text.Append("# HELP ").Append(family)
                    .Append(' ').Append(help).Append("\n# TYPE ").Append(family).Append(' ').Append(type).Append('\n').Append(samples);
            }

            return text.ToString();
        }
    }
}
