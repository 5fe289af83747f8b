using System.Buffers.Binary;
using Observe.Testkit;
using Observe.Tsdb.Bytes;
using Xunit;

namespace Observe.Tsdb.Tests.Bytes;

public sealed class OpenFilesTests : IDisposable
{
    readonly string _folder = Checkout.NewFolder("open-files");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    string Write(int number)
    {
        var path = Path.Combine(_folder, $"{number}");
        var bytes = new byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, number);
        File.WriteAllBytes(path, bytes);
        return path;
    }

    static int Read(PooledFile file)
    {
        Span<byte> bytes = stackalloc byte[4];
        Assert.Equal(4, file.Read(bytes, 0));
        return BinaryPrimitives.ReadInt32LittleEndian(bytes);
    }

    [Fact]
    public void Only_so_many_are_open_and_all_are_read()
    {
        var files = new OpenFiles(10);
        var all = Enumerable.Range(0, 100).Select(i => new PooledFile(Write(i), files)).ToList();
        for (var round = 0; round < 3; round++)
        {
            Assert.Equal(Enumerable.Range(0, 100), all.Select(Read));
            Assert.InRange(files.Count, 1, 10);
        }

        all.ForEach(file => file.Dispose());
        Assert.Equal(0, files.Count);
        Assert.Throws<ObjectDisposedException>(() => Read(all[0]));
    }

    [Fact]
    public void No_more_are_open_when_many_threads_open_at_once()
    {
        var files = new OpenFiles(10);
        var paths = Enumerable.Range(0, 200).Select(Write).ToList();
        var all = new PooledFile[paths.Count];
        var most = 0;
        for (var round = 0; round < 20; round++)
        {
            Parallel.For(0, all.Length, new ParallelOptions { MaxDegreeOfParallelism = 8 }, i =>
            {
                all[i] ??= new PooledFile(paths[i], files);
                Assert.Equal(i, Read(all[i]));
            });
            most = Math.Max(most, files.Count);
        }

        Assert.InRange(most, 1, 10);
        Array.ForEach(all, file => file.Dispose());
        Assert.Equal(0, files.Count);
    }

    [Fact]
    public void What_is_read_again_and_again_stays_open()
    {
        var files = new OpenFiles(10);
        var all = Enumerable.Range(0, 40).Select(i => new PooledFile(Write(i), files)).ToList();
        Read(all[0]);
        var opened = files.Opened;
        for (var i = 1; i < 40; i++)
        {
            Read(all[i]);
            Read(all[0]);
        }

        // Once it may go, in the first round, when all were read alike.
        Assert.InRange(files.Opened - opened, 39, 40);
    }

    [Fact]
    public async Task Readers_beside_each_other_get_what_they_asked_for()
    {
        var files = new OpenFiles(3);
        var all = Enumerable.Range(0, 12).Select(i => new PooledFile(Write(i), files)).ToList();
        await Task.WhenAll(Enumerable.Range(0, 4).Select(seed => Task.Run(() =>
        {
            var random = new Random(seed);
            for (var i = 0; i < 5_000; i++)
            {
                var number = random.Next(all.Count);
                Assert.Equal(number, Read(all[number]));
            }
        })));
        Assert.InRange(files.Count, 1, 3 + 4);
    }

    [Fact]
    public void A_file_that_is_gone_or_another_is_corruption_unless_it_was_kept()
    {
        var files = new OpenFiles(1);
        var gone = new PooledFile(Write(1), files);
        var other = new PooledFile(Write(2), files);
        var kept = new PooledFile(Write(3), files);
        kept.Keep();
        using (new PooledFile(Write(4), files))
        {
            Directory.Delete(_folder, recursive: true);
            Directory.CreateDirectory(_folder);
            File.WriteAllBytes(Path.Combine(_folder, "2"), new byte[5]);
            Assert.Equal(3, Read(kept));
            Assert.Contains("is gone", Assert.Throws<CorruptionException>(() => Read(gone)).Message, StringComparison.Ordinal);
            Assert.Throws<CorruptionException>(() => Read(other));
            Assert.Throws<CorruptionException>(() => Read(other));
        }
    }

    [Theory]
    [InlineData(12)]
    [InlineData(23)]
    [InlineData(24)]
    public void What_runs_out_is_no_fault_of_a_file(int error)
    {
        Assert.True(ResourceExhaustedException.IsCauseOf(new HttpRequestException("", new IOException("", error))));
        Assert.False(ResourceExhaustedException.IsCauseOf(new IOException("", 28)));
        Assert.False(typeof(IOException).IsAssignableFrom(typeof(ResourceExhaustedException)));
    }
}
