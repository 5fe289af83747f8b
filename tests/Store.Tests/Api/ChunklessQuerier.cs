using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Store.Tests.Api;

/// <summary>The series of a source as if none was made of whole chunks, as those of a block are of which something was deleted.</summary>
sealed class ChunklessQuerier(IQuerier source) : IQuerier
{
    public async IAsyncEnumerable<Series> SelectAsync(Selection selection)
    {
        await foreach (var series in source.SelectAsync(selection))
        {
            yield return new Chunkless(series);
        }
    }

    public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection) => source.LabelNamesAsync(selection);

    public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection) => source.LabelValuesAsync(name, selection);

    sealed class Chunkless(Series series) : Series(series.Labels)
    {
        public override ISampleIterator Samples() => series.Samples();
    }
}
