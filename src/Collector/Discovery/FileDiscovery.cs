using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using Observe.Collector.Config;

using Observe.Store.Yaml;
namespace Observe.Collector.Discovery;

/// <summary>
/// Targets from files, read again when a file in their folders changes and at each refresh interval. A file that cannot be read keeps
/// the groups it had; a file that is gone takes its groups with it.
/// </summary>
sealed partial class FileDiscovery(FileDiscoveryConfig config, TimeProvider time, DiscoveryMetrics metrics, ILogger logger) : IDiscovery
{
    // Editors and kubelets write in several steps: what follows within this time is one change.
    static readonly TimeSpan s_settle = TimeSpan.FromMilliseconds(100);

    /// <summary>By file, the groups it had when it was last read well.</summary>
    readonly Dictionary<string, IReadOnlyList<TargetGroup>> _known = [];

    public async Task RunAsync(Func<IReadOnlyList<TargetGroup>, ValueTask> found, CancellationToken cancellationToken)
    {
        var changes = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
        using var watches = Watch(changes.Writer);
        await found(Refresh());
        while (true)
        {
            using var timer = time.CreateTimer(_ => changes.Writer.TryWrite(true), null, config.RefreshInterval, Timeout.InfiniteTimeSpan);
            await changes.Reader.ReadAsync(cancellationToken);
            await Task.Delay(s_settle, time, cancellationToken);
            changes.Reader.TryRead(out _);
            var changed = Refresh();
            if (changed.Count > 0)
            {
                await found(changed);
            }
        }
    }

    /// <summary>Reads all files; returns the groups that differ from before, those that are gone without targets.</summary>
    internal IReadOnlyList<TargetGroup> Refresh()
    {
        var changed = new List<TargetGroup>();
        var paths = config.Files.SelectMany(FileGlob.Find).Distinct().ToList();
        foreach (var path in paths)
        {
            try
            {
                var groups = TargetFile.Read(path);
                metrics.FileTime.WithLabels(path).Set(new DateTimeOffset(File.GetLastWriteTimeUtc(path)).ToUnixTimeMilliseconds() / 1000.0);
                Replace(path, groups, changed);
            }
            catch (Exception e) when (e is ConfigException or IOException or UnauthorizedAccessException)
            {
                metrics.FileReadErrors.Inc();
                LogUnreadable(logger, path, e.Message);
            }
        }

        foreach (var path in _known.Keys.Except(paths).ToList())
        {
            Replace(path, [], changed);
            _known.Remove(path);
            metrics.FileTime.RemoveLabelled(path);
        }

        return changed;
    }

    void Replace(string path, IReadOnlyList<TargetGroup> groups, List<TargetGroup> changed)
    {
        var before = _known.GetValueOrDefault(path) ?? [];
        for (var i = 0; i < Math.Max(groups.Count, before.Count); i++)
        {
            if (i >= groups.Count)
            {
                changed.Add(before[i] with { Targets = [] });
            }
            else if (i >= before.Count || before[i].Labels != groups[i].Labels || !before[i].Targets.SequenceEqual(groups[i].Targets))
            {
                changed.Add(groups[i]);
            }
        }

        _known[path] = groups;
    }

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
            catch (Exception e) when (e is IOException or ArgumentException)
            {
                LogUnwatched(logger, folder, config.RefreshInterval, e.Message);
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

    [LoggerMessage(Level = LogLevel.Error, Message = "target file cannot be used, its last good state stays: {Path}: {Reason}")]
    static partial void LogUnreadable(ILogger logger, string path, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "folder cannot be watched, its target files are read every {Interval} only: {Folder}: {Reason}")]
    static partial void LogUnwatched(ILogger logger, string folder, TimeSpan interval, string reason);
}
