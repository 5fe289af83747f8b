namespace Observe.Tsdb.Querying;

/// <summary>
/// A selection whose series read from something that has to be held: it is taken with the first series that is asked for and let go
/// when the enumerator is disposed. An iterator's own <c>using</c> would let it go with the last series, before anybody has read them.
/// </summary>
/// <param name="take">What is held; where it throws, nothing is.</param>
/// <param name="select">The series, out of what is held. It is cancelled by the token that it closes over; the enumerator's own is not looked at.</param>
/// <param name="letGo">Called once, after the enumerator of the series was disposed.</param>
public sealed class HeldSelection<T>(
    Func<T> take, Func<T, IAsyncEnumerable<Series>> select, Func<T, ValueTask> letGo) : IAsyncEnumerable<Series>
{
    readonly Func<T> _take = take;
    readonly Func<T, IAsyncEnumerable<Series>> _select = select;
    readonly Func<T, ValueTask> _letGo = letGo;

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
                _held = selection._take();
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
                    await selection._letGo(_held!);
                }
            }
        }
    }
}
