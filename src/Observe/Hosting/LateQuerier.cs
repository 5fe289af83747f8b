using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Hosting;

/// <summary>A querier that is served before it is opened: until <see cref="Open"/> it refuses, as a process does that is not ready.</summary>
sealed class LateQuerier(string what) : IQuerier
{
    volatile IQuerier? _opened;

    IQuerier Opened => _opened ?? throw new IOException($"{what} is not open yet");

    public void Open(IQuerier querier) => _opened = querier;

    public IAsyncEnumerable<Series> SelectAsync(
        SelectHints hints, IReadOnlyList<Matcher> matchers, Warnings warnings, CancellationToken cancellationToken) =>
        Opened.SelectAsync(hints, matchers, warnings, cancellationToken);

    public ValueTask<IReadOnlyList<string>> LabelNamesAsync(
        SelectHints hints, IReadOnlyList<Matcher> matchers, Warnings warnings, CancellationToken cancellationToken) =>
        Opened.LabelNamesAsync(hints, matchers, warnings, cancellationToken);

    public ValueTask<IReadOnlyList<string>> LabelValuesAsync(
        string name, SelectHints hints, IReadOnlyList<Matcher> matchers, Warnings warnings, CancellationToken cancellationToken) =>
        Opened.LabelValuesAsync(name, hints, matchers, warnings, cancellationToken);
}
