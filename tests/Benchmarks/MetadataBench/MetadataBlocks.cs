using System.Globalization;
using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;

namespace Observe.Benchmarks.MetadataBench;

/// <summary>
/// Two blocks of two hours with as many series as are wanted, made once: <c>prometheus</c>, a data folder, and <c>bucket</c>, the same
/// blocks with <c>replica="a"</c> as their external label, which Observe takes off again as it deduplicates. Three clusters of pods with
/// containers, nodes and latency histograms; a tenth of the pods of the second block are others. A series has two samples a block.
/// </summary>
sealed class MetadataBlocks(string folder, int series)
{
    /// <summary>2025-06-01T00:00:00Z.</summary>
    public const long StartMs = 1_748_736_000_000;

    public const long WindowMs = 7_200_000;

    const int BlockCount = 2;
    const int PodsOfNode = 25;
    const int Namespaces = 40;

    static readonly string[] s_containerMetrics =
    [
        "cpu_usage_seconds_total", "cpu_system_seconds_total", "cpu_user_seconds_total", "cpu_cfs_periods_total", "cpu_cfs_throttled_periods_total",
        "memory_working_set_bytes", "memory_rss", "memory_cache", "memory_usage_bytes", "memory_swap", "memory_failcnt", "memory_mapped_file",
        "fs_reads_total", "fs_writes_total", "fs_reads_bytes_total", "fs_writes_bytes_total", "fs_usage_bytes", "processes", "threads", "sockets",
        "file_descriptors", "last_seen", "start_time_seconds", "oom_events_total", "spec_memory_limit_bytes",
    ];

    static readonly string[] s_podMetrics =
        ["info", "owner", "status_phase", "status_ready", "start_time", "created", "container_status_restarts_total", "labels"];

    static readonly string[] s_nodeMetrics =
    [
        "load1", "load5", "load15", "memory_MemTotal_bytes", "memory_MemAvailable_bytes", "memory_MemFree_bytes", "boot_time_seconds", "context_switches_total",
        "intr_total", "forks_total", "procs_running", "procs_blocked", "filefd_allocated", "uname_info", "time_seconds", "vmstat_pgfault",
    ];

    static readonly string[] s_modes = ["idle", "user", "system", "iowait", "irq", "softirq", "nice", "steal"];

    static readonly string[] s_bounds = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"];

    public string Prometheus => Path.Combine(folder, "prometheus");

    public string Bucket => Path.Combine(folder, "bucket");

    public string ObjstoreConfig => $"{{type: FILESYSTEM, config: {{directory: \"{Bucket}\"}}}}";

    public async Task MakeAsync()
    {
        var done = Path.Combine(folder, "done");
        if (!File.Exists(done))
        {
            if (Directory.Exists(folder))
            {
                Directory.Delete(folder, recursive: true);
            }

            Directory.CreateDirectory(Prometheus);
            await using var bucket = new FileBucket(Bucket, TimeProvider.System);
            var blocks = new BucketBlocks(bucket);
            var (random, written) = (new Random(1), 0L);
            for (var number = 0; number < BlockCount; number++)
            {
                var start = StartMs + (number * WindowMs);
                var id = BlockId.New(DateTimeOffset.FromUnixTimeMilliseconds(start + WindowMs), random);
                written += Write(Prometheus, id, number, start, replica: null);
                var upload = Path.Combine(folder, "upload");
                Write(upload, id, number, start, replica: "a");
                await blocks.UploadAsync(Path.Combine(upload, id.ToString()), TimeProvider.System.GetUtcNow(), default);
                Directory.Delete(upload, recursive: true);
            }

            await File.WriteAllTextAsync(
                done, string.Create(CultureInfo.InvariantCulture, $"{written / BlockCount} series in each of {BlockCount} blocks"));
        }

        await Console.Out.WriteLineAsync($"data: {folder}, {await File.ReadAllTextAsync(done)}");
    }

    long Write(string parent, BlockId id, int number, long start, string? replica)
    {
        var all = Series(number);
        all.Sort();
        var samples = new XorAppender(new byte[64]);
        samples.Append(start, 1);
        samples.Append(start + WindowMs - 15_000, 2);
        Chunk[] chunks = [new Chunk(start, start + WindowMs - 15_000, ChunkEncoding.Xor, samples.Written.ToArray())];
        using var writer = BlockWriter.Create(parent, id);
        foreach (var labels in all)
        {
            writer.Add(labels, chunks);
        }

        writer.Finish(new BlockMeta
        {
            Id = id,
            MinTime = start,
            MaxTime = start + WindowMs,
            Thanos = replica is null ? null : new ThanosSection { Labels = new Dictionary<string, string> { ["replica"] = replica } },
        });
        return all.Count;
    }

    List<Labels> Series(int number)
    {
        var all = new List<Labels>(series);
        for (var pod = 0; all.Count < series; pod++)
        {
            var cluster = ((string[])["dev", "staging", "prod"])[pod % 3];
            var node = $"{cluster}-node-{pod / 3 / PodsOfNode:D3}";
            if (pod / 3 % PodsOfNode == 0)
            {
                AddNode(all, cluster, node);
            }

            // Of ten pods one is another in each block.
            var name = $"app-{pod % 97:D2}-{pod:x4}{(pod % 10 == 9 ? number : 0)}";
            AddPod(all, cluster, node, $"ns-{pod / 3 % Namespaces:D2}", name);
        }

        return all;
    }

    static void AddNode(List<Labels> all, string cluster, string node)
    {
        foreach (var metric in s_nodeMetrics)
        {
            all.Add(Labels.Of(("__name__", $"node_{metric}"), ("cluster", cluster), ("instance", node), ("job", "node-exporter")));
        }

        for (var cpu = 0; cpu < 8; cpu++)
        {
            foreach (var mode in s_modes)
            {
                all.Add(Labels.Of(
                    ("__name__", "node_cpu_seconds_total"), ("cluster", cluster), ("cpu", cpu.ToString(CultureInfo.InvariantCulture)),
                    ("instance", node), ("job", "node-exporter"), ("mode", mode)));
            }
        }
    }

    static void AddPod(List<Labels> all, string cluster, string node, string @namespace, string pod)
    {
        foreach (var container in (string[])["main", "proxy"])
        {
            foreach (var metric in s_containerMetrics)
            {
                all.Add(Labels.Of(
                    ("__name__", $"container_{metric}"), ("cluster", cluster), ("container", container), ("image", $"registry/{pod[..6]}:1.{pod.Length}"),
                    ("instance", node), ("job", "kubelet"), ("namespace", @namespace), ("pod", pod)));
            }
        }

        foreach (var metric in s_podMetrics)
        {
            all.Add(Labels.Of(
                ("__name__", $"kube_pod_{metric}"), ("cluster", cluster), ("job", "kube-state-metrics"), ("namespace", @namespace), ("node", node), ("pod", pod)));
        }

        foreach (var handler in (string[])["/api/items", "/api/orders"])
        {
            (string, string)[] own =
                [("cluster", cluster), ("handler", handler), ("instance", $"{pod}:8080"), ("job", "app"), ("namespace", @namespace), ("pod", pod)];
            foreach (var bound in s_bounds)
            {
                all.Add(Labels.Of([("__name__", "http_request_duration_seconds_bucket"), .. own, ("le", bound)]));
            }

            all.Add(Labels.Of([("__name__", "http_request_duration_seconds_sum"), .. own]));
            all.Add(Labels.Of([("__name__", "http_request_duration_seconds_count"), .. own]));
        }
    }
}
