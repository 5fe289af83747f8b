using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using System.Text.Json.Serialization;
using Observe.Store.Blocks;
using Observe.Store.Fleet;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Store.Shipping;

/// <summary>What the outbox knows of a block: the stream that it was found in, who cut it, and when it was whole in the bucket.</summary>
/// <param name="Labels">External labels.</param>
/// <param name="Origin">Null where another program cut the block.</param>
/// <param name="Shipped">Null before that.</param>
sealed record OutboxEntry(IReadOnlyDictionary<string, string> Labels, BlockOrigin? Origin, DateTimeOffset? Shipped)
{
    /// <summary>Of its samples; null where an older version found the block.</summary>
    public OutboxTimes? Times { get; init; }

    /// <summary>What became of a block that is gone without being in the bucket; null of others.</summary>
    public LostRange? Lost { get; init; }
}

/// <summary>Unix milliseconds, both inclusive.</summary>
sealed record OutboxTimes(long MinTime, long MaxTime);

/// <summary>A block in the data folder.</summary>
/// <param name="Meta">As it lies in the folder; nothing is ever written there.</param>
/// <param name="Bytes">Of all its files.</param>
sealed record OutboxBlock(string Folder, BlockMeta Meta, long Bytes, OutboxEntry? Entry)
{
    public DateTimeOffset? Shipped => Entry?.Shipped;

    /// <summary>The meta that the bucket gets, with the stream's labels and the collector.</summary>
    public BlockMeta Stamped() => Meta with
    {
        Thanos = (Meta.Thanos ?? new ThanosSection()) with
        {
            Version = 1,
            Labels = new SortedDictionary<string, string>(Entry!.Labels.ToDictionary(), StringComparer.Ordinal),
            Source = Meta.Thanos is { Source.Length: > 0 } thanos ? thanos.Source : "sidecar",
            Extensions = Entry.Origin is { } origin ? origin.AddTo(Meta.Thanos?.Extensions) : Meta.Thanos?.Extensions,
        },
    };
}

/// <summary>
/// The blocks of a data folder, which it leaves as they are, and a file with what became of each. Where the file is damaged, all
/// blocks are new again: the bucket then tells which of them it has.
/// </summary>
/// <param name="stateDirectory">Where the file lies; null: beside the blocks. Given, the data folder belongs to another program.</param>
sealed class Outbox(string directory, string? stateDirectory = null)
{
    public const string FileName = "outbox.json";

    /// <summary>Where damaged blocks are kept.</summary>
    public const string DamagedFolder = "damaged";

    /// <summary>Lost blocks that are remembered; the oldest are forgotten first.</summary>
    const int MaxLost = 10_000;

    /// <summary>The suffix of a folder that is being deleted: Prometheus's own, so that Prometheus would delete the folder too.</summary>
    const string DeletionSuffix = ".tmp-for-deletion";

    Dictionary<string, OutboxEntry>? _entries;

    /// <summary>Blocks that those of the folder were made of, and which may be gone.</summary>
    readonly HashSet<string> _sources = [];
    bool _changed;

    string StatePath => Path.Combine(stateDirectory ?? directory, FileName);

    /// <summary>Reads the file, once.</summary>
    /// <returns>Why it is not believed; null when it is, or when there is none.</returns>
    /// <exception cref="IOException">It can't be read at present.</exception>
    public string? Load()
    {
        if (_entries is not null)
        {
            return null;
        }

        string? fault = null;
        OutboxState? state = null;
        try
        {
            state = StateFile.Read(StatePath) is { } json ? JsonSerializer.Deserialize(json, OutboxJson.Default.OutboxState) : null;
        }
        catch (Exception e) when (e is CorruptionException or JsonException)
        {
            (fault, _changed) = (e.Message, true);
        }

        _entries = new(state?.Blocks ?? (fault is null && stateDirectory is not null ? ShippedByThanos() : new Dictionary<string, OutboxEntry>()));
        return fault;
    }

