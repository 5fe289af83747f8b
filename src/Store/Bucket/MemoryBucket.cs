using System.Globalization;
using System.Runtime.CompilerServices;
using Observe.Tsdb.Model;

namespace Observe.Store.Bucket;

/// <summary>The operations of a bucket, for metrics and for faults.</summary>
public enum BucketOperation
{
    Get,
    GetRange,
    Attributes,
    List,
    Put,
    Delete,
}

/// <summary>
/// A bucket in memory, for tests, stricter than the real ones: a key is an object or a folder, never both; streams come in short reads and
/// can't seek; what is read or listed is what was there when it was asked for. Faults are injected through its two hooks.
/// </summary>
public sealed class MemoryBucket(TimeProvider time) : IBucket
{
    const int ShortRead = 1000;

    readonly Lock _sync = new();
    readonly SortedDictionary<string, (byte[] Content, ObjectAttributes Attributes)> _objects = new(Utf8Order.Instance);
    long _version;

    public string Name => "memory://";

    /// <summary>Called with each operation before it happens; what it returns is thrown instead.</summary>
    public Func<BucketOperation, string, Exception?>? Fault { get; set; }

    /// <summary>
    /// Called with each put and delete after it happened: what it returns is thrown, and the caller can't know that it did happen.
    /// </summary>
    public Func<BucketOperation, string, Exception?>? LateFault { get; set; }

    /// <summary>All keys, in order.</summary>
    public IReadOnlyList<string> Keys
    {
        get
        {
            lock (_sync)
            {
                return [.. _objects.Keys];
            }
        }
    }

    public async Task<Stream> GetAsync(string key, CancellationToken cancellationToken)
    {
        await BeginAsync(BucketOperation.Get, key, cancellationToken);
        return new ShortStream(Find(key)?.Content ?? throw new ObjectNotFoundException(Name, key));
    }

    public async ValueTask<int> GetRangeAsync(string key, long offset, Memory<byte> destination, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        await BeginAsync(BucketOperation.GetRange, key, cancellationToken);
        var content = Find(key)?.Content ?? throw new ObjectNotFoundException(Name, key);
        var part = content.AsSpan((int)Math.Min(offset, content.Length));
        part = part[..Math.Min(part.Length, destination.Length)];
        part.CopyTo(destination.Span);
        return part.Length;
    }

    public async Task<ObjectAttributes?> AttributesAsync(string key, CancellationToken cancellationToken)
    {
        await BeginAsync(BucketOperation.Attributes, key, cancellationToken);
        return Find(key)?.Attributes;
    }

    public async IAsyncEnumerable<BucketEntry> ListAsync(
        string prefix, bool recursive, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        ObjectKey.CheckPrefix(prefix);
        await Task.Yield();
        if (Fault?.Invoke(BucketOperation.List, prefix) is { } fault)
        {
            throw fault;
        }

        var entries = new List<BucketEntry>();
        lock (_sync)
        {
            foreach (var (key, (_, attributes)) in _objects.Where(o => o.Key.StartsWith(prefix, StringComparison.Ordinal)))
            {
                var slash = recursive ? -1 : key.IndexOf('/', prefix.Length);
                if (slash < 0)
                {
                    entries.Add(new BucketEntry(key, attributes.Size, attributes.LastModified));
                }
                else if (entries.Count == 0 || entries[^1].Key != key[..(slash + 1)])
                {
                    entries.Add(new BucketEntry(key[..(slash + 1)], 0, default));
                }
            }
        }

        foreach (var entry in entries)
        {
            cancellationToken.ThrowIfCancellationRequested();
            yield return entry;
        }
    }

    public async Task<PutResult> PutAsync(string key, Stream content, PutCondition condition, CancellationToken cancellationToken)
    {
        await BeginAsync(BucketOperation.Put, key, cancellationToken);
        content.Position = 0;
        var copy = new byte[content.Length];
        await content.ReadExactlyAsync(copy, cancellationToken);
        lock (_sync)
        {
            var there = Find(key)?.Attributes;
            if (condition.IfAbsent ? there is not null : condition.IfMatch is { } tag && there?.ETag != tag)
            {
                return PutResult.ConditionFailed;
            }

            if (_objects.Keys.FirstOrDefault(k => k.StartsWith(key + "/", StringComparison.Ordinal)
                || key.StartsWith(k + "/", StringComparison.Ordinal)) is { } other)
            {
                throw new BucketException($"{Name}: can't write {key}: beside {other} it would be an object and a folder at once");
            }

            var version = (++_version).ToString("x", CultureInfo.InvariantCulture);
            _objects[key] = (copy, new ObjectAttributes(copy.Length, time.GetUtcNow(), version));
        }

        return LateFault?.Invoke(BucketOperation.Put, key) is { } fault ? throw fault : PutResult.Written;
    }

    public async Task DeleteAsync(string key, CancellationToken cancellationToken)
    {
        await BeginAsync(BucketOperation.Delete, key, cancellationToken);
        lock (_sync)
        {
            _objects.Remove(key);
        }

        if (LateFault?.Invoke(BucketOperation.Delete, key) is { } fault)
        {
            throw fault;
        }
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    async ValueTask BeginAsync(BucketOperation operation, string key, CancellationToken cancellationToken)
    {
        ObjectKey.Check(key);
        await Task.Yield();
        cancellationToken.ThrowIfCancellationRequested();
        if (Fault?.Invoke(operation, key) is { } fault)
        {
            throw fault;
        }
    }

    (byte[] Content, ObjectAttributes Attributes)? Find(string key)
    {
        lock (_sync)
        {
            return _objects.TryGetValue(key, out var found) ? found : null;
        }
    }

    sealed class ShortStream(byte[] content) : ForwardStream
    {
        int _at;

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            await Task.Yield();
            cancellationToken.ThrowIfCancellationRequested();
            var count = Math.Min(Math.Min(buffer.Length, ShortRead), content.Length - _at);
            content.AsSpan(_at, count).CopyTo(buffer.Span);
            _at += count;
            return count;
        }
    }
}
