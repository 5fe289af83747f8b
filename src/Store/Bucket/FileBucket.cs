using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Store.Bucket;

/// <summary>
/// A bucket in a folder, laid out as Thanos's FILESYSTEM bucket: a key is a path. A write is a temporary file, synced, renamed, and its
/// folder synced, so a reader or a crash sees the old object or the new one. Conditional writes hold between processes on one machine: all
/// writes of a key take the same file lock. An empty folder is no object and vanishes with its last one.
/// </summary>
/// <remarks>
/// The name <see cref="OwnFolder"/> in the bucket's root is reserved for temporary files and locks; listings leave it out.
/// </remarks>
public sealed partial class FileBucket : IBucket
{
    public const string OwnFolder = ".observe";

    const int LockCount = 64;
    const int CopySize = 1 << 20;

    static readonly TimeSpan s_abandoned = TimeSpan.FromDays(1);

    readonly string _root;
    readonly string _own;
    readonly TimeProvider _time;

    /// <exception cref="BucketException">The folder can't be made or written.</exception>
    public FileBucket(string folder, TimeProvider time)
    {
        _root = Path.GetFullPath(folder);
        _own = Path.Combine(_root, OwnFolder);
        _time = time;
        try
        {
            Directory.CreateDirectory(_own);
            DeleteAbandoned();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Refused("open", "", e);
        }
    }

    public string Name => "file://" + _root;

    public string? LocalPath(string key) => PathOf(key);

    public Task<Stream> GetAsync(string key, CancellationToken cancellationToken)
    {
        var path = PathOf(key);
        try
        {
            return Task.FromResult<Stream>(new ObjectStream(this, key, new FileStream(
                path, FileMode.Open,
                FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, 1, FileOptions.Asynchronous | FileOptions.SequentialScan)));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw ReadFailed(key, e);
        }
    }

