using Observe.Testkit;
using Observe.Tsdb.Chunks;
using Xunit;

namespace Observe.Tsdb.Tests.Chunks;

public sealed class ChunkWindowTests : IDisposable
{
    readonly string _directory = Path.Combine(Checkout.NewFolder("chunk-window"), "chunks");
    readonly ChunkMeta[] _metas = new ChunkMeta[600];
    readonly byte[][] _data = new byte[600][];

    public ChunkWindowTests()
    {
        var random = new Random(3);
        using var writer = new ChunkSegmentWriter(_directory, maxSize: 150_000);
        for (var i = 0; i < _metas.Length; i++)
        {
            // Some are larger than what is read beyond a chunk's start, some larger than the largest window.
            _data[i] = new byte[i % 97 == 5 ? 70_000 : i % 13 == 4 ? 3_000 : random.Next(1, 400)];
            random.NextBytes(_data[i]);
            _metas[i] = new ChunkMeta(i, i, writer.Write(new Chunk(i, i, ChunkEncoding.Xor, _data[i])));
        }

        writer.Complete();
    }

    public void Dispose() => Directory.Delete(Path.GetDirectoryName(_directory)!, recursive: true);

    [Fact]
    public void Chunks_are_the_same_through_a_window_in_any_order()
    {
        using var reader = new ChunkSegmentReader(_directory);
        using var window = new ChunkWindow();
        var random = new Random(4);
        var chunks = new Chunk[40];
        for (var round = 0; round < 300; round++)
        {
            var from = random.Next(_metas.Length);
            var goesOn = random.Next(1, 60);
            for (var series = 0; series < goesOn && from < _metas.Length; series++)
            {
                // Several reads for one series, as of several runs: all stay good until the release.
                var first = from;
                for (var reads = random.Next(1, 4); reads > 0 && from < _metas.Length; reads--)
                {
                    var count = Math.Min(random.Next(1, 12), _metas.Length - from);
                    reader.Read(_metas.AsSpan(from, count), chunks.AsSpan(from - first), window);
                    from += count;
                }

                for (var i = first; i < from; i++)
                {
                    Assert.Equal(_data[i], chunks[i - first].Data.ToArray());
                }

                window.Release();
                from += random.Next(3) == 0 ? random.Next(20) : 0;
            }
        }
    }
}
