using Google.Protobuf;
using Grpc.Core;
using Observe.Tsdb.Bytes;

namespace Observe.Store.Api;

/// <summary>What messages that are read by hand and those that are generated have in common.</summary>
static class WireFields
{
    /// <summary>Of a generated message, without copies.</summary>
    public static Marshaller<T> Marshaller<T>(MessageParser<T> parser)
        where T : class, IBufferMessage, IMessage<T> => Marshallers.Create(
            static (message, context) =>
            {
                context.SetPayloadLength(message.CalculateSize());
                message.WriteTo(context.GetBufferWriter());
                context.Complete();
            },
            context => parser.ParseFrom(context.PayloadAsReadOnlySequence()));

    /// <summary>Skips the value of a field that nobody knows.</summary>
    /// <exception cref="CorruptionException">Its kind is none.</exception>
    public static void Skip(ref ByteReader reader, ulong tag)
    {
        switch (tag & 7)
        {
            case 0:
                reader.UVarint();
                break;

            case 1:
                reader.Take(8);
                break;

            case 2:
                reader.LengthPrefixed();
                break;

            case 5:
                reader.Take(4);
                break;

            default:
                reader.Fail($"unknown kind {tag & 7} of a field");
                break;
        }
    }
}
