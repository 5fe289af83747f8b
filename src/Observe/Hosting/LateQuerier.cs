using Observe.Tsdb.Querying;

namespace Observe.Hosting;

/// <summary>
/// A querier that is served before it is opened: until <see cref="Open"/> is called its reads throw, since the process is not ready.
/// </summary>
sealed class LateQuerier(string what) : IQuerier
{
    volatile IQuerier? _opened;

    IQuerier Opened => _opened ?? throw new IOException($"{what} is not open yet");

    public void Open(IQuerier querier) => _opened = querier;

    public IAsyncEnumerable<Series> SelectAsync(Selection selection) => Opened.SelectAsync(selection);

    public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection) => Opened.LabelNamesAsync(selection);

    public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection) => Opened.LabelValuesAsync(name, selection);
}
