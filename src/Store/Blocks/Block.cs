using Observe.Store.Model;
using Observe.Store.Querying;

namespace Observe.Store.Blocks;

/// <summary>A block in a local folder. Files are opened once and read with positional reads; tombstones are honoured.</summary>
/// <remarks>
/// Dispose takes away the opener's hold; enumerators of SelectAsync that are open keep the files readable, even when they are
/// deleted from the folder meanwhile.
/// </remarks>
public sealed class Block : IQuerier, IDisposable
{
    /// <exception cref="Bytes.CorruptionException">meta.json, the index's table of contents, symbols or offset table are damaged.</exception>
    public static Block Open(string directory) => throw new NotImplementedException();

    public BlockMeta Meta => throw new NotImplementedException();

    public string Directory => throw new NotImplementedException();

    public IAsyncEnumerable<Series> SelectAsync(
        SelectHints hints, IReadOnlyList<Matcher> matchers, Warnings warnings, CancellationToken cancellationToken) =>
        throw new NotImplementedException();

    public ValueTask<IReadOnlyList<string>> LabelNamesAsync(
        SelectHints hints, IReadOnlyList<Matcher> matchers, Warnings warnings, CancellationToken cancellationToken) =>
        throw new NotImplementedException();

    public ValueTask<IReadOnlyList<string>> LabelValuesAsync(
        string name, SelectHints hints, IReadOnlyList<Matcher> matchers, Warnings warnings, CancellationToken cancellationToken) =>
        throw new NotImplementedException();

    public void Dispose() => throw new NotImplementedException();
}
