using Observe.Tsdb.Model;

namespace Observe.Tsdb.Chunks;

/// <summary>
/// The samples of a series from its chunks, in order of MinTime and perhaps overlapping, within a range. At a timestamp that several
/// chunks have, the first chunk's sample is taken. Batches are filled across chunks.
/// </summary>
public sealed class ChunkSeriesIterator : ISampleIterator
{
    readonly Aggregate _aggregate;
    readonly TimeRange _range;
    ArraySegment<Chunk> _chunks;
    string _source = "";
    XorIterator? _reused;
    OverlapIterator? _overlapping;
    ChunkIterator? _current;
    SampleBatch? _rest;
    SampleBatch? _spare;
    long _from;
    long _windowsEnd;
    int _next;
    bool _ended;

    /// <param name="chunks">Chunks whose data stays valid while this is read; in order of MinTime.</param>
    /// <param name="source">File or object, for error messages.</param>
    public ChunkSeriesIterator(IReadOnlyList<Chunk> chunks, Aggregate aggregate, TimeRange range, string source)
        : this(aggregate, range) => Reset(chunks as Chunk[] ?? [.. chunks], source);

    /// <summary>Without chunks, to be <see cref="Reset"/>.</summary>
    public ChunkSeriesIterator(Aggregate aggregate, TimeRange range) => (_aggregate, _range) = (aggregate, range);

    /// <summary>Starts anew with other chunks, those of another series.</summary>
    public void Reset(ArraySegment<Chunk> chunks, string source)
    {
        (_chunks, _source, _from, _next, _ended) = (chunks, source, _range.MinTime, 0, false);
        (_current, _overlapping, _rest) = (null, null, null);
        _windowsEnd = long.MinValue;
        if (_aggregate == Aggregate.Counter && LastOfWindows(chunks) is >= 0 and var last)
        {
            // A counter's value depends on all chunks of windows, so that none is skipped. Raw ones behind them have their own values.
            _next = last + 1;
            _current = new CounterIterator(chunks[.._next], source, 0) { IsContinued = true };
            _windowsEnd = chunks[last].MaxTime;
        }
    }

    static int LastOfWindows(ArraySegment<Chunk> chunks)
    {
        var at = chunks.Count - 1;
        while (at >= 0 && chunks[at].Encoding != ChunkEncoding.Aggregates)
        {
            at--;
        }

        return at;
    }

    public bool Read(SampleBatch batch)
    {
        if (_ended)
        {
            return false;
        }

        batch.Clear();
        while (batch.Count < batch.Capacity && More())
        {
            var before = batch.Count;
            var read = _overlapping is null ? _current!.Append(batch) : AppendOverlapping(batch);
            if (read == 0)
            {
                if (before > 0 && !Exhausted())
                {
                    // The next samples are of another kind.
                    break;
                }

                (_current, _overlapping, _rest) = (null, null, null);
                _from = Math.Max(_from, _windowsEnd + 1);
                continue;
            }

            if (before == 0 && batch.Timestamps[0] < _from)
            {
                batch.DropBefore(_from);
            }
        }

        _ended = batch.DropAfter(_range.MaxTime) || batch.Count == 0;
        return batch.Count > 0;
    }

    public void Seek(long timestamp) => _from = Math.Max(_from, timestamp);

    public void Dispose()
    {
        _overlapping?.Dispose();
        _ended = true;
    }

    /// <summary>Whether what is open has no sample left: asked when it gave none to a batch that holds some already.</summary>
    bool Exhausted()
    {
        if (_overlapping is not null)
        {
            return _rest is null;
        }

        if (_current!.IsExhausted)
        {
            return true;
        }

        _rest ??= _spare ?? new SampleBatch();
        _rest.Clear();
        if (_current.Append(_rest) == 0)
        {
            (_spare, _rest) = (_rest, null);
            return true;
        }

        _spare = null;

        // What was read ahead is given by an iterator of its own before the chunk goes on.
        (_current, _rest) = (new ReadAheadIterator(_rest, _current), null);
        return false;
    }

    bool More()
    {
        if (_current is not null || _overlapping is not null)
        {
            return true;
        }

        while (_next < _chunks.Count && _chunks[_next].MaxTime < _from)
        {
            _next++;
        }

        if (_next == _chunks.Count || _chunks[_next].MinTime > _range.MaxTime)
        {
            return false;
        }

        var first = _next;
        var maxTime = _chunks[_next++].MaxTime;
        while (_next < _chunks.Count && _chunks[_next].MinTime <= maxTime)
        {
            maxTime = Math.Max(maxTime, _chunks[_next++].MaxTime);
        }

        if (_next - first > 1)
        {
            _overlapping = new OverlapIterator(
                Enumerable.Range(first, _next - first).Select(i => ChunkIterators.OpenChunk(_chunks[i], _aggregate, _source, 0)).ToArray());
            _overlapping.Seek(_from);
            return true;
        }

        var chunk = _chunks[first];
        if (chunk.Encoding == ChunkEncoding.Xor)
        {
            if (_reused is null)
            {
                _reused = new XorIterator(chunk.Data, _source, 0);
            }
            else
            {
                _reused.Reset(chunk.Data, _source, 0);
            }

            _current = _reused;
        }
        else
        {
            _current = ChunkIterators.OpenChunk(chunk, _aggregate, _source, 0);
            if (_current is WindowEndIterator windows && _next < _chunks.Count)
            {
                windows.ContinueAt(chunk.MaxTime, _chunks[_next].MinTime);
            }
        }

        return true;
    }

    int AppendOverlapping(SampleBatch batch)
    {
        var added = 0;
        while (true)
        {
            if (_rest is null || _rest.Count == 0)
            {
                _rest ??= new SampleBatch();
                if (!_overlapping!.Read(_rest))
                {
                    _rest = null;
                    return added;
                }
            }

            var taken = 0;
            while (taken < _rest.Count && batch.Add(_rest, taken))
            {
                taken++;
            }

            added += taken;
            _rest.DropFirst(taken);
            if (_rest.Count > 0)
            {
                return added;
            }
        }
    }
}

/// <summary>A batch that was read ahead, then the rest of its chunk.</summary>
sealed class ReadAheadIterator(SampleBatch ahead, ChunkIterator rest) : ChunkIterator
{
    public override int Append(SampleBatch batch)
    {
        var taken = 0;
        while (taken < ahead.Count && batch.Add(ahead, taken))
        {
            taken++;
        }

        ahead.DropFirst(taken);
        return taken > 0 || ahead.Count > 0 ? taken : rest.Append(batch);
    }
}
