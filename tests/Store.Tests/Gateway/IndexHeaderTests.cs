using System.Buffers.Binary;
using System.Text;
using Observe.Testkit;
using Observe.Store.Bucket;
using Observe.Store.Gateway;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Index;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Store.Tests.Gateway;

public sealed class IndexHeaderTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    string Local => Path.Combine(_folder.Path, "block", "index-header");

    async Task<(MemoryBucket Bucket, string Index)> BucketAsync(int series)
    {
        var labels = Enumerable.Range(0, series).Select(i => Labels.Of(("__name__", $"metric_{i % 7}"), ("pod", $"pod-{i:D6}"))).Order().ToArray();
        var index = IndexSeries.Write(_folder.Path, labels);
        var bucket = new MemoryBucket(TimeProvider.System);
        await bucket.PutBytesAsync($"{TestBlocks.Id(1)}/index", await File.ReadAllBytesAsync(index), PutCondition.None, default);
        return (bucket, index);
    }

    Task<IndexHeader> OpenAsync(MemoryBucket bucket, string index) =>
        IndexHeader.OpenAsync(bucket, TestBlocks.Id(1), new FileInfo(index).Length, Local, default);

    [Theory]
    [InlineData(1)]
    [InlineData(40)]
    [InlineData(6_000)]
    public async Task A_header_knows_all_symbols_and_lists_of_the_index(int series)
    {
        var (bucket, path) = await BucketAsync(series);
        using var header = await OpenAsync(bucket, path);
        using var index = new IndexReader(path);
        Assert.Equal(index.Symbols.All(), header.Symbols.All());
        Assert.Equal(index.LabelNames(), header.Lists.LabelNames());
        foreach (var name in index.LabelNames())
        {
            Assert.Equal(Lists(index.Lists, name), Lists(header.Lists, name));
        }

        Assert.Equal(index.Lists.All, header.Lists.All);
        Assert.Equal(0xBAAAD792u, BinaryPrimitives.ReadUInt32BigEndian(File.ReadAllBytes(Local)));
    }

    [Fact]
    public async Task A_local_file_that_is_damaged_is_made_again()
    {
        var (bucket, path) = await BucketAsync(100);
        (await OpenAsync(bucket, path)).Dispose();
        var good = await File.ReadAllBytesAsync(Local);
        for (var at = 0; at < good.Length; at += 7)
        {
            var bytes = (byte[])good.Clone();
            bytes[at] ^= 0x20;
            await File.WriteAllBytesAsync(Local, bytes);
            using var header = await OpenAsync(bucket, path);
            Assert.Equal(100, Lists(header.Lists, "pod").Count);
        }
    }

    [Fact]
    public async Task A_damaged_index_is_named_and_leaves_no_file()
    {
        var (bucket, path) = await BucketAsync(10);
        var bytes = await File.ReadAllBytesAsync(path);
        bytes[20] ^= 1;
        await bucket.PutBytesAsync($"{TestBlocks.Id(1)}/index", bytes, PutCondition.None, default);
        var error = await Assert.ThrowsAsync<CorruptionException>(() => OpenAsync(bucket, path));
        Assert.Contains($"{TestBlocks.Id(1)}/index", error.Message, StringComparison.Ordinal);
        Assert.False(File.Exists(Local));
    }

    static List<(string, PostingsRange)> Lists(PostingsTable table, string name)
    {
        var lists = new List<(string, PostingsRange)>();
        table.Visit(Encoding.UTF8.GetBytes(name), default, (value, list) =>
        {
            lists.Add((Encoding.UTF8.GetString(value), list));
            return true;
        });
        return lists;
    }
}
