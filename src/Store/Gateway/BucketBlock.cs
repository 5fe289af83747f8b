using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Index;
using Observe.Tsdb.Model;

namespace Observe.Store.Gateway;

/// <summary>What has to be at hand of a block to read its series by ranges.</summary>
sealed record BlockIndex(IndexHeader Header, Tombstones Tombstones);

/// <summary>One block of the bucket. Nothing of it is read before the first query that needs it. Thread-safe.</summary>
sealed class BucketBlock : IDisposable
{
    /// <summary>A series entry or chunk of unknown size is asked for with so many bytes, and again if it is larger.</summary>
    const int SeriesSize = 512;
    const int ChunkSize = 2_048;

    /// <summary>What a meta.json says of sizes is believed up to here: larger ones are asked for again.</summary>
    const int MaxSize = 64 << 10;

    public const int SeriesBatch = 10_000;

    readonly IBucket _bucket;
    readonly RangeReader _reader;
    readonly string _directory;
    readonly BucketStoreMetrics _metrics;
    readonly SemaphoreSlim _opening = new(1, 1);
    readonly UseCount _users;
    readonly Dictionary<string, long> _sizes = [];
    readonly Lock _openingLocal = new();
    BlockIndex? _index;
    Block? _local;
    bool _drop;

    /// <param name="directory">The block's own local folder, made when it is needed.</param>
    public BucketBlock(BlockMeta meta, IBucket bucket, RangeReader reader, string directory, BucketStoreMetrics metrics)
    {
        (Meta, _bucket, _reader, _directory, _metrics) = (meta, bucket, reader, directory, metrics);
        ExternalLabels = meta.ExternalLabels;
        foreach (var file in meta.Thanos?.Files ?? [])
        {
            _sizes[file.Path] = file.Size;
        }

        _users = new UseCount(Close);
    }

    public BlockMeta Meta { get; }

    public Labels ExternalLabels { get; }

    /// <summary>For messages.</summary>
    public string Name => $"{_bucket.Name}/{Meta.Id}";

    public bool TryAcquire() => _users.TryAcquire();

    public void Release() => _users.Release();

    /// <summary>The block left the bucket: its local files go with it.</summary>
    public void Drop()
    {
        _drop = true;
        _users.Release();
    }

    public void Dispose() => _users.Release();

    /// <summary>What has to be at hand of the index; read from the bucket the first time.</summary>
    public async Task<BlockIndex> IndexAsync(CancellationToken cancellationToken)
    {
        if (Volatile.Read(ref _index) is { } open)
        {
            return open;
        }

        await _opening.WaitAsync(cancellationToken);
        try
        {
            if (_index is null)
            {
                _metrics.BlockLoads.Inc();
                try
                {
                    Volatile.Write(ref _index, await OpenIndexAsync(cancellationToken));
                }
                catch (IOException)
                {
                    _metrics.BlockLoadFailures.Inc();
                    throw;
                }
            }

            return _index!;
        }
        finally
        {
            _opening.Release();
        }
    }

    async Task<BlockIndex> OpenIndexAsync(CancellationToken cancellationToken)
    {
        var tombstones = TombstonesCopy.OpenAsync(_bucket, Meta.Id, Path.Combine(_directory, Tombstones.FileName), cancellationToken);
        IndexHeader? header = null;
        try
        {
            var size = await SizeAsync("index", cancellationToken);
            header = await IndexHeader.OpenAsync(_bucket, Meta.Id, size, Path.Combine(_directory, "index-header"), cancellationToken);
            return new BlockIndex(header, await tombstones);
        }
        catch
        {
            header?.Dispose();
            await ((Task)tombstones).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            throw;
        }
    }

    /// <summary>The bucket is a folder of this machine.</summary>
    public bool IsLocal => _bucket.LocalPath(BucketBlocks.Key(Meta.Id, "index")) is not null;

    /// <summary>The block's own files, where the bucket is a folder of this machine.</summary>
    /// <exception cref="ObjectNotFoundException">They are gone.</exception>
    public Block? Local()
    {
        if (Volatile.Read(ref _local) is { } open)
        {
            return open;
        }

        var key = BucketBlocks.Key(Meta.Id, "index");
        if (_bucket.LocalPath(key) is not { } path)
        {
            return null;
        }

        lock (_openingLocal)
        {
            try
            {
                return _local ??= Block.Open(Path.GetDirectoryName(path)!);
            }
            catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
            {
                throw new ObjectNotFoundException(_bucket.Name, key, e);
            }
        }
    }

