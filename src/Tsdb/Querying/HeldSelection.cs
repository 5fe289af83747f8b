namespace Observe.Tsdb.Querying;

/// <summary>
/// A selection whose series read from a resource: the resource is opened when the first series is requested, and disposed with the
/// enumerator. An iterator's own <c>using</c> would dispose it after the last series, before the caller reads their samples.
/// </summary>
/// <param name="open">
/// Opens the resource, an <see cref="IDisposable"/> or <see cref="IAsyncDisposable"/>; where this throws, there is nothing to dispose.
/// </param>
/// <param name="select">Reads the series from the resource.</param>
public sealed class HeldSelection<T>(Func<T> open, Func<T, IAsyncEnumerable<Series>> select) : IAsyncEnumerable<Series>
    where T : class
{
    readonly Func<T> _open = open;
    readonly Func<T, IAsyncEnumerable<Series>> _select = select;

    public IAsyncEnumerator<Series> GetAsyncEnumerator(CancellationToken cancellationToken = default) => new Enumerator(this);

    sealed class Enumerator(HeldSelection<T> selection) : IAsyncEnumerator<Series>
    {
        IAsyncEnumerator<Series>? _series;
        T? _held;

        public Series Current => _series!.Current;

        public ValueTask<bool> MoveNextAsync()
        {
            if (_series is null)
            {
                _held = selection._open();
                _series = selection._select(_held).GetAsyncEnumerator(CancellationToken.None);
            }

            return _series.MoveNextAsync();
        }

        public async ValueTask DisposeAsync()
        {
            if (_series is { } series)
            {
                _series = null;
                try
                {
                    await series.DisposeAsync();
                }
                finally
                {
                    if (_held is IAsyncDisposable held)
                    {
                        await held.DisposeAsync();
                    }
                    else
                    {
                        ((IDisposable)_held!).Dispose();
                    }
                }
            }
        }
    }
}
