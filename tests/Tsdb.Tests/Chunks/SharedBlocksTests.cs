using Observe.Testkit;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Tsdb.Tests.Chunks;

/// <summary>Chunks that Prometheus and Thanos wrote.</summary>
public sealed class SharedBlocksTests(ITestOutputHelper output)
{
    [Fact]
    public void Every_raw_chunk_is_encoded_again_to_the_same_bytes()
    {
        var (chunks, samples) = (0, 0);
        foreach (var (chunk, path) in AllChunks())
        {
            foreach (var part in Parts(chunk, path).Where(p => p.Encoding == ChunkEncoding.Xor))
            {
                var open = new XorAppender(new byte[32]);
                foreach (var (timestamp, value) in ReadAsEncoded(part, path))
                {
                    open.Append(timestamp, value);
                    samples++;
                }

                // Prometheus 3.4 reserved a byte ahead and left it in chunks of a snapshot.
                var rest = path.Contains("snapshots", StringComparison.Ordinal) ? part.Data.Span[open.Length..] : [];
                Assert.True(
                    open.Written.SequenceEqual(part.Data.Span[..^rest.Length]) && rest.Length <= 1 && !rest.ContainsAnyExcept((byte)0),
                    $"a chunk of {path} at {chunk.MinTime}");
                chunks++;
            }
        }

        output.WriteLine($"{chunks} chunks, {samples} samples");
        Assert.True(chunks > 0 && samples > 0);
    }

    static IEnumerable<(long, double)> ReadAsEncoded(Chunk chunk, string path)
    {
        var iterator = new XorIterator(chunk.Data, path, 0);
        var batch = new SampleBatch();
        while (true)
        {
            batch.Count = 0;
            if (iterator.Append(batch) == 0)
            {
                yield break;
            }

            for (var i = 0; i < batch.Count; i++)
            {
                yield return (batch.Timestamps[i], batch.Values[i]);
            }
        }
    }

    static IEnumerable<Chunk> Parts(Chunk chunk, string path)
    {
        if (chunk.Encoding != ChunkEncoding.Aggregates)
        {
            yield return chunk;
            yield break;
        }

        foreach (var aggregate in new[] { Aggregate.Count, Aggregate.Sum, Aggregate.Min, Aggregate.Max, Aggregate.Counter })
        {
            if (AggregatesChunk.TryGet(chunk, aggregate, path, 0, out var part))
            {
                yield return part;
            }
        }
    }

    /// <summary>Walks segment files from entry to entry, since chunks follow one another.</summary>
    static IEnumerable<(Chunk, string)> AllChunks()
    {
        foreach (var path in Directory.GetFiles(Required.Shared("blocks"), "00000?", SearchOption.AllDirectories))
        {
            var bytes = File.ReadAllBytes(path);
            for (long at = ChunkSegments.HeaderSize; at < bytes.Length;)
            {
                yield return (ChunkSegments.Parse(bytes.AsMemory((int)at), new ChunkMeta(at, at, (ulong)at), path, out var size), path);
                at += size;
            }
        }
    }
}