    /// <summary>
    /// Series that match, in no particular order.
    /// </summary>
    /// <param name="matchers">Without those on external labels.</param>
    /// <param name="wanted">Series that suffice.</param>
    /// <param name="external">Those of the block's external labels that series come with.</param>
    /// <param name="withChunks">Also read where the chunks are.</param>
    /// <param name="like">As of <see cref="BlockEntries"/>; may be null.</param>
    /// <returns>The caller's, to be disposed.</returns>
    public async Task<BlockEntries> EntriesAsync(
        IReadOnlyList<Matcher> matchers,
        int wanted, TimeRange range, Labels external, bool withChunks, BlockEntries? like, ByteBudget budget,
        CancellationToken cancellationToken)
    {
        if (Local() is { } local)
        {
            return await local.EntriesAsync(matchers, Sufficient(local.HasLabel), NewEntries, cancellationToken);
        }

        return await TwiceAsync(async () =>
        {
            var index = await IndexAsync(cancellationToken);
            var plan = PostingsPlan<PostingsRange>.Of(index.Header.Lists, matchers, cancellationToken);
            var sufficient = Sufficient(name => index.Header.Lists.Size(Utf8Order.Bytes(name)).Values > 0);
            var entries = NewEntries();
            try
            {
                foreach (var part in sufficient < int.MaxValue ? plan.Parts() : [plan])
                {
                    var references = entries.Count < sufficient ? await PostingsAsync(part, budget, cancellationToken) : default;
                    for (int from = 0, count; from < references.Length && entries.Count < sufficient; from += count)
                    {
                        count = Math.Min(references.Length - from, Math.Min(SeriesBatch, Math.Max(sufficient, from)));
                        await SeriesAsync(index, references.Slice(from, count), entries, budget, cancellationToken);
                    }
                }

                return entries;
            }
            catch
            {
                entries.Dispose();
                throw;
            }
        });

        BlockEntries NewEntries() => new(external, range, withChunks, like);

        // Where an external label replaces one of the series', several may become one.
        int Sufficient(Func<string, bool> hasLabel) => wanted < int.MaxValue && external.Names().Any(hasLabel) ? int.MaxValue : wanted;
    }

    /// <summary>Searches for names and values.</summary>
    public Task<T> SearchAsync<T>(Func<BucketLabels, Task<T>> search, ByteBudget budget) =>
        Local() is not null ? search(new BucketLabels(this, budget)) : TwiceAsync(() => search(new BucketLabels(this, budget)));

    // What was read may have been damaged on its way here: ranges of an object have no checksum.
    async Task<T> TwiceAsync<T>(Func<Task<T>> read)
    {
        try
        {
            return await read();
        }
        catch (CorruptionException)
        {
            _reader.Forget(Meta.Id);
            return await read();
        }
    }

    /// <summary>Reads chunks and takes out of them what is deleted; a damaged one is left out and reported.</summary>
    /// <param name="members">Series of this block.</param>
    /// <param name="faults">Gets what is wrong with a chunk that is left out.</param>
    /// <returns>For each series its chunks, in arrays that live as long as they are referred to.</returns>
    public async Task<Chunk[][]> ChunksAsync(
        List<BlockMember> members, Action<CorruptionException> faults, ByteBudget budget, CancellationToken cancellationToken)
    {
        var sizes = Estimates(members);
        var chunks = members.Select(member => new Chunk[member.Chunks.Length]).ToArray();
        var damaged = members.Select(member => new bool[member.Chunks.Length]).ToArray();
        var isSecond = false;

        // Entries that turn out larger than was asked for come around again, with their true size; damaged ones once, fetched anew.
        while (sizes.Count > 0)
        {
            var larger = new List<(int Series, int Chunk, long Size)>();
            var suspects = new List<(int Series, int Chunk, long Size, CorruptionException Fault)>();
            foreach (var segment in sizes.GroupBy(s => ChunkSegments.Segment(members[s.Series].Chunks.Span[s.Chunk].Ref)))
            {
                var wanted = segment.OrderBy(s => members[s.Series].Chunks.Span[s.Chunk].Ref).ToList();
                await SegmentAsync(segment.Key, wanted, members, chunks, larger, suspects, budget, cancellationToken);
            }

            sizes = larger;
            if (suspects.Count > 0 && !isSecond)
            {
                isSecond = true;
                _reader.Forget(Meta.Id);
                sizes.AddRange(suspects.Select(s => (s.Series, s.Chunk, s.Size)));
                continue;
            }

            foreach (var (s, c, _, fault) in suspects)
            {
                damaged[s][c] = true;
                faults(fault);
            }
        }

        for (var s = 0; s < chunks.Length; s++)
        {
            if (damaged[s].Contains(true))
            {
                chunks[s] = [.. chunks[s].Where((_, c) => !damaged[s][c])];
            }

            if (DeletedSpans.Of(members[s].Chunks) is { IsEmpty: false } deleted)
            {
                chunks[s] = Cut(chunks[s], deleted, faults);
            }
        }

        return chunks;
    }

