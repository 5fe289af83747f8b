using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Store.Api;

/// <summary>A series that a store sent, whose chunks are decoded when its samples are read.</summary>
/// <param name="tellsReplica">Whether the store said which external labels it left off.</param>
sealed class RemoteSeries(SeriesKey key, bool tellsReplica, RemoteSelection selection) : Series(key.Labels)
{
    FramePart _first;
    List<FramePart>? _more;

    public override Labels Replica => key.Replica;

    public bool TellsReplica => tellsReplica;

    int ChunkCount => _first.Chunks + (_more?.Sum(part => part.Chunks) ?? 0);

    public void Add(FramePart part)
    {
        if (_first.Array is null)
        {
            _first = part;
        }
        else
        {
            (_more ??= []).Add(part);
        }
    }

    /// <summary>The same samples by other labels.</summary>
    public RemoteSeries As(SeriesKey other) => new(other, tellsReplica, selection) { _first = _first, _more = _more };

    public override ISampleIterator Samples() => selection.Open(this);

    public override IEnumerable<Chunk> Chunks()
    {
        selection.ThrowIfDisposed();
        Chunk[] chunks = [];
        return Read(ref chunks);
    }

    /// <summary>The chunks by time.</summary>
    /// <param name="chunks">Holds them, and is replaced by a larger array where it is too small.</param>
    public ArraySegment<Chunk> Read(ref Chunk[] chunks)
    {
        var count = ChunkCount;
        if (chunks.Length < count)
        {
            chunks = new Chunk[count];
        }

        var at = 0;
        Read(_first, chunks, ref at);
        foreach (var part in _more ?? [])
        {
            Read(part, chunks, ref at);
        }

        // Stores send chunks in order of time, as a rule.
        for (var i = 1; i < count; i++)
        {
            if (chunks[i].MinTime < chunks[i - 1].MinTime)
            {
                chunks.Take(count).OrderBy(chunk => chunk.MinTime).ToArray().CopyTo(chunks, 0);
                break;
            }
        }

        return new ArraySegment<Chunk>(chunks, 0, count);
    }

    void Read(FramePart part, Chunk[] chunks, ref int at)
    {
        var all = part.Array.AsMemory(part.Start, part.Length);
        var fields = new ByteReader(all.Span, selection.Endpoint, part.Start);
        for (var end = at + part.Chunks; at < end;)
        {
            if (fields.UVarint() is var tag && tag != WireChunks.ChunkTag)
            {
                WireFields.Skip(ref fields, tag);
                continue;
            }

            var length = fields.Length();
            chunks[at++] = WireChunks.Read(all.Slice(fields.Position, length), selection.Endpoint);
            fields.Skip(length);
        }
    }
}
