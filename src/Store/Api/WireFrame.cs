using System.Buffers;
using Google.Protobuf;
using Grpc.Core;

namespace Observe.Store.Api;

/// <summary>A message as the bytes that travel.</summary>
/// <remarks>
/// Messages of Series are written and read by hand, since they carry all that a query reads: no object for a label or a chunk, and chunks'
/// data is copied once at each side.
/// </remarks>
/// <param name="bytes">The writer's buffer, or, where it was received, the array that is rented for it.</param>
sealed class WireFrame(ReadOnlyMemory<byte> bytes, byte[]? rented = null) : IDisposable
{
    /// <summary>Bytes of the largest array that is kept.</summary>
    public const int KeptBytes = 128 << 10;

    /// <summary>A query holds its frames until its end, hundreds of them, of which the shared pool would keep a few.</summary>
    const int KeptArrays = 512;

    static readonly ArrayPool<byte> s_large = ArrayPool<byte>.Create(KeptBytes, KeptArrays);

    byte[]? _rented = rented;

    public ReadOnlyMemory<byte> Bytes => bytes;

    /// <summary>The bytes of a frame that was received, which its reader may change.</summary>
    public byte[] Received => _rented ?? throw new ObjectDisposedException(nameof(WireFrame));

    /// <summary>Returns what is rented.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _rented, null) is { Length: > 0 } returned)
        {
            Pool(returned.Length).Return(returned);
        }
    }

    /// <summary>A method whose responses come as bytes.</summary>
    public static Method<TRequest, WireFrame> Stream<TRequest>(string service, string name, MessageParser<TRequest> request)
        where TRequest : class, IBufferMessage, IMessage<TRequest> => new(
            MethodType.ServerStreaming, service, name, WireFields.Marshaller(request),
            Marshallers.Create<WireFrame>(Write, static context => Copy(context.PayloadAsReadOnlySequence())));

    /// <summary>A copy of a message that was received.</summary>
    public static WireFrame Copy(ReadOnlySequence<byte> payload)
    {
        var length = checked((int)payload.Length);
        var array = Pool(length).Rent(length);
        payload.CopyTo(array);
        return new WireFrame(array.AsMemory(0, length), array);
    }

    static ArrayPool<byte> Pool(int length) => length is > KeptBytes / 2 and <= KeptBytes ? s_large : ArrayPool<byte>.Shared;

    static void Write(WireFrame frame, SerializationContext context)
    {
        context.SetPayloadLength(frame.Bytes.Length);
        context.GetBufferWriter().Write(frame.Bytes.Span);
        context.Complete();
    }
}
