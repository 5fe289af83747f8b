using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Bytes;

namespace Observe.Store.Gateway;

/// <summary>Bytes of a file from Start up to, but without, End.</summary>
readonly record struct ByteRange(long Start, long End);

/// <summary>
/// Reads many ranges of a block's file with few requests: pages that the cache has are taken from there, the others are fetched in
/// runs that leave out only large gaps.
/// </summary>
sealed class RangeReader(IBucket bucket, PageCache cache, int concurrency, BucketStoreMetrics metrics)
{
    /// <summary>Below this a gap costs less time than a request.</summary>
    public const long MaxGap = 512 << 10;

    /// <summary>Longer runs are cut, and fetched at the same time.</summary>
    const long MaxRun = 4 << 20;

    const long MaxPart = 256 << 20;

    /// <param name="file">0 for the index, else the segment's number from 1.</param>
    /// <param name="size">Of the file; ranges past it are cut.</param>
    /// <param name="ranges">In order of their start; they may overlap.</param>
    /// <exception cref="ObjectNotFoundException">The file is not there.</exception>
    public async Task<FetchedRanges> ReadAsync(
        BlockId block, int file, long size, IReadOnlyList<ByteRange> ranges, ByteBudget budget, CancellationToken cancellationToken)
    {
        var key = BucketBlocks.Key(block, FileName(file));
        var layout = Parts(ranges, size);
        var memory = layout.Sum(part => part.Range.End - part.Range.Start);
        budget.ReserveMemory(memory);
        var parts = layout.Select(
            part => (Part: new FetchedPart(part.Range.Start, new byte[part.Range.End - part.Range.Start]), part.Wanted)).ToList();
        var runs = new List<(byte[] Part, long PartStart, ByteRange Run)>();
        long touched = 0;
        foreach (var (part, wanted) in parts)
        {
            touched += wanted.Sum(r => r.End - r.Start);
            runs.AddRange(Missing(block, file, part, wanted).Select(run => (part.Bytes, part.Start, run)));
        }

        var fetched = runs.Sum(r => r.Run.End - r.Run.Start);
        budget.CountFetch(fetched);
        await Parallel.ForEachAsync(
            runs,
            new ParallelOptions { MaxDegreeOfParallelism = concurrency, CancellationToken = cancellationToken },
            async (run, token) => await FetchAsync(block, file, key, run.Part, run.PartStart, run.Run, token));
        var kind = file == 0 ? "index" : "chunks";
        metrics.DataTouched.WithLabels(kind).Observe(touched);
        metrics.DataFetched.WithLabels(kind).Observe(fetched);
        return new FetchedRanges($"{bucket.Name}/{key}", [.. parts.Select(p => p.Part)], () => budget.ReturnMemory(memory));
    }

    /// <summary>Drops what is cached of a block that seems damaged: perhaps only the copy is, so that it is fetched again.</summary>
    public void Forget(BlockId block) => cache.Forget(block);

    public static string FileName(int file) => file == 0 ? "index" : $"chunks/{file:D6}";

    // Neighbouring ranges together, from where a page starts to where one ends.
    static List<(ByteRange Range, List<ByteRange> Wanted)> Parts(IReadOnlyList<ByteRange> ranges, long size)
    {
        var parts = new List<(ByteRange, List<ByteRange>)>();
        for (var from = 0; from < ranges.Count;)
        {
            var wanted = new List<ByteRange>();
            var (start, end) = (Align(ranges[from].Start), 0L);
            for (; from < ranges.Count
                && (wanted.Count == 0 || (ranges[from].Start - end <= MaxGap && ranges[from].End - start <= MaxPart)); from++)
            {
                var range = ranges[from] with { End = Math.Min(ranges[from].End, size) };
                if (range.Start < range.End)
                {
                    wanted.Add(range);
                    end = Math.Max(end, Math.Min(Align(range.End + PageCache.PageSize - 1), size));
                }
                else if (wanted.Count == 0)
                {
                    from++;
                    break;
                }
            }

            if (wanted.Count > 0)
            {
                parts.Add((new ByteRange(start, end), wanted));
            }
        }

        return parts;
    }

    // Fills in what the cache has; returns what is to be fetched.
    List<ByteRange> Missing(BlockId block, int file, FetchedPart part, List<ByteRange> wanted)
    {
        var runs = new List<ByteRange>();
        var next = part.Start;
        foreach (var range in wanted)
        {
            for (var at = Math.Max(next, Align(range.Start)); at < range.End; at = next)
            {
                next = Math.Min(at + PageCache.PageSize, part.Start + part.Bytes.Length);
                if (cache.Get(new PageKey(block, file, at / PageCache.PageSize)) is { } page)
                {
                    page.CopyTo(part.Bytes, at - part.Start);
                }
                else if (runs.Count > 0 && at - runs[^1].End <= MaxGap && next - runs[^1].Start <= MaxRun)
                {
                    runs[^1] = runs[^1] with { End = next };
                }
                else
                {
                    runs.Add(new ByteRange(at, next));
                }
            }
        }

        return runs;
    }

    async Task FetchAsync(
        BlockId block, int file, string key, byte[] part, long partStart, ByteRange run, CancellationToken cancellationToken)
    {
        var destination = part.AsMemory((int)(run.Start - partStart), (int)(run.End - run.Start));
        var read = await bucket.GetRangeAsync(key, run.Start, destination, cancellationToken);
        if (read < destination.Length)
        {
            CorruptionException.Throw($"{bucket.Name}/{key}", run.Start + read, "the file ends before the size that is known of it");
        }

        for (var at = run.Start; at < run.End; at += PageCache.PageSize)
        {
            var length = (int)Math.Min(PageCache.PageSize, run.End - at);
            cache.Put(new PageKey(block, file, at / PageCache.PageSize), part.AsSpan((int)(at - partStart), length).ToArray());
        }
    }

    static long Align(long position) => position - (position % PageCache.PageSize);
}

sealed record FetchedPart(long Start, byte[] Bytes);

/// <summary>What was read of a file.</summary>
/// <param name="source">The object, for error messages.</param>
/// <param name="parts">In order; each holds some of the ranges that were asked for, whole.</param>
sealed class FetchedRanges(string source, FetchedPart[] parts, Action release) : IDisposable
{
    public void Dispose() => release();

    public string Source => source;

    /// <summary>Bytes from a position on, at most so many: fewer where the file ends or, past what was asked for, what was read.</summary>
    public ReadOnlyMemory<byte> From(long position, long atMost)
    {
        var (low, high) = (0, parts.Length);
        while (low < high)
        {
            var middle = (low + high) >>> 1;
            (low, high) = parts[middle].Start <= position ? (middle + 1, high) : (low, middle);
        }

        if (low == 0 || position - parts[low - 1].Start >= parts[low - 1].Bytes.Length)
        {
            CorruptionException.Throw(source, position, "refers past the end of the file");
        }

        var part = parts[low - 1];
        var offset = (int)(position - part.Start);
        return part.Bytes.AsMemory(offset, (int)Math.Min(atMost, part.Bytes.Length - offset));
    }
}