    Chunk[] Cut(Chunk[] chunks, DeletedSpans deleted, Action<CorruptionException> faults)
    {
        var rest = new List<Chunk>(chunks.Length);
        foreach (var chunk in chunks)
        {
            try
            {
                rest.AddRange(deleted.Cut([chunk], Name));
            }
            catch (CorruptionException e)
            {
                faults(e);
            }
        }

        return [.. rest];
    }

    async Task SegmentAsync(
        int segment, List<(int Series, int Chunk, long Size)> wanted, List<BlockMember> members, Chunk[][] chunks,
        List<(int Series, int Chunk, long Size)> larger, List<(int Series, int Chunk, long Size, CorruptionException Fault)> suspects,
            ByteBudget budget, CancellationToken cancellationToken)
    {
        var file = segment + 1;
        long size;
        try
        {
            size = await SizeAsync(RangeReader.FileName(file), cancellationToken);
        }
        catch (CorruptionException e)
        {
            suspects.AddRange(wanted.Select(w => (w.Series, w.Chunk, w.Size, e)));
            return;
        }

        var ranges = wanted.Select(w =>
        {
            var start = ChunkSegments.Offset(members[w.Series].Chunks.Span[w.Chunk].Ref);
            return new ByteRange(start, start + w.Size);
        }).ToList();
        using var bytes = await _reader.ReadAsync(Meta.Id, file, size, ranges, budget, cancellationToken);
        for (var i = 0; i < wanted.Count; i++)
        {
            var (s, c, _) = wanted[i];
            try
            {
                var here = bytes.From(ranges[i].Start, long.MaxValue);
                var chunk = ChunkSegments.Parse(here, members[s].Chunks.Span[c], bytes.Source, out var entry);
                if (entry > here.Length)
                {
                    if (ranges[i].Start + entry > size)
                    {
                        CorruptionException.Throw(bytes.Source, ranges[i].Start, "a chunk runs past the segment's end");
                    }

                    larger.Add((s, c, entry));
                    continue;
                }

                budget.ReserveMemory(chunk.Data.Length);
                chunks[s][c] = chunk with { Data = chunk.Data.ToArray() };
            }
            catch (CorruptionException e)
            {
                suspects.Add((s, c, wanted[i].Size, e));
            }
        }
    }

    // Where the next chunk of the series follows closely, it tells the size.
    List<(int Series, int Chunk, long Size)> Estimates(List<BlockMember> members)
    {
        var known = Meta.Thanos?.IndexStats?.ChunkMaxSize is > 0 and <= MaxSize and var size ? size : 0;
        var most = known > 0 ? known : MaxSize;
        var estimates = new List<(int, int, long)>();
        for (var s = 0; s < members.Count; s++)
        {
            var metas = members[s].Chunks.Span;
            for (var c = 0; c < metas.Length; c++)
            {
                var distance = c + 1 < metas.Length && metas[c + 1].Ref > metas[c].Ref ? metas[c + 1].Ref - metas[c].Ref : ulong.MaxValue;
                estimates.Add((s, c, distance <= (ulong)most ? (long)distance : known > 0 ? Math.Min(known, ChunkSize * 2) : ChunkSize));
            }
        }

        return estimates;
    }

    /// <summary>References of the series that match, in order of their labels, deleted ones among them.</summary>
    public Task<ReadOnlyMemory<uint>> PostingsAsync(
        IndexHeader header, IReadOnlyList<Matcher> matchers, ByteBudget budget, CancellationToken cancellationToken) =>
        PostingsAsync(PostingsPlan<PostingsRange>.Of(header.Lists, matchers, cancellationToken), budget, cancellationToken);

