using Observe.Testkit;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Xunit;

namespace Observe.Tsdb.Tests.Chunks;

public sealed class ChunkSegmentsTests : IDisposable
{
    readonly string _directory = Path.Combine(Checkout.NewFolder("segments"), "chunks");

    public void Dispose() => Directory.Delete(Path.GetDirectoryName(_directory)!, recursive: true);

    [Fact]
    public void Chunks_are_read_back_one_by_one_and_in_runs()
    {
        var (metas, chunks) = Write(count: 500, maxSize: 64_000);
        Assert.True(Directory.GetFiles(_directory).Length > 3);
        using var reader = new ChunkSegmentReader(_directory);
        var run = new Chunk[metas.Length];
        reader.Read(metas, run);
        for (var i = 0; i < metas.Length; i++)
        {
            Assert.True(chunks[i].Data.Span.SequenceEqual(run[i].Data.Span));
            var alone = reader.Read(metas[i]);
            Assert.True(chunks[i].Data.Span.SequenceEqual(alone.Data.Span));
            Assert.Equal((chunks[i].MinTime, chunks[i].MaxTime, chunks[i].Encoding), (alone.MinTime, alone.MaxTime, alone.Encoding));
        }
    }

    [Fact]
    public void Each_byte_of_an_entry_is_guarded()
    {
        var (metas, _) = Write(count: 3, maxSize: ChunkSegments.MaxSize);
        var path = Path.Combine(_directory, "000001");
        var bytes = File.ReadAllBytes(path);
        var (from, to) = ((int)ChunkSegments.Offset(metas[1].Ref), (int)ChunkSegments.Offset(metas[2].Ref));
        for (var at = from; at < to; at++)
        {
            bytes[at] ^= 0x40;
            File.WriteAllBytes(path, bytes);
            bytes[at] ^= 0x40;
            using var reader = new ChunkSegmentReader(_directory);
            var error = Assert.Throws<CorruptionException>(() => reader.Read(metas[1]));
            Assert.Equal((path, from), (error.Where, error.Offset));
            _ = reader.Read(metas[0]);
            _ = reader.Read(metas[2]);
        }
    }

    [Fact]
    public void A_reference_to_nowhere_and_a_cut_file_are_corruption()
    {
        var (metas, _) = Write(count: 3, maxSize: ChunkSegments.MaxSize);
        using (var reader = new ChunkSegmentReader(_directory))
        {
            foreach (var reference in new ulong[] { 1UL << 32 | 8, 4, 1 << 30, ulong.MaxValue })
            {
                Assert.Throws<CorruptionException>(() => reader.Read(new ChunkMeta(0, 0, reference)));
            }
        }

        var path = Path.Combine(_directory, "000001");
        File.WriteAllBytes(path, File.ReadAllBytes(path)[..^3]);
        using var cut = new ChunkSegmentReader(_directory);
        Assert.Throws<CorruptionException>(() => cut.Read(metas[2]));
        File.WriteAllBytes(path, [1, 2, 3]);
        Assert.Throws<CorruptionException>(() => new ChunkSegmentReader(_directory));
        File.Move(path, Path.Combine(_directory, "000002"));
        Assert.Throws<CorruptionException>(() => new ChunkSegmentReader(_directory));
    }

    (ChunkMeta[] Metas, Chunk[] Chunks) Write(int count, long maxSize)
    {
        var random = new Random(7);
        var (metas, chunks) = (new ChunkMeta[count], new Chunk[count]);
        using var writer = new ChunkSegmentWriter(_directory, maxSize);
        for (var i = 0; i < count; i++)
        {
            var data = new byte[i % 50 == 49 ? 9000 : random.Next(3, 900)];
            random.NextBytes(data);
            chunks[i] = new Chunk(i * 100, (i * 100) + 99, ChunkEncoding.Xor, data);
            metas[i] = new ChunkMeta(i * 100, (i * 100) + 99, writer.Write(chunks[i]));
        }

        writer.Complete();
        Assert.Equal(Directory.GetFiles(_directory).Sum(f => new FileInfo(f).Length), writer.BytesWritten);
        return (metas, chunks);
    }
}