    /// <summary>All blocks, oldest first.</summary>
    /// <param name="damaged">Folders whose meta.json is missing or damaged, with the reason.</param>
    /// <param name="unread">Folders that can't be read at present.</param>
    public List<OutboxBlock> Read(out List<(string Folder, string Fault)> damaged, out List<(string Folder, string Fault)> unread)
    {
        var blocks = new List<OutboxBlock>();
        (damaged, unread) = ([], []);
        _sources.Clear();
        foreach (var folder in Directory.EnumerateDirectories(directory))
        {
            if (folder.EndsWith(DeletionSuffix, StringComparison.Ordinal))
            {
                if (stateDirectory is null)
                {
                    Directory.Delete(folder, recursive: true);
                }
            }
            else if (BlockId.TryParse(Path.GetFileName(folder), out _))
            {
                if (TryRead(folder, out var block, out var fault, out var isDamaged))
                {
                    blocks.Add(block);
                }
                else if (Directory.Exists(folder))
                {
                    (isDamaged ? damaged : unread).Add((folder, fault));
                }
            }
        }

        blocks.Sort((a, b) => (a.Meta.MinTime, a.Meta.Id).CompareTo((b.Meta.MinTime, b.Meta.Id)));
        return blocks;
    }

    /// <summary>What is known of the blocks that a block was made of, whether they are here or gone; null for each that nobody knows.</summary>
    public IEnumerable<OutboxEntry?> Sources(OutboxBlock block) =>
        block.Meta.Sources.Where(id => id != block.Meta.Id).Select(id => _entries!.GetValueOrDefault(id.ToString()));

    /// <summary>Notes that a block is whole in the bucket, and with it those that it was made of.</summary>
    public OutboxBlock SetShipped(OutboxBlock block, DateTimeOffset now)
    {
        var entry = block.Entry! with { Shipped = now, Lost = null };
        foreach (var source in block.Meta.Sources)
        {
            _entries![source.ToString()] = entry;
        }

        return Set(block, entry);
    }

    /// <summary>Notes what is known of a block.</summary>
    public OutboxBlock Set(OutboxBlock block, OutboxEntry entry)
    {
        _entries![block.Meta.Id.ToString()] = entry;
        _changed = true;
        return block with { Entry = entry };
    }

    /// <summary>Notes that a block is gone, or will be in a moment, and that the bucket has not got it. Saved before the block is deleted.</summary>
    public void Lose(BlockId id, TimeRange range, string why, DateTimeOffset now)
    {
        var entries = _entries!;
        var entry = entries.GetValueOrDefault(id.ToString()) ?? new OutboxEntry(new Dictionary<string, string>(), null, null);
        entries[id.ToString()] = entry with { Lost = new LostRange(range.MinTime, range.MaxTime, why, now.ToUnixTimeMilliseconds()) };
        _changed = true;
    }

    /// <summary>What was known of a block when it was whole.</summary>
    public OutboxEntry? Find(BlockId id) => _entries!.GetValueOrDefault(id.ToString());

    /// <summary>What is gone without being in the bucket: neighbours are one.</summary>
    public IReadOnlyList<LostRange> Lost() => LostRange.Join(
        (_entries ?? []).Where(entry => !Directory.Exists(Path.Combine(directory, entry.Key))).Select(entry => entry.Value.Lost).OfType<LostRange>());

    /// <summary>Writes the file if something has changed, and forgets blocks that are gone, were not lost, and that no block was made of.</summary>
    /// <exception cref="IOException">It is as it was.</exception>
    public void Save()
    {
        var entries = _entries!;
        foreach (var (gone, _) in entries.Where(entry =>
            entry.Value.Lost is null && !_sources.Contains(entry.Key) && !Directory.Exists(Path.Combine(directory, entry.Key))).ToList())
        {
            _changed |= entries.Remove(gone);
        }

        foreach (var (oldest, _) in entries.Where(entry => entry.Value.Lost is not null).OrderBy(entry => entry.Value.Lost!.MinTime)
            .SkipLast(MaxLost).ToList())
        {
            _changed |= entries.Remove(oldest);
        }

        if (_changed)
        {
            StateFile.Write(StatePath, JsonSerializer.SerializeToUtf8Bytes(new OutboxState(entries), OutboxJson.Default.OutboxState));
            _changed = false;
        }
    }

