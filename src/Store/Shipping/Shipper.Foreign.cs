using Microsoft.Extensions.Logging;
using Observe.Tsdb.Blocks;

namespace Observe.Store.Shipping;

/// <summary>
/// A data folder whose owner joins blocks and deletes old ones by itself: what was shipped in parts is not shipped again as a whole, and what
/// was gone before it was shipped is named.
/// </summary>
public sealed partial class Shipper
{
    /// <summary>Blocks that waited for the bucket at the last pass.</summary>
    Dictionary<BlockId, BlockMeta> _waiting = [];

    /// <summary>Whether a block is not to be uploaded since its samples are in the bucket, or will be by the blocks that it was made of.</summary>
    /// <param name="shipped">The block as one that is in the bucket, where all of it is known to be.</param>
    bool IsRepeat(OutboxBlock block, List<OutboxBlock> blocks, out OutboxBlock? shipped)
    {
        shipped = null;
        if (_options.StateDirectory is null || block.Shipped is not null)
        {
            return false;
        }

        var sources = _outbox.Sources(block).ToList();
        if (sources.Count == 0)
        {
            return false;
        }

        if (sources.TrueForAll(source => source?.Shipped is not null))
        {
            shipped = _outbox.Set(block, block.Entry! with { Shipped = sources.Max(source => source!.Shipped) });
            _waiting.Remove(block.Meta.Id);
            return true;
        }

        var all = block.Meta.Sources.ToHashSet();
        return blocks.Exists(part => part.Meta.Sources.Count < all.Count && part.Shipped is null
            && !_damaged.ContainsKey(part.Folder) && part.Meta.Sources.All(all.Contains) && Directory.Exists(part.Folder));
    }

    /// <summary>Names the blocks that are gone, and whose samples are in no other block of the folder.</summary>
    void NoteGone(List<OutboxBlock> blocks)
    {
        if (_options.StateDirectory is null)
        {
            return;
        }

        var here = blocks.SelectMany(block => block.Meta.Sources).ToHashSet();
        foreach (var gone in _waiting.Values.Where(meta => !meta.Sources.All(here.Contains)))
        {
            _shed++;
            _options.Metrics.ShedBlocks.Inc();
            _options.Metrics.ShedSamples.Inc(gone.Stats.Samples);
            _outbox.Lose(gone.Id, gone.Range, "deleted by its owner before it was in the bucket", _options.Time.GetUtcNow());
            LogGone(_options.Logger, gone.Id, gone.MinTime, gone.MaxTime, gone.Stats.Samples);
        }

        _waiting = blocks.Where(block => block.Shipped is null).ToDictionary(block => block.Meta.Id, block => block.Meta);
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "block is lost, its owner deleted it before it was in the bucket: {Block}, {MinTime} to {MaxTime}, {Samples} samples")]
    private static partial void LogGone(ILogger logger, BlockId block, long minTime, long maxTime, long samples);
}
