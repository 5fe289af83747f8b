using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Store.Api;

/// <summary>
/// What all series of one answer of a store have in common: its frames, in which they lie until this is disposed. Thread-safe.
/// </summary>
/// <param name="bytes">The budget that frames are taken from.</param>
sealed class RemoteSelection(string endpoint, SelectHints hints, Budget bytes) : IDisposable
{
    // By thread, as a thread reads one series after another.
    readonly RemoteSamples?[] _free = new RemoteSamples?[16];
    readonly List<WireFrame> _frames = [];
    readonly Budget _held = new(outer: bytes);
    volatile bool _isDisposed;

    public string Endpoint => endpoint;

    /// <summary>Keeps a frame.</summary>
    /// <exception cref="LimitException">There is no budget left for it; it was returned.</exception>
    public void Add(WireFrame frame)
    {
        try
        {
            _held.Take(frame.Bytes.Length);
        }
        catch (LimitException)
        {
            frame.Dispose();
            throw;
        }

        _frames.Add(frame);
    }

    /// <exception cref="ObjectDisposedException">A series is read too late: its frame is somebody else's by now.</exception>
    public void ThrowIfDisposed() => ObjectDisposedException.ThrowIf(_isDisposed, this);

    public ISampleIterator Open(RemoteSeries series)
    {
        ThrowIfDisposed();
        var samples = Interlocked.Exchange(ref Slot, null)
            ?? new RemoteSamples(this, new ChunkSeriesIterator(hints.Aggregate, hints.WindowRange));
        samples.Open(hints.SkipSamples ? null : series);
        return samples;
    }

    public void Dispose()
    {
        _isDisposed = true;
        _frames.ForEach(frame => frame.Dispose());
        _frames.Clear();
        _held.Dispose();
    }

    ref RemoteSamples? Slot => ref _free[Environment.CurrentManagedThreadId % _free.Length];

    /// <summary>The samples of one series after another: disposed, it is used again.</summary>
    sealed class RemoteSamples(RemoteSelection selection, ChunkSeriesIterator samples) : ISampleIterator
    {
        Chunk[] _chunks = [];
        bool _isOpen;

        public void Open(RemoteSeries? series)
        {
            samples.Reset(series is null ? [] : series.Read(ref _chunks), selection.Endpoint);
            _isOpen = true;
        }

        public bool Read(SampleBatch batch) => _isOpen && samples.Read(batch);

        public void Seek(long timestamp) => samples.Seek(timestamp);

        public void Dispose()
        {
            if (_isOpen)
            {
                _isOpen = false;
                samples.Dispose();
                Interlocked.Exchange(ref selection.Slot, this);
            }
        }
    }
}
