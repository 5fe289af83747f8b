using System.Runtime.CompilerServices;

namespace Observe.Testkit;

/// <summary>Where the tests find the checkout, the data that others wrote, and the peers' programs.</summary>
public static class Checkout
{
    /// <summary>The folder of Observe.sln.</summary>
    public static string Root { get; } = Above(Source(), "Observe.sln") ?? throw new InvalidOperationException("Observe.sln is nowhere above the tests");

    /// <summary>The folder <c>shared</c> beside the checkout or further up, null where it is absent.</summary>
    public static string? Shared { get; } = Above(Root, Path.Combine("shared", "promqltest")) is { } folder ? Path.Combine(folder, "shared") : null;

    /// <summary>A path in <see cref="Shared"/>; null where it is absent.</summary>
    public static string? SharedPath(params string[] parts)
    {
        if (Shared is null)
        {
            return null;
        }

        var path = Path.Combine([Shared, .. parts]);
        return Path.Exists(path) ? path : null;
    }

    /// <summary>
    /// A peer's program (prometheus, promtool, prometheus-node-exporter, kubectl …) from the folder that PEERS names, else from where
    /// <c>make peers</c> puts them, else from PATH; null where it is absent. Tests ask <see cref="Required"/>.
    /// </summary>
    public static string? Peer(string program)
    {
        var folder = Environment.GetEnvironmentVariable("PEERS");
        if (string.IsNullOrEmpty(folder))
        {
            folder = Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache", "observe-peers", "usr", "bin");
        }

        var path = Path.Combine(folder, program);
        return File.Exists(path) ? path : Program(program);
    }

    /// <summary>A program of PATH; null where it is absent.</summary>
    public static string? Program(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Select(folder => Path.Combine(folder, program)).FirstOrDefault(File.Exists);

    /// <summary>A new empty folder on a real disk, under the checkout's artifacts; tests delete it when they are done.</summary>
    public static string NewFolder(string name)
    {
        var path = Path.Combine(Root, "artifacts", "scratch", $"{name}-{Guid.NewGuid():N}");
        Directory.CreateDirectory(path);
        return path;
    }

    static string? Above(string start, string marker)
    {
        for (var folder = new DirectoryInfo(start); folder is not null; folder = folder.Parent)
        {
            if (Path.Exists(Path.Combine(folder.FullName, marker)))
            {
                return folder.FullName;
            }
        }

        return null;
    }

    static string Source([CallerFilePath] string path = "") => Directory.Exists(Path.GetDirectoryName(path)) ? Path.GetDirectoryName(path)! : AppContext.BaseDirectory;
}
