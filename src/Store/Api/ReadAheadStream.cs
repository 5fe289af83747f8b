using System.Buffers;
using System.Net.Sockets;

namespace Observe.Store.Api;

/// <summary>
/// A connection that is read in large pieces. The client of HTTP/2 reads a frame of 16 KiB at a time and wakes whoever waits for it; frames
/// that are here already it takes without a call of the system each, so that many of them are there for who was woken.
/// </summary>
/// <remarks>An array is held only while there is something in it, since a querier may have thousands of connections.</remarks>
sealed class ReadAheadStream(Stream connection) : Stream
{
    const int PieceBytes = 128 << 10;

    byte[] _piece = [];
    int _at;
    int _filled;

    public override bool CanRead => true;

    public override bool CanWrite => true;

    public override bool CanSeek => false;

    public override long Length => throw new NotSupportedException("length is not known");

    public override long Position
    {
        get => throw new NotSupportedException("position is not known");
        set => throw new NotSupportedException("position can't be set");
    }

    /// <summary>Connects over TCP.</summary>
    public static async ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken cancellationToken)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(context.DnsEndPoint, cancellationToken).ConfigureAwait(false);
            return new ReadAheadStream(new NetworkStream(socket, ownsSocket: true));
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    /// <param name="destination">Empty: waits until there is something to read.</param>
    public override ValueTask<int> ReadAsync(Memory<byte> destination, CancellationToken cancellationToken = default)
    {
        if (_at < _filled)
        {
            return ValueTask.FromResult(Take(destination.Span));
        }

        return destination.IsEmpty ? connection.ReadAsync(destination, cancellationToken) : FillAsync(destination, cancellationToken);
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> source, CancellationToken cancellationToken = default) =>
        connection.WriteAsync(source, cancellationToken);

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override Task FlushAsync(CancellationToken cancellationToken) => connection.FlushAsync(cancellationToken);

    public override void Flush() => connection.Flush();

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException("reading is asynchronous");

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException("writing is asynchronous");

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException("seeking is not possible");

    public override void SetLength(long value) => throw new NotSupportedException("the other side decides");

    protected override void Dispose(bool disposing)
    {
        // The array is not returned: it may be read into at this moment.
        connection.Dispose();
        base.Dispose(disposing);
    }

    async ValueTask<int> FillAsync(Memory<byte> destination, CancellationToken cancellationToken)
    {
        var piece = ArrayPool<byte>.Shared.Rent(PieceBytes);
        var filled = await connection.ReadAsync(piece, cancellationToken).ConfigureAwait(false);
        (_piece, _at, _filled) = (piece, 0, filled);
        return Take(destination.Span);
    }

    int Take(Span<byte> destination)
    {
        var taken = Math.Min(destination.Length, _filled - _at);
        _piece.AsSpan(_at, taken).CopyTo(destination);
        _at += taken;
        if (_at == _filled)
        {
            ArrayPool<byte>.Shared.Return(_piece);
            _piece = [];
        }

        return taken;
    }
}
