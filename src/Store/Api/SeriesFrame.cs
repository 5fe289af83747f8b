using System.Buffers;
using Grpc.Core;
using Observe.Store.Api.Wire;

namespace Observe.Store.Api;

/// <summary>A SeriesResponse as the bytes that travel.</summary>
/// <remarks>
/// Messages of Series are written and read by hand, since they carry all that a query reads: no object for a label or a chunk, and chunks'
/// data is copied once at each side.
/// </remarks>
/// <param name="bytes">The writer's buffer, or, where it was received, the array that is rented for it.</param>
sealed class SeriesFrame(ReadOnlyMemory<byte> bytes, byte[]? rented = null) : IDisposable
{
    /// <summary>thanos.Store/Series.</summary>
    public static Method<SeriesRequest, SeriesFrame> Method { get; } = new(
        MethodType.ServerStreaming,
        "thanos.Store",
        "Series",
        WireFields.Marshaller(SeriesRequest.Parser),
        Marshallers.Create<SeriesFrame>(Write, static context => Copy(context.PayloadAsReadOnlySequence())));

    byte[]? _rented = rented;

    public ReadOnlyMemory<byte> Bytes => bytes;

    /// <summary>The bytes of a frame that was received, which its reader may change.</summary>
    public byte[] Received => _rented ?? throw new ObjectDisposedException(nameof(SeriesFrame));

    /// <summary>Returns what is rented.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _rented, null) is { Length: > 0 } returned)
        {
            ArrayPool<byte>.Shared.Return(returned);
        }
    }

    /// <summary>A copy of a message that was received.</summary>
    public static SeriesFrame Copy(ReadOnlySequence<byte> payload)
    {
        var length = checked((int)payload.Length);
        var array = ArrayPool<byte>.Shared.Rent(length);
        payload.CopyTo(array);
        return new SeriesFrame(array.AsMemory(0, length), array);
    }

    static void Write(SeriesFrame frame, SerializationContext context)
    {
        context.SetPayloadLength(frame.Bytes.Length);
        context.GetBufferWriter().Write(frame.Bytes.Span);
        context.Complete();
    }
}