    async Task<ReadOnlyMemory<uint>> PostingsAsync(
        PostingsPlan<PostingsRange> plan, ByteBudget budget, CancellationToken cancellationToken)
    {
        if (plan.IsEmpty)
        {
            return default;
        }

        using var lists = await ListsAsync(plan.Required.SelectMany(some => some).Concat(plan.Excluded), budget, cancellationToken);
        return plan.Evaluate(lists.Open, cancellationToken).Rest();
    }

    /// <summary>Fetches postings lists.</summary>
    public async Task<FetchedLists> ListsAsync(
        IEnumerable<PostingsRange> lists, ByteBudget budget, CancellationToken cancellationToken)
    {
        var ranges = lists.Distinct().Select(list => new ByteRange(list.Start, list.End)).OrderBy(range => range.Start).ToList();
        var size = await SizeAsync("index", cancellationToken);
        return new FetchedLists(await _reader.ReadAsync(Meta.Id, 0, size, ranges, budget, cancellationToken));
    }

    /// <summary>Fetches series entries.</summary>
    public async Task SeriesAsync(
        BlockIndex index, ReadOnlyMemory<uint> references, BlockEntries entries, ByteBudget budget, CancellationToken cancellationToken)
    {
        var stats = Meta.Thanos?.IndexStats?.SeriesMaxSize is > 0 and <= MaxSize and var known ? known : SeriesSize;
        var (header, tombstones) = index;
        var alignment = header.IndexVersion == 1 ? 1L : IndexFormat.SeriesAlignment;
        var wanted = references.ToArray()
            .Select(reference => reference * alignment).Select(start => new ByteRange(start, start + stats)).ToList();
        var size = await SizeAsync("index", cancellationToken);
        var chunks = new List<ChunkMeta>();
        while (wanted.Count > 0)
        {
            var larger = new List<ByteRange>();
            using var bytes = await _reader.ReadAsync(Meta.Id, 0, size, wanted, budget, cancellationToken);
            foreach (var place in wanted)
            {
                var here = bytes.From(place.Start, long.MaxValue).Span;
                var length = Varint.ReadUnsigned(here, out var lengthSize);
                if (lengthSize == 0 || length > (ulong)(size - place.Start))
                {
                    CorruptionException.Throw(bytes.Source, place.Start, "there is no series entry here");
                }

                var end = lengthSize + (long)length + 4;
                if (end > here.Length)
                {
                    larger.Add(new ByteRange(place.Start, place.Start + end));
                    continue;
                }

                var entry = here.Slice(lengthSize, (int)length);
                if (Crc32C.Of(entry) != System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(here[(lengthSize + (int)length)..]))
                {
                    CorruptionException.ThrowChecksum(bytes.Source, place.Start);
                }

                var deleted = tombstones.Of((uint)(place.Start / alignment));
                SeriesEntry.Decode(
                    entry,
                    bytes.Source,
                    place.Start + lengthSize,
                    header.Symbols,
                    entries.NextLabels,
                    entries.NeedsChunks(deleted) ? chunks : null);
                entries.Add(chunks, deleted);
            }

            wanted = larger;
        }
    }

    async Task<long> SizeAsync(string path, CancellationToken cancellationToken)
    {
        lock (_sizes)
        {
            if (_sizes.TryGetValue(path, out var known) && known > 0)
            {
                return known;
            }
        }

        var key = BucketBlocks.Key(Meta.Id, path);
        var attributes = await _bucket.AttributesAsync(key, cancellationToken) ?? throw new ObjectNotFoundException(_bucket.Name, key);
        lock (_sizes)
        {
            return _sizes[path] = attributes.Size;
        }
    }

    void Close()
    {
        _index?.Header.Dispose();
        _local?.Dispose();
        _opening.Dispose();
        if (_drop && Directory.Exists(_directory))
        {
            Directory.Delete(_directory, recursive: true);
        }
    }
}

/// <summary>Postings lists that were fetched.</summary>
sealed class FetchedLists(FetchedRanges bytes) : IDisposable
{
    public Postings Open(PostingsRange list) =>
        PostingsList.Decode(bytes.From(list.Start, list.End - list.Start), bytes.Source, list.Start);

    public void Dispose() => bytes.Dispose();
}
