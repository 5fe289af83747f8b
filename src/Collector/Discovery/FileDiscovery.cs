using System.Diagnostics.CodeAnalysis;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using Observe.Collector.Config;

namespace Observe.Collector.Discovery;

/// <summary>
/// Targets from files, read again when a file in their folders changes and at each refresh interval. The groups of a file that cannot be
/// read stay as they were; those of a file that was deleted are dropped.
/// </summary>
sealed partial class FileDiscovery(FileDiscoveryConfig config, TimeProvider time, DiscoveryMetrics metrics, ILogger logger) : IDiscovery
{
    // Editors and kubelets write in several steps: events within this time of one another are one change.
    static readonly TimeSpan s_settle = TimeSpan.FromMilliseconds(100);

    // No timer waits longer than 49 days.
    static readonly TimeSpan s_longestRefresh = TimeSpan.FromDays(1);

    /// <summary>For each file, the groups that it had when it was last read without an error.</summary>
    readonly Dictionary<string, IReadOnlyList<TargetGroup>> _known = [];

    IReadOnlyList<TargetGroup>? _all;

    public async Task RunAsync(Action<IReadOnlyList<TargetGroup>> found, CancellationToken cancellationToken)
    {
        var changes = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
        using var watches = Watch(changes.Writer);
        Refresh();
        found(_all);
        var refresh = config.RefreshInterval < s_longestRefresh ? config.RefreshInterval : s_longestRefresh;
        while (true)
        {
            using var timer = time.CreateTimer(_ => changes.Writer.TryWrite(true), null, refresh, Timeout.InfiniteTimeSpan);
            await changes.Reader.ReadAsync(cancellationToken);
            await Task.Delay(s_settle, time, cancellationToken);
            changes.Reader.TryRead(out _);
            if (Refresh())
            {
                found(_all);
            }
        }
    }

    /// <summary>All groups as of the last refresh.</summary>
    internal IReadOnlyList<TargetGroup> Groups => _all ?? [];

    /// <summary>Reads all files; false when the groups are those of the last read.</summary>
    [MemberNotNull(nameof(_all))]
    internal bool Refresh()
    {
        var paths = config.Files.SelectMany(FileGlob.Find).Distinct().ToList();
        foreach (var path in paths)
        {
            try
            {
                _known[path] = TargetFile.Read(path);
                metrics.FileTime.WithLabels(path).Set(new DateTimeOffset(File.GetLastWriteTimeUtc(path)).ToUnixTimeMilliseconds() / 1000.0);
            }
            catch (Exception e)
            {
                metrics.FileReadErrors.Inc();
                LogUnreadable(logger, path, e);
            }
        }

        foreach (var path in _known.Keys.Except(paths).ToList())
        {
            _known.Remove(path);
            metrics.FileTime.RemoveLabelled(path);
        }

        IReadOnlyList<TargetGroup> all = [.. paths.SelectMany(path => _known.GetValueOrDefault(path) ?? [])];
        if (_all is not null && all.Count == _all.Count && all.Zip(_all).All(pair => Same(pair.First, pair.Second)))
        {
            return false;
        }

        _all = all;
        return true;
    }

    static bool Same(TargetGroup one, TargetGroup other) =>
        one.Source == other.Source && one.Labels == other.Labels && one.Targets.SequenceEqual(other.Targets);

    Watches Watch(ChannelWriter<bool> changes)
    {
        var watches = new Watches();
        foreach (var folder in config.Files.Select(f => Path.GetDirectoryName(Path.GetFullPath(f))!).Distinct().Where(Directory.Exists))
        {
            try
            {
                var watch = new FileSystemWatcher(folder);
                watches.Add(watch);
                watch.Changed += (_, _) => changes.TryWrite(true);
                watch.Created += (_, _) => changes.TryWrite(true);
                watch.Deleted += (_, _) => changes.TryWrite(true);
                watch.Renamed += (_, _) => changes.TryWrite(true);
                watch.EnableRaisingEvents = true;
            }
            catch (Exception e)
            {
                LogUnwatched(logger, folder, config.RefreshInterval, e);
            }
        }

        return watches;
    }

    sealed class Watches : List<FileSystemWatcher>, IDisposable
    {
        public void Dispose()
        {
            foreach (var watch in this)
            {
                watch.Dispose();
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "target file cannot be used, its last good state stays: {Path}")]
    static partial void LogUnreadable(ILogger logger, string path, Exception e);

    [LoggerMessage(Level = LogLevel.Warning, Message = "folder cannot be watched, its target files are read every {Interval} only: {Folder}")]
    static partial void LogUnwatched(ILogger logger, string folder, TimeSpan interval, Exception e);
}
