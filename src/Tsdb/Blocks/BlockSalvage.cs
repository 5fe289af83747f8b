using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Index;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Blocks;

/// <summary>
/// Writes a new block of all that is whole in a damaged one. Series are found by walking through the index from entry to entry, so that
/// neither postings nor table of contents are needed; each entry and each chunk has its own checksum.
/// </summary>
public sealed class BlockSalvage
{
    /// <summary>Faults that are named; the others are counted.</summary>
    public const int MaxFaults = 20;

    readonly string _directory;
    readonly List<string> _faults = [];
    readonly List<TimeRange> _lost = [];

    BlockSalvage(string directory) => _directory = directory;

    /// <summary>The new block's meta; null when nothing was whole, and then there is no new block.</summary>
    public BlockMeta? Meta { get; private set; }

    /// <summary>Chunks that are lost with their samples.</summary>
    public long LostChunks { get; private set; }

    /// <summary>Stretches of the index whose series are lost, with how many is not known.</summary>
    public long LostStretches { get; private set; }

    /// <summary>The times of what is lost, in order: all of the block's where nobody knows which series are.</summary>
    public IReadOnlyList<TimeRange> Lost =>
        TimeSpans.Union(LostStretches > 0 && Meta is not null ? [.. _lost, Meta.Range] : _lost);

    /// <summary>The first things that are damaged, with their places.</summary>
    public IReadOnlyList<string> Faults => _faults;

    /// <param name="directory">The damaged block's folder, which stays as it is.</param>
    /// <param name="parent">The folder that gets the new block.</param>
    /// <exception cref="IOException">The block can't be read, or the new one not written, at present.</exception>
    public static BlockSalvage Run(string directory, string parent, BlockId id, CancellationToken cancellationToken)
    {
        var salvage = new BlockSalvage(directory);
        try
        {
            salvage.Write(parent, id, cancellationToken);
        }
        catch (Exception e) when (e is CorruptionException or FileNotFoundException or DirectoryNotFoundException)
        {
            // Without its symbols or chunks, or without knowing what is deleted, nothing of the block is of use.
            salvage.Fault(e.Message);
        }

        return salvage;
    }

    void Write(string parent, BlockId id, CancellationToken cancellationToken)
    {
        var tombstones = Tombstones.Read(_directory);
        using var chunks = new ChunkSegmentReader(Path.Combine(_directory, "chunks"), checkHeaders: false);
        using var index = new IndexWalk(Path.Combine(_directory, "index"), (position, what) =>
        {
            LostStretches++;
            Fault($"{Path.Combine(_directory, "index")} at {position}: {what}");
        });
        using var writer = BlockWriter.Create(parent, id);
        var (first, last, before) = (long.MaxValue, long.MinValue, default(Labels));
        var kept = new List<Chunk>();
        var batch = new SampleBatch();
        while (index.Next())
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (writer.SeriesCount > 0 && index.Labels.CompareTo(before) <= 0)
            {
                LostStretches++;
                Fault($"{_directory}: series {index.Labels} does not sort after {before}");
                continue;
            }

            kept.Clear();
            foreach (var meta in index.Chunks)
            {
                if (TryRead(chunks, meta, batch, out var chunk))
                {
                    kept.Add(chunk);
                }
            }

            var left = tombstones.Of(index.Reference) is { IsEmpty: false } deleted
                ? deleted.Cut(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(kept), _directory) : kept;
            if (left.Count > 0)
            {
                writer.Add(index.Labels, left);
                (first, last, before) = (Math.Min(first, left[0].MinTime), Math.Max(last, left[^1].MaxTime), index.Labels);
            }
        }

        // The new block says what it lacks.
        Meta = MetaOf(id, first, last);
        Meta = writer.Finish(LostTimes.AddTo(Meta, Lost));
    }

    BlockMeta MetaOf(BlockId id, long first, long last)
    {
        try
        {
            var old = BlockMeta.Read(_directory);
            if (old.MinTime <= first && old.MaxTime > last)
            {
                return old with { Id = id };
            }

            Fault($"{Path.Combine(_directory, BlockMeta.FileName)}: its samples span {first} to {last}");
        }
        catch (Exception e) when (e is CorruptionException or FileNotFoundException)
        {
            Fault(e.Message);
        }

        return new BlockMeta { Id = id, MinTime = first, MaxTime = last + 1 };
    }

    bool TryRead(ChunkSegmentReader chunks, ChunkMeta meta, SampleBatch batch, out Chunk chunk)
    {
        chunk = default;
        try
        {
            chunk = chunks.Read(meta);
            var time = long.MinValue;
            using var samples = ChunkIterators.Open(chunk, Aggregate.Raw, _directory, ChunkSegments.Offset(meta.Ref));
            while (samples.Read(batch))
            {
                for (var i = 0; i < batch.Count; i++)
                {
                    if (batch.Timestamps[i] <= time || batch.Timestamps[i] < meta.MinTime || batch.Timestamps[i] > meta.MaxTime)
                    {
                        throw new CorruptionException(_directory, ChunkSegments.Offset(meta.Ref), "times go back, or are outside the chunk");
                    }

                    time = batch.Timestamps[i];
                }
            }

            return true;
        }
        catch (CorruptionException e)
        {
            LostChunks++;
            _lost.Add(new TimeRange(meta.MinTime, meta.MaxTime));
            Fault(e.Message);
            return false;
        }
    }

    void Fault(string fault)
    {
        if (_faults.Count < MaxFaults)
        {
            _faults.Add(fault);
        }
    }
}
