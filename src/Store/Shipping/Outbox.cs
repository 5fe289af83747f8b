using System.Diagnostics.CodeAnalysis;
using System.Text.Json.Nodes;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Store.Shipping;

/// <summary>A block in the data folder.</summary>
/// <param name="Bytes">Of all its files.</param>
sealed record OutboxBlock(string Folder, BlockMeta Meta, long Bytes)
{
    /// <summary>Whether the block's meta has external labels, which the shipper writes into it.</summary>
    public bool IsStamped => Meta.Thanos is { Labels.Count: > 0 };

    /// <summary>When the block was found whole in the bucket; null before that.</summary>
    public DateTimeOffset? Shipped => Meta.Thanos?.UploadTime;
}

/// <summary>
/// The blocks of a data folder. The state of a block stands in its own meta.json and nowhere else: external labels once the shipper has
/// found it, the upload's time once it is in the bucket.
/// </summary>
sealed class Outbox(string directory)
{
    /// <summary>The suffix of a folder that is being deleted: Prometheus's own, so that Prometheus would delete the folder too.</summary>
    const string DeletionSuffix = ".tmp-for-deletion";

    /// <summary>All blocks, oldest first.</summary>
    /// <param name="damaged">Folders whose meta.json can't be read, with the reason.</param>
    public List<OutboxBlock> Read(out List<(string Folder, string Fault)> damaged)
    {
        var blocks = new List<OutboxBlock>();
        damaged = [];
        foreach (var folder in Directory.EnumerateDirectories(directory))
        {
            if (folder.EndsWith(DeletionSuffix, StringComparison.Ordinal))
            {
                Directory.Delete(folder, recursive: true);
            }
            else if (BlockId.TryParse(Path.GetFileName(folder), out _))
            {
                if (TryRead(folder, out var block, out var fault))
                {
                    blocks.Add(block);
                }
                else
                {
                    damaged.Add((folder, fault));
                }
            }
        }

        blocks.Sort((a, b) => (a.Meta.MinTime, a.Meta.Id).CompareTo((b.Meta.MinTime, b.Meta.Id)));
        return blocks;
    }

    /// <summary>Writes external labels and the collector into a block's meta.json.</summary>
    public static OutboxBlock Stamp(OutboxBlock block, Labels external, BlockOrigin origin)
    {
        var extensions = block.Meta.Thanos?.Extensions?.DeepClone().AsObject() ?? [];
        extensions["observe"] = new JsonObject
        {
            ["collector"] = origin.Collector,
            ["version"] = origin.Version,
            ["configHash"] = origin.ConfigHash,
        };
        var labels = new SortedDictionary<string, string>(external.ToDictionary(), StringComparer.Ordinal);
        return Write(block, block.Meta with
        {
            Thanos = (block.Meta.Thanos
                ?? new ThanosSection()) with
            { Version = 1, Labels = labels, Source = "sidecar", Extensions = extensions },
        });
    }

    /// <summary>Replaces a block's meta.json with that in the bucket, which has the upload's time and hashes.</summary>
    public static OutboxBlock Shipped(OutboxBlock block, BlockMeta uploaded) => Write(block, uploaded);

    /// <summary>Deletes a block so that a crash leaves it whole or gone.</summary>
    public static void Delete(OutboxBlock block)
    {
        var doomed = block.Folder + DeletionSuffix;
        DurableFile.Rename(block.Folder, doomed);
        Directory.Delete(doomed, recursive: true);
    }

    static OutboxBlock Write(OutboxBlock block, BlockMeta meta)
    {
        DurableFile.Write(Path.Combine(block.Folder, BlockMeta.FileName), meta.ToJson());
        return block with { Meta = meta };
    }

    static bool TryRead(string folder, [NotNullWhen(true)] out OutboxBlock? block, [NotNullWhen(false)] out string? fault)
    {
        try
        {
            var meta = BlockMeta.Read(folder);
            block = new OutboxBlock(
                folder, meta, new DirectoryInfo(folder).EnumerateFiles("*", SearchOption.AllDirectories).Sum(f => f.Length));
            fault = null;
            return true;
        }
        catch (IOException e)
        {
            (block, fault) = (null, e.Message);
            return false;
        }
    }
}
