using Observe.Tsdb.Blocks;

namespace Observe.Store.Gateway;

/// <summary>One page of a block's file.</summary>
/// <param name="File">0 for the index, else the segment's number from 1.</param>
/// <param name="Number">The page's offset in the file / <see cref="PageCache.PageSize"/>.</param>
readonly record struct PageKey(BlockId Block, int File, long Number);

/// <summary>
/// The pages that were used last, up to a number of bytes. Files of a block never change, so neither do pages. Thread-safe.
/// </summary>
sealed class PageCache
{
    public const int PageSize = 32 << 10;

    const int ShardCount = 16;

    readonly Shard[] _shards;
    readonly BucketStoreMetrics _metrics;

    public PageCache(long capacity, BucketStoreMetrics metrics)
    {
        _metrics = metrics;
        _shards = [.. Enumerable.Range(0, ShardCount).Select(_ => new Shard(capacity / ShardCount, metrics))];
    }

    /// <summary>A page, not to be written to; null when it is not there.</summary>
    public byte[]? Get(PageKey key)
    {
        var page = ShardOf(key).Get(key);
        var kind = key.File == 0 ? "index" : "chunks";
        _metrics.CacheRequests.WithLabels(kind).Inc();
        if (page is not null)
        {
            _metrics.CacheHits.WithLabels(kind).Inc();
        }

        return page;
    }

    /// <param name="page">Owned by the cache from then on.</param>
    public void Put(PageKey key, byte[] page) => ShardOf(key).Put(key, page);

    /// <summary>Drops all pages of a block: one of them may have been damaged on its way.</summary>
    public void Forget(BlockId block) => Array.ForEach(_shards, shard => shard.Forget(block));

    Shard ShardOf(PageKey key) => _shards[(uint)key.GetHashCode() % ShardCount];

    sealed class Shard(long capacity, BucketStoreMetrics metrics)
    {
        readonly Lock _lock = new();
        readonly Dictionary<PageKey, LinkedListNode<(PageKey Key, byte[] Page)>> _pages = [];
        readonly LinkedList<(PageKey Key, byte[] Page)> _byUse = new();
        long _bytes;

        public byte[]? Get(PageKey key)
        {
            lock (_lock)
            {
                if (!_pages.TryGetValue(key, out var node))
                {
                    return null;
                }

                _byUse.Remove(node);
                _byUse.AddFirst(node);
                return node.Value.Page;
            }
        }

        public void Forget(BlockId block)
        {
            lock (_lock)
            {
                foreach (var key in _pages.Keys.Where(key => key.Block == block).ToList())
                {
                    _pages.Remove(key, out var node);
                    _byUse.Remove(node!);
                    _bytes -= node!.Value.Page.Length;
                    metrics.CacheBytes.Dec(node.Value.Page.Length);
                }
            }
        }

        public void Put(PageKey key, byte[] page)
        {
            if (page.Length > capacity)
            {
                return;
            }

            lock (_lock)
            {
                if (_pages.ContainsKey(key))
                {
                    return;
                }

                _pages[key] = _byUse.AddFirst((key, page));
                var before = _bytes;
                for (_bytes += page.Length; _bytes > capacity; metrics.CacheEvictions.Inc())
                {
                    var last = _byUse.Last!;
                    _byUse.RemoveLast();
                    _pages.Remove(last.Value.Key);
                    _bytes -= last.Value.Page.Length;
                }

                metrics.CacheBytes.Inc(_bytes - before);
            }
        }
    }
}
