using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Index;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Blocks;

/// <summary>
/// Writes a block: series in order of their labels, each with all its chunks in order of time. The folder appears under its name
/// only when everything in it is synced: <c>&lt;ULID&gt;.tmp</c> until then. Not thread-safe.
/// </summary>
public sealed class BlockWriter : IDisposable
{
    readonly string _parent;
    readonly string _temporary;
    readonly BlockId _id;
    readonly ChunkSegmentWriter _chunks;
    readonly IndexWriter _index;
    readonly List<ChunkMeta> _metas = [];
    BlockStats _stats = new();
    long _chunkMaxSize;

    BlockWriter(string parent, BlockId id)
    {
        (_parent, _id, _temporary) = (parent, id, Path.Combine(parent, id + TemporarySuffix));
        if (Directory.Exists(_temporary))
        {
            Directory.Delete(_temporary, recursive: true);
        }

        Directory.CreateDirectory(_temporary);
        _chunks = new ChunkSegmentWriter(Path.Combine(_temporary, "chunks"));
        _index = new IndexWriter(Path.Combine(_temporary, "index"));
    }

    /// <summary>What a folder's name ends in while it is written; one that is found at a start is left over and may be deleted.</summary>
    public const string TemporarySuffix = ".tmp";

    public long SeriesCount => _index.SeriesCount;

    /// <param name="parent">The folder that gets the block's folder; made when it is not there.</param>
    public static BlockWriter Create(string parent, BlockId id) => new(parent, id);

    /// <summary>Adds a series; data of chunks is copied out before it returns. A series without chunks is left out.</summary>
    /// <exception cref="ArgumentException">Labels are not after those of the last series, or chunks overlap or go back.</exception>
    public void Add(Labels labels, IEnumerable<Chunk> chunks)
    {
        _metas.Clear();
        long samples = 0, floats = 0, histograms = 0;
        foreach (var chunk in chunks)
        {
            var count = ChunkIterators.Count(chunk, _temporary, 0);
            samples += count;
            floats += chunk.Encoding is ChunkEncoding.Xor or ChunkEncoding.Xor2 ? count : 0;
            histograms += chunk.Encoding is ChunkEncoding.Xor or ChunkEncoding.Xor2 or ChunkEncoding.Aggregates ? 0 : count;
            _chunkMaxSize = Math.Max(_chunkMaxSize, Varint.SizeUnsigned((ulong)chunk.Data.Length) + 1 + chunk.Data.Length + 4);
            _metas.Add(new ChunkMeta(chunk.MinTime, chunk.MaxTime, _chunks.Write(chunk)));
        }

        if (_metas.Count == 0)
        {
            return;
        }

        _index.Add(labels, CollectionsMarshal.AsSpan(_metas));
        _stats = _stats with
        {
            Samples = _stats.Samples + samples,
            FloatSamples = _stats.FloatSamples + floats,
            HistogramSamples = _stats.HistogramSamples + histograms,
            Series = _stats.Series + 1,
            Chunks = _stats.Chunks + _metas.Count,
        };
    }

    /// <summary>Writes the index and meta.json, syncs all and renames the folder.</summary>
    /// <param name="meta">
    /// Times, compaction, and Thanos's section (labels, source, downsampling); the id, statistics, files with hashes and
    /// <see cref="IndexStats"/> are filled in, and the block itself as its source when none is named.
    /// </param>
    /// <returns>The meta as written; null, and no folder, when there was no series.</returns>
    public BlockMeta? Finish(BlockMeta meta)
    {
        if (SeriesCount == 0)
        {
            return null;
        }

        _chunks.Complete();
        _index.Finish();
        _index.Dispose();
        meta = meta with
        {
            Id = _id,
            Stats = _stats,
            Compaction = meta.Compaction.Sources.Count > 0 ? meta.Compaction : meta.Compaction with { Sources = [_id] },
            Thanos = meta.Thanos is null ? null : WithFiles(meta.Thanos),
        };
        DurableFile.Write(Path.Combine(_temporary, BlockMeta.FileName), meta.ToJson());
        DurableFile.SyncDirectory(_temporary);
        DurableFile.Rename(_temporary, Path.Combine(_parent, _id.ToString()));
        return meta;
    }

    /// <summary>Removes the temporary folder of a block that was not finished.</summary>
    public void Dispose()
    {
        _chunks.Dispose();
        _index.Dispose();
        if (Directory.Exists(_temporary))
        {
            Directory.Delete(_temporary, recursive: true);
        }
    }

    ThanosSection WithFiles(ThanosSection thanos)
    {
        var segments = Directory.GetFiles(Path.Combine(_temporary, "chunks"))
            .Select(p => Path.GetFileName(p)!).Order(StringComparer.Ordinal).ToList();
        return thanos with
        {
            Version = 1,
            SegmentFiles = segments,
            Files =
            [
                .. segments.Select(segment => BlockFiles.Describe(_temporary, "chunks/" + segment)),
                BlockFiles.Describe(_temporary, "index"),
                new BlockFile(BlockMeta.FileName),
            ],
            IndexStats = new IndexStats(_index.SeriesMaxSize, _chunkMaxSize),
        };
    }
}

/// <summary>The files of a block, as meta.json lists them.</summary>
public static class BlockFiles
{
    public const string Sha256 = "SHA256";

    /// <param name="path">Relative to the block's folder, with slashes.</param>
    public static BlockFile Describe(string directory, string path)
    {
        using var file = File.OpenRead(Path.Combine(directory, path));
        return new BlockFile(path, file.Length, new FileHash(Sha256, Hash(file)));
    }

    /// <summary>SHA-256 of what is left of a stream, in lower-case hexadecimal.</summary>
    public static string Hash(Stream stream) => Convert.ToHexStringLower(SHA256.HashData(stream));

    /// <summary>Whether a file of a block may be called so: in the block or in its chunks folder, by plain names.</summary>
    public static bool IsPath(string path)
    {
        const string Chunks = "chunks/";
        var name = path.StartsWith(Chunks, StringComparison.Ordinal) ? path[Chunks.Length..] : path;
        return name.Length is > 0 and <= 100 && name is not ("chunks" or "." or "..")
            && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-');
    }

    /// <summary>
    /// Relative paths of what a block's folder holds besides meta.json: segments in order, the index, tombstones if there are.
    /// </summary>
    public static IReadOnlyList<string> Content(string directory)
    {
        var chunks = Path.Combine(directory, "chunks");
        var segments = Directory.Exists(chunks)
            ? Directory.GetFiles(chunks).Select(p => "chunks/" + Path.GetFileName(p)).Order(StringComparer.Ordinal)
            : Enumerable.Empty<string>();
        string[] others = File.Exists(Path.Combine(directory, Tombstones.FileName)) ? ["index", Tombstones.FileName] : ["index"];
        return [.. segments, .. others];
    }
}
