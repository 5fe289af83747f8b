using Observe.Store.Bucket;
using Observe.Testkit;
using Xunit;

namespace Observe.Store.Tests.Bucket;

public sealed class FileBucketTests : BucketSuite, IDisposable
{
    readonly string _folder = Checkout.NewFolder("bucket");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    protected override Task<IBucket> NewAsync() => Task.FromResult<IBucket>(new FileBucket(_folder, TimeProvider.System));

    [Fact]
    public async Task Nothing_is_left_but_the_objects_and_the_buckets_own_folder()
    {
        await using var bucket = new FileBucket(_folder, TimeProvider.System);
        await PutAsync(bucket, "a/b", Bytes(10));
        await bucket.PutBytesAsync("a/b", Bytes(10), PutCondition.Absent, default);
        await PutAsync(bucket, "c/d/e", Bytes(10));
        await bucket.DeleteAsync("c/d/e", default);
        Assert.Equal([Path.Combine(_folder, FileBucket.OwnFolder), Path.Combine(_folder, "a")], Directory.GetFileSystemEntries(_folder).Order(StringComparer.Ordinal));
        Assert.Empty(Directory.GetFiles(Path.Combine(_folder, FileBucket.OwnFolder), "*.tmp"));
    }

    [Fact]
    public async Task A_folder_that_is_a_symbolic_link_is_none_of_the_buckets()
    {
        await using var bucket = new FileBucket(_folder, TimeProvider.System);
        await PutAsync(bucket, "a/b", Bytes(10));
        Directory.CreateSymbolicLink(Path.Combine(_folder, "a", "up"), _folder);
        Directory.CreateSymbolicLink(Path.Combine(_folder, "link"), Path.Combine(_folder, "a"));
        Assert.Equal(["a/b"], (await ListAsync(bucket, "", recursive: true)).Select(e => e.Key));
        Assert.Equal(["a/"], (await ListAsync(bucket, "", recursive: false)).Select(e => e.Key));
    }

    [Fact]
    public async Task Two_processes_that_race_over_a_version_do_not_both_win()
    {
        // Two buckets on one folder share nothing but the file locks, as two processes do.
        await using var one = new FileBucket(_folder, TimeProvider.System);
        await using var two = new FileBucket(_folder, TimeProvider.System);
        await PutAsync(one, "counter", [0]);
        await Task.WhenAll(new[] { one, two, one, two }.Select(bucket => Task.Run(async () =>
        {
            for (var done = 0; done < 25;)
            {
                var tag = (await bucket.AttributesAsync("counter", default))!.ETag;
                var value = (await bucket.GetBytesAsync("counter", 1, default))[0];
                done += await bucket.PutBytesAsync("counter", new[] { (byte)(value + 1) }, PutCondition.Match(tag), default) == PutResult.Written ? 1 : 0;
            }
        })));
        Assert.Equal([100], await one.GetBytesAsync("counter", 1, default));
    }

    [Fact]
    public async Task What_a_crash_left_is_deleted_a_day_later()
    {
        await using (new FileBucket(_folder, TimeProvider.System))
        {
        }

        var old = Path.Combine(_folder, FileBucket.OwnFolder, "old.tmp");
        var young = Path.Combine(_folder, FileBucket.OwnFolder, "young.tmp");
        await File.WriteAllTextAsync(old, "");
        await File.WriteAllTextAsync(young, "");
        File.SetLastWriteTimeUtc(old, TimeProvider.System.GetUtcNow().UtcDateTime.AddHours(-25));
        await using var bucket = new FileBucket(_folder, TimeProvider.System);
        Assert.False(File.Exists(old));
        Assert.True(File.Exists(young));
    }

    [Fact]
    public async Task A_folder_that_can_not_be_made_is_named()
    {
        var file = Path.Combine(_folder, "file");
        await File.WriteAllTextAsync(file, "");
        var refused = Assert.Throws<BucketException>(() => new FileBucket(Path.Combine(file, "below"), TimeProvider.System));
        Assert.Contains(file, refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_full_disk_is_told_as_such_and_leaves_the_old_object()
    {
        Assert.SkipUnless(File.Exists("/dev/full"), "this system has no /dev/full");
        await using var bucket = new FileBucket(_folder, TimeProvider.System);
        await PutAsync(bucket, "a", [1]);
        var own = Path.Combine(_folder, FileBucket.OwnFolder);
        var failed = await Assert.ThrowsAsync<BucketException>(() =>
            bucket.PutAsync("a", new BrokenStream(), PutCondition.None, default));
        Assert.Contains("can't write a: No space left on device", failed.Message, StringComparison.Ordinal);
        Assert.Equal([1], await bucket.GetBytesAsync("a", 10, default));
        Assert.Empty(Directory.GetFiles(own, "*.tmp"));
    }

    sealed class BrokenStream : MemoryStream
    {
        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
            throw new IOException("No space left on device");
    }
}