    public async ValueTask<int> GetRangeAsync(string key, long offset, Memory<byte> destination, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        var path = PathOf(key);
        try
        {
            using var file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, FileOptions.Asynchronous);
            var filled = 0;
            while (filled < destination.Length)
            {
                var read = await RandomAccess.ReadAsync(file, destination[filled..], offset + filled, cancellationToken);
                if (read == 0)
                {
                    break;
                }

                filled += read;
            }

            return filled;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw ReadFailed(key, e);
        }
    }

    public Task<ObjectAttributes?> AttributesAsync(string key, CancellationToken cancellationToken)
    {
        var path = PathOf(key);
        try
        {
            return Task.FromResult(Attributes(path));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Refused("read the attributes of", key, e);
        }
    }

    public async IAsyncEnumerable<BucketEntry> ListAsync(
        string prefix, bool recursive, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        ObjectKey.CheckPrefix(prefix);
        await Task.Yield();

        // A stack of the folders that are being listed, the deepest last, so that keys come in order without recursion.
        var open = new Stack<(string Prefix, List<FileSystemInfo> Entries, int Next)>();
        open.Push((prefix, EntriesOf(prefix), 0));
        while (open.Count > 0)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var (folder, entries, next) = open.Pop();
            if (next == entries.Count)
            {
                continue;
            }

            open.Push((folder, entries, next + 1));
            var entry = entries[next];
            if (entry is FileInfo file)
            {
                if (Entry(folder + file.Name, file) is { } found)
                {
                    yield return found;
                }
            }
            else if (entry.LinkTarget is not null)
            {
                // A symbolic link is not followed: it may lead to a folder above this one.
            }
            else if (recursive)
            {
                open.Push((folder + entry.Name + "/", EntriesOf(folder + entry.Name + "/"), 0));
            }
            else if (HasObject(entry.FullName))
            {
                yield return new BucketEntry(folder + entry.Name + "/", 0, default);
            }
        }
    }

    public async Task<PutResult> PutAsync(string key, Stream content, PutCondition condition, CancellationToken cancellationToken)
    {
        var path = PathOf(key);
        var temporary = Path.Combine(_own, $"{Guid.NewGuid():N}.tmp");
        try
        {
            await WriteAsync(temporary, content, cancellationToken);
            return Commit(temporary, key, path, condition);
        }
        catch (Exception e) when (e is (IOException and not BucketException) or UnauthorizedAccessException)
        {
            throw Refused("write", key, e);
        }
        finally
        {
            TryDelete(temporary);
        }
    }

    public Task DeleteAsync(string key, CancellationToken cancellationToken)
    {
        var path = PathOf(key);
        try
        {
            using var held = Lock(key);
            if (File.Exists(path))
            {
                File.Delete(path);
                DeleteEmptyFolders(Path.GetDirectoryName(path)!);
            }

            return Task.CompletedTask;
        }
        catch (DirectoryNotFoundException)
        {
            return Task.CompletedTask;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Refused("delete", key, e);
        }
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    static void TryDelete(string temporary)
    {
        try
        {
            File.Delete(temporary);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It is deleted at the next start.
        }
    }

    static async Task WriteAsync(string temporary, Stream content, CancellationToken cancellationToken)
    {
        content.Position = 0;
        using var file = File.OpenHandle(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.Read, FileOptions.None, content.Length);
        var buffer = new byte[(int)Math.Clamp(content.Length, 1, CopySize)];
        long at = 0;
        int read;
        while ((read = await content.ReadAsync(buffer, cancellationToken)) > 0)
        {
            await RandomAccess.WriteAsync(file, buffer.AsMemory(0, read), at, cancellationToken);
            at += read;
        }

        DurableFile.Sync(file, temporary);
    }

    PutResult Commit(string temporary, string key, string path, PutCondition condition)
    {
        using var held = Lock(key);
        var there = Attributes(path);
        if (condition.IfAbsent ? there is not null : condition.IfMatch is { } tag && there?.ETag != tag)
        {
            return PutResult.ConditionFailed;
        }

        // The time of writing is the version of an object, so that a later one always gets a later time.
        var now = _time.GetUtcNow().UtcTicks;
        var ticks = there is null ? now : Math.Max(now, there.LastModified.UtcTicks + 1);
        File.SetLastWriteTimeUtc(temporary, new DateTime(ticks, DateTimeKind.Utc));

        // Another delete may remove a folder after it was made and before the rename into it.
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                MakeFolders(Path.GetDirectoryName(path)!);
                DurableFile.Rename(temporary, path);
                return PutResult.Written;
            }
            catch (Exception e) when (e is DirectoryNotFoundException or FileNotFoundException && attempt < 100 && File.Exists(temporary))
            {
            }
        }
    }

    void MakeFolders(string folder)
    {
        if (folder.Length > _root.Length && !Directory.Exists(folder))
        {
            var parent = Path.GetDirectoryName(folder)!;
            MakeFolders(parent);
            Directory.CreateDirectory(folder);
            DurableFile.SyncDirectory(parent);
        }
    }

    void DeleteEmptyFolders(string folder)
    {
        for (; folder.Length > _root.Length; folder = Path.GetDirectoryName(folder)!)
        {
            try
            {
                Directory.Delete(folder);
            }
            catch (DirectoryNotFoundException)
            {
                // Another delete has removed it.
            }
            catch (IOException)
            {
                // It is not empty.
                break;
            }
        }

        // Syncs the lowest folder that is left; where another delete removes that meanwhile, the folder above it.
        for (; ; folder = Path.GetDirectoryName(folder)!)
        {
            try
            {
                DurableFile.SyncDirectory(folder);
                return;
            }
            catch (DirectoryNotFoundException) when (folder.Length > _root.Length)
            {
            }
        }
    }

    void DeleteAbandoned()
    {
        var before = (_time.GetUtcNow() - s_abandoned).UtcDateTime;
        foreach (var file in new DirectoryInfo(_own).EnumerateFiles("*.tmp"))
        {
            if (file.LastWriteTimeUtc < before)
            {
                file.Delete();
            }
        }
    }

    List<FileSystemInfo> EntriesOf(string prefix)
    {
        try
        {
            var entries = new DirectoryInfo(Path.Combine(_root, prefix))
                .EnumerateFileSystemInfos().Where(e => prefix.Length > 0 || e.Name != OwnFolder);
            return [.. entries.OrderBy(e => e is DirectoryInfo ? e.Name + "/" : e.Name, Utf8Order.Instance)];
        }
        catch (DirectoryNotFoundException)
        {
            return [];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Refused("list", prefix, e);
        }
    }

    static BucketEntry? Entry(string key, FileInfo file)
    {
        try
        {
            return new BucketEntry(key, file.Length, file.LastWriteTimeUtc);
        }
        catch (FileNotFoundException)
        {
            return null;
        }
    }

    static bool HasObject(string folder)
    {
        try
        {
            return Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Any();
        }
        catch (DirectoryNotFoundException)
        {
            return false;
        }
    }

    static ObjectAttributes? Attributes(string path)
    {
        var file = new FileInfo(path);
        return file.Exists
            ? new ObjectAttributes(
                file.Length, file.LastWriteTimeUtc, string.Create(
                CultureInfo.InvariantCulture, $"{file.LastWriteTimeUtc.Ticks:x}-{file.Length:x}"))
            : null;
    }

    string PathOf(string key)
    {
        ObjectKey.Check(key);
        return key.StartsWith(OwnFolder + "/", StringComparison.Ordinal) || key == OwnFolder
            ? throw new ArgumentException($"object key {key} is in the folder {OwnFolder}, which is the bucket's own", nameof(key))
            : Path.Combine(_root, key);
    }

    Exception ReadFailed(string key, Exception e) =>
        e is FileNotFoundException or DirectoryNotFoundException
            || (e is UnauthorizedAccessException && Directory.Exists(Path.Combine(_root, key)))
            ? new ObjectNotFoundException(Name, key, e)
            : Refused("read", key, e);

    Exception Refused(string what, string key, Exception e)
    {
        var message = key.Length == 0 ? $"{Name}: can't {what} the bucket: {e.Message}" : $"{Name}: can't {what} {key}: {e.Message}";
        return ResourceExhaustedException.IsCauseOf(e)
            ? new ResourceExhaustedException(message, e)
            : new BucketException(message, e)
            {
                Failure = e is UnauthorizedAccessException
            ? BucketFailure.Denied
            : BucketFailure.Unavailable
            };
    }

    /// <summary>Waits for the lock of a key, shared by all processes; held for a rename and a sync.</summary>
    SafeFileHandle Lock(string key)
    {
        var stripe = System.IO.Hashing.XxHash3.HashToUInt64(Utf8Order.Bytes(key)) % LockCount;
        var path = Path.Combine(_own, string.Create(CultureInfo.InvariantCulture, $"lock-{stripe:x2}"));

        // Not File.OpenHandle: it takes a lock of its own, and fails where another holds one.
        var descriptor = Open(path, 0x80042 /* O_RDWR | O_CREAT | O_CLOEXEC */, 0x1b6 /* rw-rw-rw- less the umask */);
        if (descriptor < 0)
        {
            throw Failed("open");
        }

        var file = new SafeFileHandle(descriptor, ownsHandle: true);
        while (Flock(file, 2 /* LOCK_EX */) != 0)
        {
            if (Marshal.GetLastPInvokeError() != 4 /* EINTR */)
            {
                file.Dispose();
                throw Failed("flock");
            }
        }

        return file;

        IOException Failed(string call) => new($"{call} {path}: {Marshal.GetLastPInvokeErrorMessage()}", Marshal.GetLastPInvokeError());
    }

    /// <summary>What reading a file throws, as a bucket's.</summary>
    sealed class ObjectStream(FileBucket bucket, string key, FileStream file) : ForwardStream
    {
        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            try
            {
                return await file.ReadAsync(buffer, cancellationToken);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw bucket.ReadFailed(key, e);
            }
        }

        protected override void Dispose(bool disposing)
        {
            if (disposing)
            {
                file.Dispose();
            }

            base.Dispose(disposing);
        }
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags, int mode);

    [LibraryImport("libc", EntryPoint = "flock", SetLastError = true)]
    private static partial int Flock(SafeFileHandle file, int operation);
}
