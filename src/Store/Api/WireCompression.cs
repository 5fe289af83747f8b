using System.IO.Compression;
using Grpc.Core;
using Grpc.Core.Interceptors;
using Grpc.Net.Compression;
using Snappier;

namespace Observe.Store.Api;

/// <summary>
/// Compression of messages under a name that gRPC knows, which stops at the largest message that is taken: a small message may be made to
/// fill the memory when it is decompressed.
/// </summary>
sealed class WireCompression : ICompressionProvider
{
    /// <summary>The framing format of snappy, as Thanos has it (<c>--grpc-compression=snappy</c>).</summary>
    public const string Snappy = "snappy";

    readonly int _maxBytes;
    readonly Func<Stream, CompressionMode, Stream> _open;

    WireCompression(string name, int maxBytes, Func<Stream, CompressionMode, Stream> open) =>
        (EncodingName, _maxBytes, _open) = (name, maxBytes, open);

    public string EncodingName { get; }

    /// <summary>All that are understood, in the order of preference.</summary>
    public static IList<ICompressionProvider> All(int maxMessageBytes) =>
    [
        new WireCompression(Snappy, maxMessageBytes, static (stream, mode) => new SnappyStream(stream, mode, leaveOpen: true)),
        new WireCompression("gzip", maxMessageBytes, static (stream, mode) => mode == CompressionMode.Compress
            ? new GZipStream(stream, CompressionLevel.Fastest, leaveOpen: true)
            : new GZipStream(stream, mode, leaveOpen: true)),
    ];

    public Stream CreateCompressionStream(Stream stream, CompressionLevel? compressionLevel) => _open(stream, CompressionMode.Compress);

    public Stream CreateDecompressionStream(Stream stream) => new Bounded(_open(stream, CompressionMode.Decompress), _maxBytes);

    /// <summary>A stream that fails once it has given more than it may.</summary>
    sealed class Bounded(Stream inner, long left) : Stream
    {
        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException("length is not known");

        public override long Position
        {
            get => throw new NotSupportedException("position is not known");
            set => throw new NotSupportedException("position can't be set");
        }

        public override int Read(Span<byte> buffer)
        {
            var read = inner.Read(buffer);
            left -= read;
            return left >= 0 ? read : throw new InvalidDataException("a message is too large once it is decompressed");
        }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException("seeking is not possible");

        public override void SetLength(long value) => throw new NotSupportedException("nothing is written");

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException("nothing is written");

        protected override void Dispose(bool disposing)
        {
            inner.Dispose();
            base.Dispose(disposing);
        }
    }
}

/// <summary>Answers in the compression of the request where the peer takes that, as gRPC for Go does.</summary>
sealed class AnswerCompression : Interceptor
{
    /// <summary>The header that chooses the compression of one call.</summary>
    const string Choice = "grpc-internal-encoding-request";

    public override async Task<TResponse> UnaryServerHandler<TRequest, TResponse>(
        TRequest request, ServerCallContext context, UnaryServerMethod<TRequest, TResponse> continuation)
    {
        await ChooseAsync(context);
        return await continuation(request, context);
    }

    public override async Task ServerStreamingServerHandler<TRequest, TResponse>(
        TRequest request, IServerStreamWriter<TResponse> responseStream, ServerCallContext context,
        ServerStreamingServerMethod<TRequest, TResponse> continuation)
    {
        await ChooseAsync(context);
        await continuation(request, responseStream, context);
    }

    static Task ChooseAsync(ServerCallContext context)
    {
        var headers = context.GetHttpContext().Request.Headers;
        return headers["grpc-encoding"] == WireCompression.Snappy
            && headers["grpc-accept-encoding"].ToString().Split(',', StringSplitOptions.TrimEntries).Contains(WireCompression.Snappy)
                ? context.WriteResponseHeadersAsync(new Metadata { { Choice, WireCompression.Snappy } })
                : Task.CompletedTask;
    }
}
