namespace Observe.Tsdb.Querying;

/// <summary>
/// A selection whose series read from something that has to be held: it is opened with the first series that is asked for and disposed with
/// the enumerator. An iterator's own <c>using</c> would dispose it after the last series, before anybody has read them.
/// </summary>
/// <param name="open">What is held: an <see cref="IDisposable"/> or <see cref="IAsyncDisposable"/>; where it throws, nothing is.</param>
/// <param name="select">The series, out of what is held.</param>
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
