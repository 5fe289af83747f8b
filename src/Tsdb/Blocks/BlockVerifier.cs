using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Index;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Blocks;

/// <summary>Checks a block's files against their checksums, their hashes and each other.</summary>
public sealed class BlockVerifier
{
    /// <summary>After so many faults it stops looking for more.</summary>
    public const int MaxFaults = 100;

    readonly string _directory;
    readonly bool _decode;
    readonly List<string> _faults = [];

    BlockVerifier(string directory, bool decode) => (_directory, _decode) = (directory, decode);

    /// <summary>
    /// All faults of a block in a folder; none means that every byte that a reader will ask for has been read and is as it should be.
    /// </summary>
    /// <param name="decode">Also decode every sample: times rise, and lie within what index and meta say.</param>
    /// <exception cref="IOException">The block can't be read at present.</exception>
    public static IReadOnlyList<string> Verify(string directory, bool decode, CancellationToken cancellationToken)
    {
        var verifier = new BlockVerifier(directory, decode);
        if (verifier.Meta() is { } meta)
        {
            verifier.Files(meta);
            verifier.Content(meta, cancellationToken);
        }

        return verifier._faults;
    }

    void Fault(string fault)
    {
        if (_faults.Count < MaxFaults)
        {
            _faults.Add(fault);
        }
    }

    // What is damaged or missing is a fault, and the checks after it go on. That a disk can't be read at present says nothing of the block.
    bool Try(Action check)
    {
        try
        {
            check();
            return true;
        }
        catch (IOException e) when (e is CorruptionException or FileNotFoundException or DirectoryNotFoundException or EndOfStreamException)
        {
            Fault(e.Message);
            return false;
        }
    }

    BlockMeta? Meta()
    {
        BlockMeta? meta = null;
        Try(() => meta = BlockMeta.Read(_directory));
        return meta;
    }

    void Files(BlockMeta meta)
    {
        foreach (var file in meta.Thanos?.Files ?? [])
        {
            if (file.Path == BlockMeta.FileName)
            {
                continue;
            }

            Try(() =>
            {
                using var content = File.OpenRead(Path.Combine(_directory, file.Path));
                if (content.Length != file.Size)
                {
                    Fault($"{content.Name}: has {content.Length} bytes where meta.json says {file.Size}");
                }
                else if (file.Hash is { Function: BlockFiles.Sha256 } hash && BlockFiles.Hash(content) != hash.Value)
                {
                    Fault($"{content.Name}: its SHA-256 is not the one in meta.json");
                }
            });
        }
    }

    void Content(BlockMeta meta, CancellationToken cancellationToken)
    {
        IndexReader? index = null;
        ChunkSegmentReader? chunks = null;
        try
        {
            Try(() => index = new IndexReader(Path.Combine(_directory, "index")));
            Try(() => chunks = new ChunkSegmentReader(Path.Combine(_directory, "chunks")));
            Try(() => Tombstones.Read(_directory));
            if (index is not null && chunks is not null)
            {
                Series(meta, index, chunks, cancellationToken);
            }
        }
        finally
        {
            index?.Dispose();
            chunks?.Dispose();
        }
    }