    /// <summary>Moves a damaged block out of the way of all who look for blocks. Returns where it is then.</summary>
    public static string SetAside(string folder)
    {
        var aside = Path.Combine(Path.GetDirectoryName(folder)!, DamagedFolder, Path.GetFileName(folder));
        Directory.CreateDirectory(Path.GetDirectoryName(aside)!);
        DurableFile.Rename(folder, aside);
        return aside;
    }

    /// <summary>The damaged blocks that are kept, newest first, with the bytes of each.</summary>
    public List<(string Folder, long Bytes)> Aside() => new DirectoryInfo(Path.Combine(directory, DamagedFolder)) is { Exists: true } aside
        ? [.. aside.EnumerateDirectories().OrderByDescending(folder => folder.Name, StringComparer.Ordinal)
            .Select(folder => (folder.FullName, folder.EnumerateFiles("*", SearchOption.AllDirectories).Sum(file => file.Length)))]
        : [];

    /// <summary>Deletes a block so that a crash leaves it whole or gone.</summary>
    public static void Delete(string folder)
    {
        var doomed = folder + DeletionSuffix;
        DurableFile.Rename(folder, doomed);
        Directory.Delete(doomed, recursive: true);
    }

    /// <summary>What a Thanos sidecar that was here before wrote down beside the blocks that it had shipped.</summary>
    Dictionary<string, OutboxEntry> ShippedByThanos()
    {
        var (shipped, file) = (new Dictionary<string, OutboxEntry>(), new FileInfo(Path.Combine(directory, "thanos.shipper.json")));
        if (file.Exists && file.Length < BlockMeta.MaxSize && JsonSerializer.Deserialize(File.ReadAllBytes(file.FullName), OutboxJson.Default.ThanosShipped)?.Uploaded is { } ids)
        {
            foreach (var id in ids.OfType<string>())
            {
                shipped[id] = new OutboxEntry(new Dictionary<string, string>(), null, new DateTimeOffset(file.LastWriteTimeUtc, TimeSpan.Zero));
            }

            _changed = true;
        }

        return shipped;
    }

    bool TryRead(string folder, [NotNullWhen(true)] out OutboxBlock? block, [NotNullWhen(false)] out string? fault, out bool isDamaged)
    {
        (block, fault, isDamaged) = (null, null, false);
        try
        {
            var meta = BlockMeta.Read(folder);
            _sources.UnionWith(meta.Sources.Select(id => id.ToString()));
            var entry = _entries!.GetValueOrDefault(meta.Id.ToString());
            if (entry is null && meta.Thanos is { Labels.Count: > 0 } thanos)
            {
                // Stamped by whoever cut it.
                entry = new OutboxEntry(thanos.Labels, null, thanos.UploadTime);
            }

            block = new OutboxBlock(
                folder, meta, new DirectoryInfo(folder).EnumerateFiles("*", SearchOption.AllDirectories).Sum(f => f.Length), entry);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException || ResourceExhaustedException.IsCauseOf(e))
        {
            (fault, isDamaged) = (e.Message, e is CorruptionException or FileNotFoundException or DirectoryNotFoundException);
            return false;
        }
    }
}

/// <summary>What <c>outbox.json</c> says.</summary>
/// <param name="Blocks">By id.</param>
sealed record OutboxState(IReadOnlyDictionary<string, OutboxEntry> Blocks);

/// <summary>What <c>thanos.shipper.json</c> says.</summary>
sealed record ThanosShipped([property: JsonPropertyName("uploaded")] IReadOnlyList<string>? Uploaded);

[JsonSerializable(typeof(OutboxState))]
[JsonSerializable(typeof(ThanosShipped))]
sealed partial class OutboxJson : JsonSerializerContext;
