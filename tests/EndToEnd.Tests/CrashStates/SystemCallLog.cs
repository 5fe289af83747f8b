using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Observe.EndToEnd.Tests.CrashStates;

/// <summary>What <c>strace -f -ttt -y -xx</c> wrote of a program, as operations on one folder.</summary>
sealed partial class SystemCallLog
{
    public const string Calls = "openat,creat,write,pwrite64,pwritev,pwritev2,writev,ftruncate,fallocate,fsync,fdatasync,sync_file_range,"
        + "rename,renameat,renameat2,link,linkat,symlink,unlink,unlinkat,mkdir,mkdirat,rmdir,copy_file_range,sendfile";

    readonly string _root;
    readonly List<DiskOperation> _operations = [];
    readonly Dictionary<string, int> _nodes = [];
    int _count;

    SystemCallLog(string root)
    {
        _root = root;
        _nodes[""] = 0;
    }

    /// <summary>A place for each call, so that places in the list are the log's.</summary>
    public static List<DiskOperation> Read(string log, string root)
    {
        var calls = new SystemCallLog(root);
        var unfinished = new Dictionary<string, (string Text, int Began)>();
        foreach (var line in File.ReadLines(log, Encoding.Latin1))
        {
            var parts = line.Split(' ', 3, StringSplitOptions.RemoveEmptyEntries);
            var (process, time, text) = (parts[0], double.Parse(parts[1], CultureInfo.InvariantCulture), parts[2]);
            var began = calls._operations.Count;
            if (text.EndsWith("<unfinished ...>", StringComparison.Ordinal))
            {
                unfinished[process] = (text[..^"<unfinished ...>".Length].TrimEnd(), began);
                continue;
            }

            if (Resumed().Match(text) is { Success: true } resumed)
            {
                (var head, began) = unfinished[process];
                text = head + text[resumed.Length..];
            }

            if (Call().Match(text) is { Success: true } call && !call.Groups["result"].Value.StartsWith('-'))
            {
                calls.Add(call.Groups["name"].Value, call.Groups["arguments"].Value, began, time);
            }
        }

        return calls._operations;
    }

    void Add(string call, string arguments, int began, double time)
    {
        var paths = Quoted().Matches(arguments).Select(match => match.Groups["bytes"].Value).ToList();
        var file = Descriptor().Match(arguments) is { Success: true } descriptor ? Path(Text(descriptor.Groups["path"].Value)) : null;
        switch (call)
        {
            case "openat" when Path(Text(paths[0])) is { } path:
                if (arguments.Contains("O_CREAT", StringComparison.Ordinal) && !_nodes.ContainsKey(path))
                {
                    Create(path, began, time, isFolder: false);
                }

                if (arguments.Contains("O_TRUNC", StringComparison.Ordinal))
                {
                    Change(DiskChange.Truncate, path, began, time);
                }

                break;
            case "mkdir" when Path(Text(paths[0])) is { Length: > 0 } path:
                Create(path, began, time, isFolder: true);
                break;
            case "unlink" or "rmdir" when Path(Text(paths[0])) is { } path:
                var (folder, name) = Split(path);
                _operations.Add(new DiskOperation(DiskChange.Remove, began, time, _nodes[path], folder, name));
                _nodes.Remove(path);
                break;
            case "rename" when Path(Text(paths[0])) is { } from && Path(Text(paths[1])) is { } to:
                var (source, target) = (Split(from), Split(to));
                _operations.Add(new DiskOperation(DiskChange.Rename, began, time, _nodes[from], source.Folder, source.Name)
                {
                    NewFolder = target.Folder,
                    NewName = target.Name,
                });
                foreach (var (path, node) in _nodes.Where(n => n.Key == from || n.Key.StartsWith(from + "/", StringComparison.Ordinal)).ToList())
                {
                    _nodes.Remove(path);
                    _nodes[to + path[from.Length..]] = node;
                }

                break;
            case "pwrite64" when file is not null:
                var offset = long.Parse(arguments[(arguments.LastIndexOf(", ", StringComparison.Ordinal) + 2)..], CultureInfo.InvariantCulture);
                Change(DiskChange.Write, file, began, time, offset, Bytes(paths[0]));
                break;
            case "ftruncate" when file is not null:
                Change(
                    DiskChange.Truncate, file, began, time, long.Parse(arguments[(arguments.LastIndexOf(", ", StringComparison.Ordinal) + 2)..], CultureInfo.InvariantCulture));
                break;
            case "fsync" or "fdatasync" when file is not null:
                Change(DiskChange.Sync, file, began, time);
                break;
            case "mkdir":
                break; // Of folders outside, or of the folder itself, which is there.
            default:
                if (file is not null || paths.Any(path => path.Length < 20_000 && Path(Text(path)) is not null))
                {
                    throw new NotSupportedException($"{call}({arguments[..Math.Min(300, arguments.Length)]}) is not understood");
                }

                break;
        }
    }

    void Create(string path, int began, double time, bool isFolder)
    {
        var (folder, name) = Split(path);
        _nodes[path] = ++_count;
        _operations.Add(new DiskOperation(DiskChange.Create, began, time, _count, folder, name) { IsFolder = isFolder });
    }

    void Change(DiskChange change, string path, int began, double time, long offset = 0, byte[]? data = null)
    {
        if (_nodes.TryGetValue(path, out var node))
        {
            _operations.Add(new DiskOperation(change, began, time, node) { Offset = offset, Data = data ?? [] });
        }
    }

    (int Folder, string Name) Split(string path)
    {
        var slash = path.LastIndexOf('/');
        return (_nodes[slash < 0 ? "" : path[..slash]], path[(slash + 1)..]);
    }

    /// <summary>Relative to the folder; null outside of it.</summary>
    string? Path(string path) => path == _root ? "" : path.StartsWith(_root + "/", StringComparison.Ordinal) ? path[(_root.Length + 1)..] : null;

    static string Text(string hexadecimal) => Encoding.UTF8.GetString(Bytes(hexadecimal));

    static byte[] Bytes(string hexadecimal) => Convert.FromHexString(hexadecimal.Replace("\\x", "", StringComparison.Ordinal));

    [GeneratedRegex(@"^<\.\.\. \w+ resumed>")]
    private static partial Regex Resumed();

    [GeneratedRegex(@"^(?<name>\w+)\((?<arguments>.*)\)\s+= (?<result>\S+)", RegexOptions.Singleline)]
    private static partial Regex Call();

    [GeneratedRegex("\"(?<bytes>[^\"]*)\"")]
    private static partial Regex Quoted();

    [GeneratedRegex(@"^\d+<(?<path>[^>]*)>")]
    private static partial Regex Descriptor();
}
