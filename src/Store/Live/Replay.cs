using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Store.Live;

/// <summary>What a head has from its log, as packed slices, oldest first: all that earlier runs may not have written.</summary>
/// <param name="held">What the head had when it was opened.</param>
/// <param name="until">All that was committed before this is in slices; long.MinValue where that is not known.</param>
/// <param name="end">From then on commits are followed.</param>
sealed class Replay(IQuerier local, TimeRange held, long until, long end)
{
    /// <summary>Samples come in later than their timestamps say: by the time a scrape may take, or by what a target says of their age.</summary>
    public const long LateMs = 120_000;
    const long PieceMs = 300_000;

    readonly long _from = until == long.MinValue ? held.MinTime : Math.Max(held.MinTime, Math.Min(until, end) - LateMs);
    readonly Queue<(PackedSamples Samples, long From, long To)> _pieces = new();
    long? _next;
    bool _ended;

    /// <summary>The next one; null behind the last. One that could not be read throws, and is tried again.</summary>
    public async Task<(PackedSamples Samples, long From, long To)?> NextAsync(CancellationToken cancellationToken)
    {
        while (_pieces.Count == 0 && !_ended)
        {
            await ReadAsync(cancellationToken);
        }

        return _pieces.TryDequeue(out var piece) ? piece : null;
    }

    async Task ReadAsync(CancellationToken cancellationToken)
    {
        var start = _next ?? _from;
        var last = start + PieceMs > held.MaxTime;
        var range = new TimeRange(start, last ? held.MaxTime : start + PieceMs - 1);
        using var builder = new SliceBuilder();
        var query = new QueryContext(cancellationToken);
        await using var all = local.SelectAsync(query.Select(new SelectHints { Range = range }, [])).GetAsyncEnumerator(cancellationToken);
        var pieces = new List<PackedSamples>();
        while (await all.MoveNextAsync())
        {
            using (var samples = all.Current.Samples())
            {
                builder.Add(all.Current.Labels, samples);
            }

            if (builder.IsFull)
            {
                pieces.Add(builder.Pack());
            }
        }

        pieces.Add(builder.Pack());
        var to = last ? Math.Max(start, end) : range.MaxTime + 1;
        for (var i = 0; i < pieces.Count; i++)
        {
            _pieces.Enqueue((pieces[i], start, i == pieces.Count - 1 ? to : start));
        }

        (_next, _ended) = (range.MaxTime + 1, last);
    }
}
