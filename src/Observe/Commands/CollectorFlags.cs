using System.CommandLine;
using System.Text.RegularExpressions;
using Observe.Collector.Config;
using Observe.Hosting;
using Observe.Store.Fleet;
using Observe.Store.Yaml;
using Observe.Tsdb.Bytes;

namespace Observe.Commands;

/// <summary>The flags of a collector; its HTTP address and data folder also go by Prometheus's names.</summary>
sealed partial class CollectorFlags(string defaultFolder)
{
    public Option<string> ConfigFile { get; } = Flags.Text("--config.file", "what to scrape, in Prometheus's form");

    public Option<bool> ExpandEnvironment { get; } = Flags.Switch(
        "--config.expand-env", "replace $(NAME) in the configuration by environment variables");

    public Option<string> DataFolder { get; } = Flags.Text(
        "--data-dir", $"where WAL and blocks lie (default {defaultFolder})", defaultFolder, "--storage.tsdb.path");

    public Option<string> Name { get; } = Flags.Text(
        "--collector.name", "tells the collectors of a cluster apart (default: the machine's name)");

    public Option<string> ClusterUid { get; } = Flags.Text(
        "--cluster.uid",
        "what this cluster is, whatever its labels say, to find configurations copied to another one (default: the UID of namespace "
        + "kube-system, or the machine); collectors on several machines that are one cluster get the same");

    public Option<bool> RefuseForeign { get; } = Flags.Switch(
        "--cluster.refuse-foreign", "ship nothing while another cluster writes under the same external labels");

    public Option<TimeSpan> BlockRange { get; } = Flags.Span("--storage.tsdb.min-block-duration", "span of a block", "2h");

    public Option<TimeSpan> Retention { get; } = Flags.Span(
        "--storage.tsdb.retention.time", "how long shipped blocks stay here for queries", "6h");

    public Option<long?> SizeLimit { get; } = Flags.Size(
        "--storage.size-limit",
        "disk that blocks may take while the bucket is out of reach; 0 for no limit (default: four fifths of what they have and what is free)");

    public Option<long> SnapshotBytes { get; } = Flags.Size(
        "--storage.snapshot-after",
        "write-ahead log since the last snapshot of the head after which another is written, so that a start need not read more; 0: none is",
        "64MB");

    public Option<long> UploadRate { get; } = Flags.Size(
        "--shipping.max-rate", "bytes a second that uploads of blocks take on average, one after another; 0 for no limit", "0B");

    public Option<long> SeriesLimit { get; } = Flags.Long(
        "--storage.series-limit",
        "series in memory beyond which scrapes bring no new ones; 0 for no limit (default: one for each 2 KiB of memory that there is)",
        GC.GetGCMemoryInfo().TotalAvailableMemoryBytes >> 11);

    public Option<long?> BodyMemory { get; } = Flags.Size(
        "--scrape.memory-limit",
        "memory for the bodies of all targets that are scraped at once (default: an eighth of the memory that there is, 128MB to 2GB)");

    public Option<TimeSpan> WalSync { get; } = Flags.Span(
        "--wal.sync-interval", "samples are safe from a power cut after this; 0 syncs each scrape", "1s");

    public Option<TimeSpan> LiveInterval { get; } = Flags.Span(
        "--live.interval", "how soon samples can be queried through the bucket: one small object each time; 0 turns it off", "15s");

    public void AddTo(Command command)
    {
        foreach (var option in (Option[])
        [
            ConfigFile, ExpandEnvironment, DataFolder, Name, ClusterUid, RefuseForeign, BlockRange, Retention, SizeLimit, SnapshotBytes,
            UploadRate, SeriesLimit, BodyMemory, WalSync, LiveInterval,
        ])
        {
            command.Options.Add(option);
        }
    }

    /// <exception cref="FlagException">No collector can have that name.</exception>
    public string NameOf(ParseResult flags) =>
        (flags.GetValue(Name) ?? Environment.MachineName) is var name && FleetName.IsValid(name)
            ? name
            : throw new FlagException($"--collector.name: {GoText.Quote(name)} can't name a collector: {FleetName.Rule}");

    /// <summary>The options of a collector on a folder, whose store API is not served.</summary>
    public CollectorOptions Options(ParseResult flags, RoleHost host, string folder) => new()
    {
        Load = () => Load(flags),
        Folder = folder,
        Name = NameOf(flags),
        FindClusterUid = flags.GetValue(ClusterUid) is { Length: > 0 } uid ? _ => Task.FromResult<string?>(uid) : Hosting.ClusterUid.FindAsync,
        RefuseForeign = flags.GetValue(RefuseForeign),
        BlockRange = flags.GetValue(BlockRange),
        WalSync = flags.GetValue(WalSync),
        LiveInterval = flags.GetValue(LiveInterval),
        Retention = flags.GetValue(Retention),
        SizeLimit = flags.GetValue(SizeLimit),
        SnapshotBytes = flags.GetValue(SnapshotBytes),
        UploadBytesPerSecond = flags.GetValue(UploadRate),
        SeriesLimit = flags.GetValue(SeriesLimit),
        BodyMemory = flags.GetValue(BodyMemory) ?? CollectorOptions.DefaultBodyMemory,
        Registry = host.Registry,
    };

    /// <exception cref="ConfigException">All faults of the file.</exception>
    public CollectorConfig Load(ParseResult flags)
    {
        var path = flags.GetValue(ConfigFile) ?? throw new FlagException("--config.file is missing");
        return Load(Flags.ReadableFile(ConfigFile.Name, path), flags.GetValue(ExpandEnvironment));
    }

    /// <exception cref="ConfigException">All faults of the file.</exception>
    /// <exception cref="FlagException">An environment variable that the file names is not set.</exception>
    public static CollectorConfig Load(string path, bool expandEnvironment) =>
        CollectorConfig.Load(path, expand: expandEnvironment ? text => Expand(text, path) : null);

    static string Expand(string text, string path)
    {
        var missing = new SortedSet<string>(StringComparer.Ordinal);
        var expanded = Variable().Replace(text, match =>
        {
            var name = match.Groups["name"].Value;
            if (Environment.GetEnvironmentVariable(name) is { } value)
            {
                return value;
            }

            missing.Add(name);
            return "";
        });
        return missing.Count == 0
            ? expanded
            : throw new FlagException($"--config.expand-env: {path}: there is no environment variable {string.Join(", ", missing)}");
    }

    [GeneratedRegex(@"\$\((?<name>[A-Za-z_][A-Za-z0-9_]*)\)")]
    private static partial Regex Variable();
}
