using System.Text;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Index;
using Observe.Tsdb.Model;

namespace Observe.Store.Gateway;

/// <summary>
/// Names and values of labels in one block of the bucket, as <see cref="LabelSearch{TList}"/> finds them in one that is on this machine:
/// out of the index-header alone where it says enough, else from postings lists or series, whichever are fewer bytes.
/// </summary>
sealed class BucketLabels(BucketBlock block, ByteBudget budget)
{
    /// <summary>A series entry is taken to have so many bytes with what is fetched around it.</summary>
    const int SeriesBytes = 512;

    /// <summary>Lists that are fetched at once where a few values will do; four times as many then, and so on.</summary>
    const int FirstLists = 64;

    /// <summary>So many of the series that match are read before lists are: they have most of the names.</summary>
    const int Probes = 64;

    public async Task<bool> AnyAsync(IReadOnlyList<Matcher> matchers, CancellationToken cancellationToken)
    {
        if (block.Local() is { } local)
        {
            using var search = local.Labels();
            return search.Any(matchers, cancellationToken);
        }

        var index = await block.IndexAsync(cancellationToken);
        var matching = await block.PostingsAsync(index.Header, matchers, budget, cancellationToken);
        if (index.Tombstones.IsEmpty)
        {
            return !matching.IsEmpty;
        }

        using var entries = await SeriesAsync(index, matching, cancellationToken);
        return entries.Count > 0;
    }

    public async Task<IReadOnlyList<string>> NamesAsync(IReadOnlyList<Matcher> matchers, int most, CancellationToken cancellationToken)
    {
        if (block.Local() is { } local)
        {
            using var search = local.Labels();
            return await search.NamesAsync(matchers, most, cancellationToken);
        }

        var index = await block.IndexAsync(cancellationToken);
        var all = index.Header.Lists.LabelNames();
        var isWhole = index.Tombstones.IsEmpty;
        if (matchers.Count == 0 && isWhole)
        {
            return [.. all.Take(most)];
        }

        var matching = await block.PostingsAsync(index.Header, matchers, budget, cancellationToken);
        var step = isWhole ? Math.Max(1, matching.Length / Probes) : 1;
        var found = await ReadNamesAsync(index, matching, step, cancellationToken);
        if (step > 1)
        {
            var open = all.Where(name => !found.Contains(name)).ToList();
            if (open.Sum(name => Bytes(index, name)) > (long)matching.Length * SeriesBytes)
            {
                found = await ReadNamesAsync(index, matching, 1, cancellationToken);
            }
            else
            {
                foreach (var name in open)
                {
                    if ((await ValuesAsync(index, name, [], matching, 1, cancellationToken)).Count > 0)
                    {
                        found.Add(name);
                    }
                }
            }
        }

        return [.. found.Order(Utf8Order.Instance).Take(most)];
    }

    public async Task<IReadOnlyList<string>> ValuesAsync(
        string name, IReadOnlyList<Matcher> matchers, int most, CancellationToken cancellationToken)
    {
        if (block.Local() is { } local)
        {
            using var search = local.Labels();
            return await search.ValuesAsync(name, matchers, most, cancellationToken);
        }

        var index = await block.IndexAsync(cancellationToken);
        var own = matchers.Where(m => m.Name == name).ToList();
        if (own.Count == matchers.Count && index.Tombstones.IsEmpty)
        {
            return await ValuesAsync(index, name, own, matching: null, most, cancellationToken);
        }

        var matching = await block.PostingsAsync(
            index.Header, [.. matchers.Where(m => m.Name != name)], budget, cancellationToken);
        return !index.Tombstones.IsEmpty || (long)matching.Length * SeriesBytes < Bytes(index, name)
            ? await ReadValuesAsync(index, name, own, matching, most, cancellationToken)
            : await ValuesAsync(index, name, own, matching, most, cancellationToken);
    }

    static long Bytes(BlockIndex index, string name) =>
        index.Header.Lists.Size(Utf8Order.Bytes(name)) is var size ? sizeof(uint) * (size.References + (3 * size.Values)) : 0;

    /// <param name="matching">Null: a value is there whatever series have it.</param>
    async Task<IReadOnlyList<string>> ValuesAsync(
        BlockIndex index, string name, List<Matcher> own, ReadOnlyMemory<uint>? matching, int most, CancellationToken cancellationToken)
    {
        var candidates = new List<(string Value, PostingsRange List)>();
        index.Header.Lists.Visit(Utf8Order.Bytes(name), default, (value, list) =>
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (!value.IsEmpty && Matcher.All(own, value))
            {
                candidates.Add((Encoding.UTF8.GetString(value), list));
            }

            return matching is not null || candidates.Count < most;
        });
        if (matching is not { } some)
        {
            return candidates.ConvertAll(candidate => candidate.Value);
        }

        var (values, count) = (new List<string>(), most < int.MaxValue ? FirstLists : int.MaxValue);
        for (var from = 0; from < candidates.Count && values.Count < most; from += count, count *= 4)
        {
            var next = candidates.Slice(from, Math.Min(count, candidates.Count - from));
            count = next.Count;
            using var lists = await block.ListsAsync(next.Select(candidate => candidate.List), budget, cancellationToken);
            values.AddRange(next.Where(candidate => Postings.Overlap(lists.Open(candidate.List), some.Span)).Select(candidate => candidate.Value));
        }

        return values.Count <= most ? values : values[..most];
    }

    async Task<IReadOnlyList<string>> ReadValuesAsync(
        BlockIndex index, string name, List<Matcher> own, ReadOnlyMemory<uint> matching, int most, CancellationToken cancellationToken)
    {
        var (values, utf8) = (new HashSet<string>(StringComparer.Ordinal), Utf8Order.Bytes(name));
        using var entries = await SeriesAsync(index, matching, cancellationToken);
        for (var i = 0; i < entries.Count; i++)
        {
            if (entries[i].Labels.TryGet(utf8, out var value) && Matcher.All(own, value))
            {
                values.Add(Encoding.UTF8.GetString(value));
            }
        }

        return [.. values.Order(Utf8Order.Instance).Take(most)];
    }

    async Task<HashSet<string>> ReadNamesAsync(
        BlockIndex index, ReadOnlyMemory<uint> matching, int step, CancellationToken cancellationToken)
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        var some = step == 1 ? matching : matching.ToArray().Where((_, i) => i % step == 0).ToArray();
        using var entries = await SeriesAsync(index, some, cancellationToken);
        for (var i = 0; i < entries.Count; i++)
        {
            foreach (var label in entries[i].Labels)
            {
                names.Add(label.NameText);
            }
        }

        return names;
    }

    /// <summary>Labels of series; those that are wholly deleted are left out.</summary>
    async Task<BlockEntries> SeriesAsync(BlockIndex index, ReadOnlyMemory<uint> references, CancellationToken cancellationToken)
    {
        var entries = new BlockEntries(Labels.Empty, TimeRange.All, withChunks: false, like: null);
        try
        {
            for (int from = 0, count; from < references.Length; from += count)
            {
                count = Math.Min(references.Length - from, BucketBlock.SeriesBatch);
                await block.SeriesAsync(index, references.Slice(from, count), entries, budget, cancellationToken);
            }

            return entries;
        }
        catch
        {
            entries.Dispose();
            throw;
        }
    }
}
