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
/// <exception cref="ObjectNotFoundException">A read names an object that is not there.</exception>
/// <exception cref="BucketException">The store can't be reached or refuses, after retries; the message says which and what to check, and holds no secret.</exception>
public interface IBucket : IAsyncDisposable
{
    /// <summary>For messages: <c>s3://bucket/prefix</c> or <c>file:///folder</c>; without secrets.</summary>
    string Name { get; }

    /// <summary>The file that is an object, whether it exists or not, where the store is a folder of this machine; null elsewhere.</summary>
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

public class BucketException(string message, Exception? inner = null) : IOException(message, inner);

public sealed class ObjectNotFoundException(string bucket, string key, Exception? inner = null)
    : BucketException($"{bucket}: there is no object {key}", inner)
{
    public string Key { get; } = key;
}

public static class BucketReading
{
    /// <summary>A small object as a whole.</summary>
    /// <param name="limit">Bytes; a larger object is a <see cref="BucketException"/>.</param>
    public static async Task<byte[]> GetBytesAsync(this IBucket bucket, string key, int limit, CancellationToken cancellationToken)
    {
        await using var stream = await bucket.GetAsync(key, cancellationToken);
        using var content = new MemoryStream();
        var buffer = new byte[81_920];
        int read;
        while ((read = await stream.ReadAsync(buffer, cancellationToken)) > 0)
        {
            if (content.Length + read > limit)
            {
                throw new BucketException($"{bucket.Name}: object {key} is larger than the {limit} bytes that it may have");
            }

            content.Write(buffer, 0, read);
        }

        return content.ToArray();
    }

    public static Task<PutResult> PutBytesAsync(
        this IBucket bucket, string key, ReadOnlyMemory<byte> content, PutCondition condition, CancellationToken cancellationToken) =>
        bucket.PutAsync(key, new MemoryStream(content.ToArray(), writable: false), condition, cancellationToken);
}
