using Observe.Store.Blocks;
using Observe.Tsdb.Blocks;

namespace Observe.Store.Compact;

/// <summary>A block whose last sample is older than its resolution is kept.</summary>
/// <param name="Successors">
/// The coarser blocks that have all that is in it; none where no coarser block is wanted; null while they are not there.
/// </param>
readonly record struct PastBlock(BlockMeta Block, IReadOnlyList<BlockMeta>? Successors);

/// <summary>
/// What becomes of blocks as they age: coarser blocks are made of them, and they may go when their time has come and those are there. Pure.
/// </summary>
/// <param name="blocks">Those that are not marked for deletion.</param>
sealed class Retention(IReadOnlyCollection<BlockMeta> blocks, CompactOptions options, DateTimeOffset now)
{
    readonly ILookup<(StreamKey Stream, BlockId Source), BlockMeta> _downsampled = blocks.Where(meta => meta.ResolutionMs > 0)
        .SelectMany(meta => meta.Sources.Select(source => (Key: (StreamKey.Of(meta, options.ReplicaLabels), source), Block: meta)))
        .ToLookup(pair => pair.Key, pair => pair.Block);

    public IReadOnlyList<PastBlock> Past() => [.. blocks.Where(meta => IsPast(meta, meta.ResolutionMs))
        .OrderBy(meta => meta.Id).Select(meta => new PastBlock(meta, Successors(meta, meta.ResolutionMs)))];

    /// <summary>
    /// Blocks of the next finer resolution of which no block of this one was made, or not of all their sources: those that are long enough,
    /// and those that are to go, however short they are. Not those whose coarser block would have to go at once.
    /// </summary>
    public IReadOnlyList<BlockMeta> ToDownsample(long resolutionMs)
    {
        var (finer, span) = resolutionMs == Downsampler.FiveMinutes
            ? (0L, options.FiveMinutesAfterMs)
            : (Downsampler.FiveMinutes, options.OneHourAfterMs);
        return [.. blocks
            .Where(meta => meta.ResolutionMs == finer
                && (meta.MaxTime - meta.MinTime >= span || IsPast(meta, finer))
                && Downsampled(meta, resolutionMs) is null
                && !(IsPast(meta, resolutionMs) && Successors(meta, resolutionMs) is not null))
            .OrderBy(meta => meta.MinTime).ThenBy(meta => meta.Id)];
    }

    IReadOnlyList<BlockMeta>? Successors(BlockMeta block, long resolutionMs)
    {
        long? coarser = resolutionMs switch
        {
            0 => Downsampler.FiveMinutes,
            Downsampler.FiveMinutes => Downsampler.OneHour,
            _ => null,
        };
        return !options.Downsampling || coarser is not { } next ? []
            : Downsampled(block, next) ?? (IsPast(block, next) ? Successors(block, next) : null);
    }

    /// <summary>The blocks of a coarser resolution that have all sources of a block together; null where one is missing.</summary>
    List<BlockMeta>? Downsampled(BlockMeta block, long resolutionMs)
    {
        var stream = StreamKey.Of(block, options.ReplicaLabels) with { ResolutionMs = resolutionMs };
        var found = block.Sources.Select(source => _downsampled[(stream, source)]).ToList();
        return found.TrueForAll(of => of.Any()) ? [.. found.SelectMany(of => of).DistinctBy(meta => meta.Id)] : null;
    }

    bool IsPast(BlockMeta block, long resolutionMs)
    {
        var kept = resolutionMs switch
        {
            0 => options.RetentionRaw,
            Downsampler.FiveMinutes => options.RetentionFiveMinutes,
            Downsampler.OneHour => options.RetentionOneHour,
            _ => TimeSpan.Zero,
        };
        return kept > TimeSpan.Zero && now - DateTimeOffset.FromUnixTimeMilliseconds(block.MaxTime) > kept;
    }
}