    void Series(BlockMeta meta, IndexReader index, ChunkSegmentReader chunks, CancellationToken cancellationToken)
    {
        Symbols(index);
        Postings? all = null;
        if (!Try(() => all = index.Postings(index.Lists.All)))
        {
            return;
        }

        var reader = index.Series();
        var batch = new SampleBatch();
        var last = default(Labels);
        long series = 0, chunkCount = 0, sampleCount = 0, pairs = 0;
        var whole = true;
        while (all!.Next() && _faults.Count < MaxFaults)
        {
            cancellationToken.ThrowIfCancellationRequested();
            whole &= Try(() => reader.Read(all.Current));
            if (!whole)
            {
                continue;
            }

            var labels = reader.Labels;
            if (series > 0 && labels.CompareTo(last) <= 0)
            {
                Fault($"{index.Path}: series {labels} does not sort after {last}");
            }

            CheckLabels(index.Path, labels);
            (last, series, chunkCount, pairs) = (labels, series + 1, chunkCount + reader.Chunks.Count, pairs + labels.Count);
            var before = long.MinValue;
            foreach (var chunk in reader.Chunks)
            {
                if (chunk.MaxTime < chunk.MinTime || (chunk.MinTime <= before && before != long.MinValue))
                {
                    Fault($"{index.Path}: chunks of {labels} overlap or go back at {chunk.MinTime}");
                }

                if (chunk.MinTime < meta.MinTime || chunk.MaxTime >= meta.MaxTime)
                {
                    Fault($"{index.Path}: a chunk of {labels} spans {chunk.MinTime} to {chunk.MaxTime}, outside the block");
                }

                before = chunk.MaxTime;
                whole &= Try(() => sampleCount += Chunk(labels, chunk, chunks.Read(chunk), batch));
            }
        }

        if (!whole || _faults.Count >= MaxFaults)
        {
            return;
        }

        Compare("series", meta.Stats.Series, series);
        Compare("chunks", meta.Stats.Chunks, chunkCount);
        // Thanos keeps the raw block's counts in a downsampled block's meta.
        if (meta.ResolutionMs == 0)
        {
            Compare("samples", meta.Stats.Samples, sampleCount);
        }

        Lists(index, pairs, cancellationToken);
    }

    void Symbols(IndexReader index) => Try(() =>
    {
        byte[]? last = null;
        foreach (var symbol in index.Version == 1 ? [] : index.Symbols.All())
        {
            if (last is not null && last.AsSpan().SequenceCompareTo(symbol) >= 0)
            {
                Fault($"{index.Path}: symbols are not sorted");
                return;
            }

            last = symbol;
        }
    });

    void CheckLabels(string path, Labels labels)
    {
        ReadOnlySpan<byte> last = default;
        foreach (var label in labels)
        {
            if (label.Name.SequenceCompareTo(last) <= 0)
            {
                Fault($"{path}: labels of {labels} are not sorted, or one is given twice");
                return;
            }

            last = label.Name;
        }
    }

    int Chunk(Labels labels, ChunkMeta meta, Chunk chunk, SampleBatch batch)
    {
        var count = ChunkIterators.Count(chunk, _directory, ChunkSegments.Offset(meta.Ref));
        if (!_decode)
        {
            return count;
        }

        using var samples = ChunkIterators.Open(chunk, Aggregate.Raw, _directory, ChunkSegments.Offset(meta.Ref));
        var (first, last, read) = (long.MaxValue, long.MinValue, 0);
        while (samples.Read(batch))
        {
            for (var i = 0; i < batch.Count; i++)
            {
                if (read + i > 0 && batch.Timestamps[i] <= last)
                {
                    Fault($"{_directory}: samples of {labels} go back at {batch.Timestamps[i]}");
                }

                last = batch.Timestamps[i];
            }

            first = Math.Min(first, batch.Timestamps[0]);
            read += batch.Count;
        }

        if (read > 0 && (first < meta.MinTime || last > meta.MaxTime))
        {
            Fault($"{_directory}: a chunk of {labels} has samples from {first} to {last}, the index says {meta.MinTime} to {meta.MaxTime}");
        }

        if (chunk.Encoding != ChunkEncoding.Aggregates && read != count)
        {
            Fault($"{_directory}: a chunk of {labels} at {meta.MinTime} holds {read} samples and says {count}");
        }

        return count;
    }

    // Each list can be read, and all together have each series once for each of its labels.
    void Lists(IndexReader index, long pairs, CancellationToken cancellationToken)
    {
        long listed = 0;
        foreach (var name in index.LabelNames())
        {
            index.Lists.Visit(Utf8Order.Bytes(name), default, (_, list) =>
            {
                cancellationToken.ThrowIfCancellationRequested();
                Try(() =>
                {
                    for (var postings = index.Postings(list); postings.Next();)
                    {
                        listed++;
                    }
                });
                return true;
            });
        }

        if (_faults.Count == 0 && listed != pairs)
        {
            Fault($"{index.Path}: postings lists have {listed} entries where series have {pairs} labels");
        }
    }

    void Compare(string what, long said, long found)
    {
        if (said != found)
        {
            Fault($"{_directory}: has {found} {what} where meta.json says {said}");
        }
    }
}
