using System.Buffers.Binary;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Ingest;
using Observe.Tsdb.Wal;

namespace Observe.Tsdb.Head;

/// <summary>
/// Samples on their way from commits to the reader of a tap, about eleven bytes each, in pieces that are used again: what waits for seconds
/// is neither collected nor moved. Not thread-safe.
/// </summary>
sealed class TapBuffer
{
    const int PieceBytes = 64 << 10;

    // Difference of references, whose last bit says that there is a start timestamp; difference of times; value; start timestamp.
    const int MaxSampleBytes = Varint.MaxSize + Varint.MaxSize + sizeof(double) + sizeof(long);

    readonly Queue<Piece> _pieces = new();
    readonly Stack<Piece> _free = new();
    Piece? _last;
    int _read;

    sealed class Piece
    {
        public readonly byte[] Bytes = GC.AllocateUninitializedArray<byte>(PieceBytes);
        public int Length;
    }

    /// <summary>Adds the samples of a commit.</summary>
    public void Write(ReadOnlySpan<WalSample> samples)
    {
        var (reference, time) = (0L, 0L);
        foreach (ref readonly var sample in samples)
        {
            if (_last is null || _last.Length > PieceBytes - MaxSampleBytes)
            {
                AddPiece();
            }

            var to = _last!.Bytes.AsSpan();
            var at = _last.Length;
            at += Varint.WriteSigned(to[at..], (((long)sample.Ref - reference) << 1) | (sample.Start != 0 ? 1L : 0L));
            at += Varint.WriteSigned(to[at..], sample.Time - time);
            BinaryPrimitives.WriteDoubleLittleEndian(to[at..], sample.Value);
            at += sizeof(double);
            if (sample.Start != 0)
            {
                BinaryPrimitives.WriteInt64LittleEndian(to[at..], sample.Start);
                at += sizeof(long);
            }

            (_last.Length, reference, time) = (at, (long)sample.Ref, sample.Time);
        }
    }

    /// <summary>Takes out as many samples as the oldest commit had.</summary>
    public void Read(Span<TappedSample> samples)
    {
        var (reference, time) = (0L, 0L);
        for (var i = 0; i < samples.Length; i++)
        {
            while (_read == _pieces.Peek().Length)
            {
                RemovePiece();
            }

            ReadOnlySpan<byte> from = _pieces.Peek().Bytes;
            var first = Varint.ReadSigned(from[_read..], out var size);
            _read += size;
            time += Varint.ReadSigned(from[_read..], out size);
            _read += size;
            var value = BinaryPrimitives.ReadDoubleLittleEndian(from[_read..]);
            _read += sizeof(double);
            var start = 0L;
            if ((first & 1) != 0)
            {
                start = BinaryPrimitives.ReadInt64LittleEndian(from[_read..]);
                _read += sizeof(long);
            }

            reference += first >> 1;
            samples[i] = new TappedSample(new SeriesRef((ulong)reference), time, value, start);
        }
    }

    void AddPiece()
    {
        _last = _free.TryPop(out var piece) ? piece : new Piece();
        _last.Length = 0;
        _pieces.Enqueue(_last);
    }

    void RemovePiece()
    {
        var piece = _pieces.Dequeue();
        _free.Push(piece);
        _read = 0;
        _last = piece == _last ? null : _last;
    }
}
