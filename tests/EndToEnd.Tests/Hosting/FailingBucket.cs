using System.Collections.Concurrent;
using Observe.Store.Bucket;

namespace Observe.EndToEnd.Tests.Hosting;

/// <summary>A bucket that is another one, and throws what nobody foresees where it is told to.</summary>
sealed class FailingBucket(IBucket inner) : IBucket
{
    readonly ConcurrentDictionary<string, int> _faults = new();

    public string Name => inner.Name;

    /// <summary>
    /// The next so many operations on keys that contain a text throw; "" is in all. The key of a listing is its prefix and an asterisk.
    /// </summary>
    public void Fail(string part, int times) => _faults[part] = times;

    /// <summary>How many of them are still to come.</summary>
    public int Left(string part) => _faults.GetValueOrDefault(part);

    public Task<Stream> GetAsync(string key, CancellationToken cancellationToken) => Pass(key).GetAsync(key, cancellationToken);

    public ValueTask<int> GetRangeAsync(string key, long offset, Memory<byte> destination, CancellationToken cancellationToken) =>
        Pass(key).GetRangeAsync(key, offset, destination, cancellationToken);

    public Task<ObjectAttributes?> AttributesAsync(string key, CancellationToken cancellationToken) => Pass(key).AttributesAsync(key, cancellationToken);

    public IAsyncEnumerable<BucketEntry> ListAsync(string prefix, bool recursive, CancellationToken cancellationToken) =>
        Pass(prefix + "*").ListAsync(prefix, recursive, cancellationToken);

    public Task<PutResult> PutAsync(string key, Stream content, PutCondition condition, CancellationToken cancellationToken) =>
        Pass(key).PutAsync(key, content, condition, cancellationToken);

    public Task DeleteAsync(string key, CancellationToken cancellationToken) => Pass(key).DeleteAsync(key, cancellationToken);

    /// <summary>It outlives the roles of a test.</summary>
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    IBucket Pass(string key)
    {
        foreach (var part in _faults.Keys.Where(part => key.Contains(part, StringComparison.Ordinal)))
        {
            if (_faults.AddOrUpdate(part, 0, (_, left) => Math.Max(left - 1, -1)) >= 0)
            {
                throw new InvalidOperationException($"nobody foresaw this at {key}");
            }
        }

        return inner;
    }
}
