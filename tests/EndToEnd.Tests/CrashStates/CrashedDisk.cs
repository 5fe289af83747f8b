namespace Observe.EndToEnd.Tests.CrashStates;

/// <summary>
/// What a disk may hold after power went in the middle of a log: all that was synced; of what was written since, any of its blocks; of the
/// entries of folders since, any as long as each name's come in order.
/// </summary>
sealed class CrashedDisk(IReadOnlyList<DiskOperation> operations, int end, Random random)
{
    const int BlockSize = 4_096;

    readonly Dictionary<int, Dictionary<string, int>> _folders = new() { [0] = [] };
    readonly Dictionary<int, byte[]> _files = [];

    /// <summary>Writes one such state into a folder.</summary>
    public void WriteTo(string folder)
    {
        // Some disks lose nothing that was handed to them, some all, most of them something.
        var kept = random.Next(4) switch { 0 => 0.0, 1 => 1.0, _ => random.NextDouble() };
        var synced = Syncs();
        var torn = new HashSet<(int Folder, string Name)>();
        for (var i = 0; i < end; i++)
        {
            var operation = operations[i];
            var isSynced = synced.TryGetValue(operation.Change is DiskChange.Write or DiskChange.Truncate
                ? operation.Node : operation.Change == DiskChange.Rename ? operation.NewFolder : operation.Folder, out var until) && i < until;
            switch (operation.Change)
            {
                case DiskChange.Write:
                    Write(operation, block => isSynced || random.NextDouble() < kept);
                    break;
                case DiskChange.Truncate when isSynced || random.NextDouble() < kept:
                    var content = _files.GetValueOrDefault(operation.Node, []);
                    Array.Resize(ref content, (int)operation.Offset);
                    _files[operation.Node] = content;
                    break;
                case DiskChange.Create or DiskChange.Rename or DiskChange.Remove:
                    if (isSynced || (random.NextDouble() < kept && !torn.Contains((operation.Folder, operation.Name))))
                    {
                        Enter(operation);
                    }
                    else
                    {
                        torn.Add((operation.Folder, operation.Name));
                        torn.Add((operation.NewFolder, operation.NewName));
                    }

                    break;
            }
        }

        Save(0, folder);
    }

    /// <summary>For each file and folder: what ended before this place has come to the disk.</summary>
    Dictionary<int, int> Syncs()
    {
        var synced = new Dictionary<int, int>();
        for (var i = 0; i < end; i++)
        {
            if (operations[i] is { Change: DiskChange.Sync } sync)
            {
                synced[sync.Node] = Math.Max(synced.GetValueOrDefault(sync.Node), sync.Began);
            }
        }

        return synced;
    }

    void Write(DiskOperation write, Func<long, bool> isKept)
    {
        var content = _files.GetValueOrDefault(write.Node, []);
        for (var at = 0; at < write.Data.Length;)
        {
            var offset = write.Offset + at;
            var length = (int)Math.Min(write.Data.Length - at, BlockSize - (offset % BlockSize));
            if (isKept(offset / BlockSize))
            {
                if (content.Length < offset + length)
                {
                    Array.Resize(ref content, (int)offset + length);
                }

                write.Data.AsSpan(at, length).CopyTo(content.AsSpan((int)offset));
            }

            at += length;
        }

        _files[write.Node] = content;
    }

    void Enter(DiskOperation operation)
    {
        var folder = Entries(operation.Folder);
        switch (operation.Change)
        {
            case DiskChange.Create:
                folder[operation.Name] = operation.Node;
                if (operation.IsFolder)
                {
                    _folders.TryAdd(operation.Node, []);
                }

                break;
            case DiskChange.Remove:
                folder.Remove(operation.Name);
                break;
            case DiskChange.Rename when folder.Remove(operation.Name):
                Entries(operation.NewFolder)[operation.NewName] = operation.Node;
                break;
        }
    }

    Dictionary<string, int> Entries(int folder) => _folders.TryGetValue(folder, out var entries) ? entries : _folders[folder] = [];

    void Save(int node, string path)
    {
        Directory.CreateDirectory(path);
        foreach (var (name, entry) in Entries(node))
        {
            if (_folders.ContainsKey(entry))
            {
                Save(entry, Path.Combine(path, name));
            }
            else
            {
                File.WriteAllBytes(Path.Combine(path, name), _files.GetValueOrDefault(entry, []));
            }
        }
    }
}
