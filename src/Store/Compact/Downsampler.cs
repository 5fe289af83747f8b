using Observe.Tsdb.Blocks;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Store.Compact;

/// <summary>
/// Makes the block of a coarser resolution: 5 minutes of raw data, an hour of 5 minutes. docs/format/downsampling.md has the format.
/// </summary>
static class Downsampler
{
    public const long FiveMinutes = 300_000;
    public const long OneHour = 3_600_000;

    /// <summary>Raw samples are taken to be a minute apart where the number of chunks is estimated.</summary>
    const long AssumedInterval = 60_000;

    const int WindowsPerChunk = 140;

    /// <summary>Writes the downsampled block into <paramref name="parent"/>, series by series.</summary>
    /// <returns>Its meta; null when nothing but staleness markers was there.</returns>
    public static BlockMeta? Run(Block block, string parent, BlockId id, long resolutionMs, CancellationToken cancellationToken)
    {
        if (block.Meta.ResolutionMs >= resolutionMs)
        {
            throw new ArgumentException(
                $"block {block.Meta.Id} has a resolution of {block.Meta.ResolutionMs} ms already", nameof(resolutionMs));
        }

        using var writer = BlockWriter.Create(parent, id);
        var raw = block.Meta.ResolutionMs == 0;
        foreach (var series in block.Select(new QueryContext(cancellationToken).Select(new SelectHints { Range = TimeRange.All }, [])))
        {
            var chunks = series.Chunks().ToList();
            writer.Add(
                series.Labels, raw ? OfRaw(chunks, resolutionMs, block.Directory)
                : OfAggregates(chunks, block.Meta.ResolutionMs, resolutionMs, block.Directory));
        }

        return writer.Finish(block.Meta with
        {
            Compaction = block.Meta.Compaction with { Sources = block.Meta.Sources },
            Thanos = (block.Meta.Thanos ?? new ThanosSection()) with
            {
                Downsample = new DownsampleSection { ResolutionMs = resolutionMs },
                Source = "compactor",
                UploadTime = null,
            },
        });
    }

    /// <summary>Aggregate chunks of a series' raw chunks.</summary>
    public static IEnumerable<Chunk> OfRaw(IReadOnlyList<Chunk> chunks, long resolutionMs, string source)
    {
        var floats = new FloatWindows();
        var histograms = new HistogramWindows();
        foreach (var run in Runs(chunks, source))
        {
            var parts = ChunkCount(run.Times[0], run.Times[^1], AssumedInterval, resolutionMs, run.Times.Count);
            var size = (run.Times.Count / parts) + 1;
            for (var from = 0; from < run.Times.Count;)
            {
                // The samples of one window go into one chunk.
                var to = Math.Min(from + size, run.Times.Count);
                var window = WindowEnd(run.Times[to - 1], resolutionMs);
                while (to < run.Times.Count && run.Times[to] <= window)
                {
                    to++;
                }

                foreach (var chunk in run.Histograms is null
                    ? floats.OfRaw(run.Times, run.Values!, from, to, resolutionMs)
                    : histograms.OfRaw(run.Times, run.Histograms, from, to, resolutionMs, isEnd: to == run.Times.Count))
                {
                    yield return chunk;
                }

                from = to;
            }
        }
    }

    /// <summary>
    /// Coarser aggregate chunks of aggregate chunks. Chunks stay whole, since their first and last counter values are true ones.
    /// </summary>
    public static IEnumerable<Chunk> OfAggregates(IReadOnlyList<Chunk> chunks, long fromMs, long toMs, string source)
    {
        var all = new List<Chunk>();
        foreach (var chunk in chunks)
        {
            // Raw chunks in a downsampled block come from older versions of Thanos.
            all.AddRange(chunk.Encoding == ChunkEncoding.Aggregates ? [chunk] : OfRaw([chunk], FiveMinutes, source));
        }

        var floats = new FloatWindows();
        var histograms = new HistogramWindows();
        for (var from = 0; from < all.Count;)
        {
            var isHistogram = AggregatesChunk.IsHistogram(all[from], source, 0);
            var to = from + 1;
            while (to < all.Count && AggregatesChunk.IsHistogram(all[to], source, 0) == isHistogram)
            {
                to++;
            }

            var run = all[from..to];
            var windows = run.Sum(c => ChunkIterators.Count(c, source, 0));
            var parts = ChunkCount(run[0].MinTime, run[^1].MaxTime, fromMs, toMs, windows);
            var read = 0;
            foreach (var part in run.Chunk(Math.Max(1, run.Count / parts)))
            {
                read += part.Length;
                foreach (var chunk in isHistogram
                    ? histograms.OfAggregates(part, toMs, source, isEnd: read == run.Count)
                    : floats.OfAggregates(part, toMs, source))
                {
                    yield return chunk;
                }
            }

            from = to;
        }
    }

    /// <summary>The timestamp of the window that a time lies in: its last millisecond.</summary>
    public static long WindowEnd(long time, long resolutionMs) => time - (time % resolutionMs) + resolutionMs - 1;

    /// <summary>
    /// How many chunks to make so that each has no more windows than it should, if the span is filled as densely as its samples say.
    /// </summary>
    static int ChunkCount(long minTime, long maxTime, long intervalMs, long resolutionMs, int samples)
    {
        var fullness = Math.Min(1, samples / ((maxTime - minTime) / (double)intervalMs));
        var windows = (int)((maxTime - minTime) / resolutionMs * fullness) + 1;
        var chunks = 1;
        while (windows / chunks > WindowsPerChunk)
        {
            chunks++;
        }

        return chunks;
    }

    /// <summary>Samples of one kind in a row, staleness markers left out.</summary>
    static IEnumerable<(List<long> Times, List<double>? Values, List<Histogram>? Histograms)> Runs(
        IReadOnlyList<Chunk> chunks, string source)
    {
        var batch = new SampleBatch();
        var samples = new ChunkSeriesIterator(chunks, Aggregate.Raw, TimeRange.All, source);
        (List<long> Times, List<double>? Values, List<Histogram>? Histograms) run = ([], null, null);
        while (samples.Read(batch))
        {
            for (var i = 0; i < batch.Count; i++)
            {
                var histogram = batch.Kind == SampleKind.Histogram ? batch.Histograms[i] : null;
                if (histogram is null ? StaleMarker.IsStale(batch.Values[i]) : histogram.IsStale)
                {
                    continue;
                }

                if (run.Times.Count > 0 && ((run.Histograms is null) != (histogram is null)
                    || (histogram is not null && run.Histograms![^1].UsesCustomBuckets != histogram.UsesCustomBuckets)))
                {
                    yield return run;
                    run = ([], null, null);
                }

                run.Times.Add(batch.Timestamps[i]);
                if (histogram is null)
                {
                    (run.Values ??= []).Add(batch.Values[i]);
                }
                else
                {
                    (run.Histograms ??= []).Add(histogram);
                }
            }
        }

        if (run.Times.Count > 0)
        {
            yield return run;
        }
    }
}
