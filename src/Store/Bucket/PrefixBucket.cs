using System.Runtime.CompilerServices;

namespace Observe.Store.Bucket;

/// <summary>A folder of another bucket as a bucket; disposes that bucket with itself.</summary>
public sealed class PrefixBucket : IBucket
{
    readonly IBucket _inner;
    readonly string _prefix;

    /// <param name="prefix">With or without slashes around it.</param>
    public PrefixBucket(IBucket inner, string prefix)
    {
        _inner = inner;
        _prefix = prefix.Trim('/') + "/";
        ObjectKey.CheckPrefix(_prefix);
    }

    public string Name => _inner.Name.EndsWith('/') ? _inner.Name + _prefix[..^1] : $"{_inner.Name}/{_prefix[..^1]}";

    public string? LocalPath(string key) => _inner.LocalPath(Full(key));

    public async Task<Stream> GetAsync(string key, CancellationToken cancellationToken)
    {
        try
        {
            return await _inner.GetAsync(Full(key), cancellationToken);
        }
        catch (ObjectNotFoundException e)
        {
            throw new ObjectNotFoundException(Name, key, e);
        }
    }

    public async ValueTask<int> GetRangeAsync(string key, long offset, Memory<byte> destination, CancellationToken cancellationToken)
    {
        try
        {
            return await _inner.GetRangeAsync(Full(key), offset, destination, cancellationToken);
        }
        catch (ObjectNotFoundException e)
        {
            throw new ObjectNotFoundException(Name, key, e);
        }
    }

    public Task<ObjectAttributes?> AttributesAsync(string key, CancellationToken cancellationToken) =>
        _inner.AttributesAsync(Full(key), cancellationToken);

    public async IAsyncEnumerable<BucketEntry> ListAsync(
        string prefix, bool recursive, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        ObjectKey.CheckPrefix(prefix);
        await foreach (var entry in _inner.ListAsync(_prefix + prefix, recursive, cancellationToken))
        {
            yield return entry with { Key = entry.Key[_prefix.Length..] };
        }
    }

    public Task<PutResult> PutAsync(string key, Stream content, PutCondition condition, CancellationToken cancellationToken) =>
        _inner.PutAsync(Full(key), content, condition, cancellationToken);

    public Task DeleteAsync(string key, CancellationToken cancellationToken) => _inner.DeleteAsync(Full(key), cancellationToken);

    public ValueTask DisposeAsync() => _inner.DisposeAsync();

    string Full(string key)
    {
        ObjectKey.Check(key);
        return _prefix + key;
    }
}
