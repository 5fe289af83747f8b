using Observe.Tsdb.Model;

namespace Observe.Tsdb.Blocks;

/// <summary>Checks the values of a <c>meta.json</c>, so that whoever has a meta may use all of them without further checks.</summary>
static class BlockMetaRules
{
    /// <summary>Unix milliseconds of the years 1 to 9999, which is what .NET's calendar can show.</summary>
    const long FirstTime = -62_135_596_800_000;
    const long LastTime = 253_402_300_799_999;

    /// <summary>Far above any real block, and low enough for sums over all blocks of a bucket.</summary>
    const long MaxCount = 1L << 50;
    const int MaxLevel = 1_000;

    /// <summary>UTF-8 bytes of all external labels.</summary>
    const int MaxLabelBytes = 16 << 10;

    /// <summary>What is wrong; null when nothing is.</summary>
    public static string? Fault(BlockMeta meta) =>
        meta.Version != 1 ? $"has version {meta.Version}, not 1"
        : meta.MinTime > meta.MaxTime ? "ends before it starts"
        : meta.MinTime < FirstTime || meta.MaxTime > LastTime || meta.Id.Timestamp > LastTime ? "is of a time outside the years 1 to 9999"
        : OfStats(meta.Stats) ?? OfCompaction(meta.Compaction) ?? (meta.Thanos is { } thanos ? OfThanos(thanos) : null);

    static string? OfStats(BlockStats stats)
    {
        foreach (var count in (ReadOnlySpan<long>)
            [stats.Samples, stats.FloatSamples, stats.HistogramSamples, stats.Series, stats.Chunks, stats.Tombstones])
        {
            if (count is < 0 or > MaxCount)
            {
                return $"counts {count} of something";
            }
        }

        return null;
    }

    static string? OfCompaction(BlockCompaction compaction) =>
        compaction.Level is < 0 or > MaxLevel ? $"has compaction level {compaction.Level}"
        : compaction.Parents?.Contains(null!) == true ? "has a parent that is null"
        : compaction.Hints?.Contains(null!) == true ? "has a hint that is null"
        : null;

    static string? OfThanos(ThanosSection thanos) =>
        thanos.Downsample.ResolutionMs is < 0 or > LastTime ? $"has resolution {thanos.Downsample.ResolutionMs}"
        : thanos.Source is null ? "has a source that is null"
        : thanos.SegmentFiles?.Contains(null!) == true ? "has a segment file that is null"
        : OfLabels(thanos.Labels) ?? (thanos.Files is { } files ? OfFiles(files) : null);

    static string? OfLabels(IReadOnlyDictionary<string, string> labels)
    {
        var bytes = 0L;
        foreach (var (name, value) in labels)
        {
            if (value is null || !LabelName.IsValid(name) || (value.Length > 0 && !LabelName.IsValid(value)))
            {
                return $"has an external label {Bytes.GoText.Quote(name)} that is no label";
            }

            bytes += System.Text.Encoding.UTF8.GetByteCount(name) + System.Text.Encoding.UTF8.GetByteCount(value);
        }

        return bytes > MaxLabelBytes ? $"has external labels of {bytes} bytes; {MaxLabelBytes} are allowed" : null;
    }

    static string? OfFiles(IReadOnlyList<BlockFile> files)
    {
        var paths = new HashSet<string>();
        foreach (var file in files)
        {
            if (file?.Path is null || !BlockFiles.IsPath(file.Path))
            {
                return $"names a file that no block has: {(file?.Path is { } path ? Bytes.GoText.Quote(path) : "null")}";
            }

            if (file.Size is < 0 or > MaxCount)
            {
                return $"says that {file.Path} has {file.Size} bytes";
            }

            if (file.Hash is { } hash && (hash.Function is null || hash.Value is null))
            {
                return $"has no hash where there should be one of {file.Path}";
            }

            if (!paths.Add(file.Path))
            {
                return $"names {file.Path} twice";
            }
        }

        return null;
    }
}
