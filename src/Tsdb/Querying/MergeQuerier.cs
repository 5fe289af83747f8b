using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Querying;

/// <summary>
/// Several queriers as one: all select in parallel, their sorted series are merged, and equal series of the same replica become one, sample
/// by sample; where several have a sample at the same time, that of the first querier is taken.
/// </summary>
/// <remarks>
/// An error of one querier is an error of the merge: a caller that can do without a querier wraps it to catch its errors.
/// </remarks>
public sealed class MergeQuerier(IReadOnlyList<IQuerier> queriers) : IQuerier
{
    public IAsyncEnumerable<Series> SelectAsync(Selection selection) =>
        queriers.Count == 1 ? queriers[0].SelectAsync(selection) : new HeldSelection<SeriesSources>(
            () => new SeriesSources([.. queriers.Select(querier => querier.SelectAsync(selection).GetAsyncEnumerator())]),
            sources => MergeAsync(sources, selection));

    public async ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection) =>
        selection.Union(await Task.WhenAll(queriers.Select(querier => querier.LabelNamesAsync(selection).AsTask())));

    public async ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection) =>
        selection.Union(await Task.WhenAll(queriers.Select(querier => querier.LabelValuesAsync(name, selection).AsTask())));

    static async IAsyncEnumerable<Series> MergeAsync(SeriesSources sources, Selection selection)
    {
        await sources.StartAsync();
        var (equal, count) = (new List<Series>(), new SeriesCount(selection));
        while (await sources.NextAsync(equal))
        {
            if (!count.Add(equal[0].Labels))
            {
                yield break;
            }

            yield return equal.Count == 1 ? equal[0] : new MergedSeries([.. equal]);
        }
    }
}

/// <summary>
/// Merges the sorted series of several sources. The sources' enumerators stay open until this is disposed, so that all series stay
/// readable.
/// </summary>
sealed class SeriesSources(IAsyncEnumerator<Series>[] sources) : IAsyncDisposable
{
    readonly PriorityQueue<int, (SeriesKey Key, int Source)> _heads = new(
        Comparer<(SeriesKey Key, int Source)>.Create(
        static (a, b) => a.Key.CompareTo(b.Key) is var order and not 0 ? order : a.Source.CompareTo(b.Source)));

    readonly List<int> _taken = [];

    /// <summary>Requests the first series of all sources in parallel.</summary>
    public Task StartAsync() => AdvanceAsync([.. Enumerable.Range(0, sources.Length)]);

    /// <summary>Moves to the next series, and collects it from all sources that have it, in the sources' order; false at the end.</summary>
    public async ValueTask<bool> NextAsync(List<Series> equal)
    {
        if (_taken.Count > 0)
        {
            await AdvanceAsync(_taken);
            _taken.Clear();
        }

        equal.Clear();
        while (_heads.TryPeek(out var source, out var head) && (equal.Count == 0 || head.Key == equal[0].Key))
        {
            _heads.Dequeue();
            _taken.Add(source);
            equal.Add(sources[source].Current);
        }

        return equal.Count > 0;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var source in sources)
        {
            await source.DisposeAsync();
        }
    }

    async Task AdvanceAsync(List<int> which)
    {
        if (which.Count == 1)
        {
            Push(which[0], await sources[which[0]].MoveNextAsync());
            return;
        }

        // An enumerator must not be disposed while MoveNextAsync runs, hence all are awaited even when one fails.
        var moves = await Task.WhenAll(which.Select(s => sources[s].MoveNextAsync().AsTask()));
        for (var i = 0; i < which.Count; i++)
        {
            Push(which[i], moves[i]);
        }
    }

    void Push(int source, bool moved)
    {
        if (moved)
        {
            _heads.Enqueue(source, (sources[source].Current.Key, source));
        }
    }
}

/// <summary>One series that several sources have.</summary>
sealed class MergedSeries(Series[] parts) : Series(parts[0].Labels)
{
    public override Labels Replica => parts[0].Replica;

    public override ISampleIterator Samples() => new OverlapIterator([.. parts.Select(p => p.Samples())]);

    public override IEnumerable<Chunk>? Chunks()
    {
        var all = new List<Chunk>();
        foreach (var part in parts)
        {
            if (part.Chunks() is not { } chunks)
            {
                return null;
            }

            all.AddRange(chunks);
        }

        return InOrder(all);
    }

    /// <summary>The chunks of all sources by time, without duplicates.</summary>
    static List<Chunk> InOrder(List<Chunk> chunks)
    {
        var kept = new List<Chunk>(chunks.Count);
        foreach (var chunk in chunks.OrderBy(c => c.MinTime).ThenBy(c => c.MaxTime))
        {
            var twice = false;
            for (var i = kept.Count - 1; i >= 0 && kept[i].MinTime == chunk.MinTime && !twice; i--)
            {
                twice = kept[i].MaxTime == chunk.MaxTime
                    && kept[i].Encoding == chunk.Encoding && kept[i].Data.Span.SequenceEqual(chunk.Data.Span);
            }

            if (!twice)
            {
                kept.Add(chunk);
            }
        }

        return kept;
    }
}
