using Observe.Tsdb.Blocks;

namespace Observe.Store.Compact;

/// <summary>Which blocks are past their time, by resolution. Pure.</summary>
static class Retention
{
    /// <summary>Blocks whose last sample is older than their resolution is kept.</summary>
    public static IReadOnlyList<BlockMeta> Expired(IEnumerable<BlockMeta> blocks, CompactOptions options, DateTimeOffset now) =>
        [.. blocks.Where(meta => Of(meta.ResolutionMs, options) is var kept && kept > TimeSpan.Zero
            && now - DateTimeOffset.FromUnixTimeMilliseconds(meta.MaxTime) > kept)];

    static TimeSpan Of(long resolutionMs, CompactOptions options) => resolutionMs switch
    {
        0 => options.RetentionRaw,
        Downsampler.FiveMinutes => options.RetentionFiveMinutes,
        Downsampler.OneHour => options.RetentionOneHour,
        _ => TimeSpan.Zero,
    };
}
