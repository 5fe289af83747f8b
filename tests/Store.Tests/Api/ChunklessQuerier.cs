using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Store.Tests.Api;

/// <summary>The series of a source as if none was made of whole chunks, as those of a block are of which something was deleted.</summary>
sealed class ChunklessQuerier(IQuerier source) : IQuerier
{
    public IAsyncEnumerable<Series> SelectAsync(Selection selection) => new HeldSelection<IAsyncEnumerator<Series>>(
        () => source.SelectAsync(selection).GetAsyncEnumerator(), WithoutChunksAsync);

    static async IAsyncEnumerable<Series> WithoutChunksAsync(IAsyncEnumerator<Series> all)
    {
        while (await all.MoveNextAsync())
        {
            yield return new Chunkless(all.Current);
        }
    }

    public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection) => source.LabelNamesAsync(selection);

    public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection) => source.LabelValuesAsync(name, selection);

    sealed class Chunkless(Series series) : Series(series.Labels)
    {
        public override ISampleIterator Samples() => series.Samples();
    }
}
