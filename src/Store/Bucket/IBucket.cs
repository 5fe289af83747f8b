namespace Observe.Store.Bucket;

/// <summary>What a listing names: an object, or in a listing that does not descend a folder, whose key ends in a slash.</summary>
/// <param name="Size">Bytes; 0 for a folder.</param>
/// <param name="LastModified">As the store tells it; default for a folder.</param>
public readonly record struct BucketEntry(string Key, long Size, DateTimeOffset LastModified)
{
    public bool IsFolder => Key.EndsWith('/');
}

/// <param name="ETag">The store's tag of this version, for <see cref="PutCondition.IfMatch"/>.</param>
public sealed record ObjectAttributes(long Size, DateTimeOffset LastModified, string ETag);

/// <summary>When a write may happen: always, only where nothing is, or only over the version that was read.</summary>
public readonly record struct PutCondition(bool IfAbsent, string? IfMatch)
{
    public static PutCondition None => default;

    public static PutCondition Absent => new(true, null);

    public static PutCondition Match(string etag) => new(false, etag);
}

public enum PutResult
{
    Written,

    /// <summary>The condition did not hold; nothing was written.</summary>
    ConditionFailed,
}

/// <summary>
/// An object store: flat keys with slashes, whole objects written at once, read after write. Thread-safe. A write that throws may or
/// may not have happened; a reader never sees half an object.
/// </summary>
/// <remarks>
/// Whatever fails is a <see cref="BucketException"/>, after what may help was tried again; its <see cref="BucketException.Failure"/> says
/// of which kind, its message what to check, and neither holds a secret. Besides it there are only
/// <see cref="OperationCanceledException"/> when the caller cancels, <see cref="ArgumentException"/> for a key that is none, and
/// <see cref="Tsdb.Bytes.ResourceExhaustedException"/> when this process is out of descriptors or memory. The stream of an object throws
/// the same ones; its bytes are good once it has been read to its end, where they are held against the store's checksum. A range has no
/// checksum: what is read from it is held against those of its own format.
/// </remarks>
public interface IBucket : IAsyncDisposable
{
    /// <summary>For messages: <c>s3://bucket/prefix</c> or <c>file:///folder</c>; without secrets.</summary>
    string Name { get; }

    /// <summary>
    /// The file that is an object, whether it exists or not, where the store is a folder of this machine; null elsewhere.
    /// </summary>
    string? LocalPath(string key) => null;

    /// <summary>The whole object; the caller disposes the stream.</summary>
    Task<Stream> GetAsync(string key, CancellationToken cancellationToken);

    /// <summary>Fills the destination from an offset on; returns fewer bytes only where the object ends.</summary>
    ValueTask<int> GetRangeAsync(string key, long offset, Memory<byte> destination, CancellationToken cancellationToken);

    /// <summary>Null when there is no such object.</summary>
    Task<ObjectAttributes?> AttributesAsync(string key, CancellationToken cancellationToken);

    /// <summary>Objects whose key starts with a prefix ("" or one that ends in a slash), in order of key.</summary>
    /// <param name="recursive">False: folders below the prefix are named, but not entered.</param>
    IAsyncEnumerable<BucketEntry> ListAsync(string prefix, bool recursive, CancellationToken cancellationToken);

    /// <summary>Writes an object from a stream that can seek, from its start to its end.</summary>
    Task<PutResult> PutAsync(string key, Stream content, PutCondition condition, CancellationToken cancellationToken);

    /// <summary>Deletes; an object that is not there is no error.</summary>
    Task DeleteAsync(string key, CancellationToken cancellationToken);
}

/// <summary>Why a bucket failed.</summary>
public enum BucketFailure
{
    /// <summary>It can't be reached, is overloaded or failed; a later attempt may succeed.</summary>
    Unavailable,

    /// <summary>There is no such object, or no such bucket.</summary>
    NotFound,

    /// <summary>The credentials are wrong, or may not do this.</summary>
    Denied,

    /// <summary>The object was replaced while it was read.</summary>
    Changed,

    /// <summary>What came is not what the store says it holds, or is no answer of such a store.</summary>
    Damaged,

    /// <summary>The object is larger than it may be.</summary>
    TooLarge,

    /// <summary>The store or the configuration does not allow it, and will not later.</summary>
    Refused,
}

public class BucketException(string message, Exception? inner = null) : IOException(message, inner)
{
    public BucketFailure Failure { get; init; }
}

public sealed class ObjectNotFoundException : BucketException
{
    public ObjectNotFoundException(string bucket, string key, Exception? inner = null)
        : base($"{bucket}: there is no object {key}", inner) =>
        (Key, Failure) = (key, BucketFailure.NotFound);

    public string Key { get; }
}

public static class BucketReading
{
    const int ReadAttempts = 3;

    /// <summary>A small object as a whole.</summary>
    /// <param name="limit">Bytes; a larger object is <see cref="BucketFailure.TooLarge"/>.</param>
    public static Task<byte[]> GetBytesAsync(this IBucket bucket, string key, int limit, CancellationToken cancellationToken) =>
        bucket.ReadAsync(
            key,
            async stream =>
            {
                using var content = new MemoryStream();
                var buffer = new byte[81_920];
                int read;
                while ((read = await stream.ReadAsync(buffer, cancellationToken)) > 0)
                {
                    if (content.Length + read > limit)
                    {
                        throw new BucketException($"{bucket.Name}: object {key} is larger than the {limit} bytes that it may have")
                        {
                            Failure = BucketFailure.TooLarge,
                        };
                    }

                    content.Write(buffer, 0, read);
                }

                return content.ToArray();
            },
            cancellationToken);

    /// <summary>
    /// Reads an object to its end, and once more from its start when it turns out there that it was damaged on its way: the reader may be
    /// called twice.
    /// </summary>
    public static async Task<T> ReadAsync<T>(
        this IBucket bucket, string key, Func<Stream, Task<T>> read, CancellationToken cancellationToken)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                await using var stream = await bucket.GetAsync(key, cancellationToken);
                return await read(stream);
            }
            catch (BucketException e) when (attempt < ReadAttempts && e.Failure is BucketFailure.Damaged or BucketFailure.Changed)
            {
            }
        }
    }

    public static Task<PutResult> PutBytesAsync(
        this IBucket bucket, string key, ReadOnlyMemory<byte> content, PutCondition condition, CancellationToken cancellationToken) =>
        bucket.PutAsync(key, new MemoryStream(content.ToArray(), writable: false), condition, cancellationToken);
}
