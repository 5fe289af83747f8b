using System.Diagnostics;
using Google.Protobuf;
using Grpc.Core;
using Observe.Store.Api.Wire;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Chunk = Observe.Tsdb.Chunks.Chunk;
using Series = Observe.Tsdb.Querying.Series;

namespace Observe.Store.Api;

/// <summary>
/// Series on their way to a peer. A frame is filled while the one before it is sent; nothing of a series is needed once it was added.
/// </summary>
sealed class SeriesFrameWriter(SeriesRequest request, IServerStreamWriter<WireFrame> responses, CancellationToken cancellationToken)
    : IAsyncDisposable
{
    /// <summary>
    /// What is in a frame, unless a single chunk is larger: with what a writer reserves beyond, both sides hold it in an array of a size that
    /// pools have.
    /// </summary>
    const int FrameBytes = WireFrame.KeptBytes - 64;

    /// <summary>
    /// Messages are sent once they have so many bytes together, first and later on in a long answer: each time threads are woken at both sides.
    /// </summary>
    const int FirstSendBytes = 64 << 10;
    const int MostSendBytes = 512 << 10;

    /// <summary>A peer gives up a store that it hears nothing of: what comes slowly is sent as it comes.</summary>
    static readonly TimeSpan s_longest = TimeSpan.FromMilliseconds(100);

    const int MaxBatch = 1024;

    /// <summary>Before a frame's series: a field's tag and the length of what follows.</summary>
    const int HeaderBytes = 1 + 5;

    const byte SeriesTag = (1 << 3) | 2;
    const byte BatchTag = (4 << 3) | 2;
    const byte LabelTag = (1 << 3) | 2;
    const byte NameTag = (1 << 3) | 2;
    const byte ValueTag = (2 << 3) | 2;
    const uint ReplicaTag = (1000 << 3) | 2;

    static readonly WriteOptions s_sendLater = new(WriteFlags.BufferHint);

    readonly ShardMatcher? _shard = ShardMatcher.Of(request.ShardInfo);
    readonly WireChunks _chunks = new(request);
    readonly int _batch = (int)Math.Clamp(request.ResponseBatchSize, 1, MaxBatch);

    /// <summary>Labels and replica of the series under way, as fields.</summary>
    readonly ByteWriter _labels = new();

    /// <summary>The field of the replica that was written last: most series have that of the series before.</summary>
    readonly ByteWriter _replicaField = new();

    Labels? _replica;
    ByteWriter _filled = new(FrameBytes);
    ByteWriter _sent = new(FrameBytes);
    Task _sending = Task.CompletedTask;
    int _series;
    int _unsent;
    int _sendBytes = FirstSendBytes;
    long _sentAt = Stopwatch.GetTimestamp();

    public async ValueTask AddAsync(Series series)
    {
        if (_shard?.Matches(series.Labels) == false)
        {
            return;
        }

        WriteLabels(series);
        if (request.SkipChunks)
        {
            await BeginAsync(_labels.Length);
            return;
        }

        using var opened = _chunks.Open(series);
        var chunks = opened.All;
        for (var from = 0; from < chunks.Count;)
        {
            var (to, size) = Fitting(chunks, from);
            if (size > 0)
            {
                await BeginAsync(_labels.Length + size);
                _chunks.Write(_filled, chunks.AsSpan(from, to - from));
            }

            from = to;
        }
    }

    /// <summary>What is left goes out together with the end of the answer, so that the peer is woken once.</summary>
    public async ValueTask EndAsync(Coverage coverage, bool withHints)
    {
        await FlushAsync(isLast: true);
        await _sending;
        foreach (var warning in WireCoverage.Warnings(coverage, withHints))
        {
            await WriteAsync(new SeriesResponse { Warning = warning });
        }

        if (withHints && WireCoverage.Hints(coverage) is { } hints)
        {
            await WriteAsync(new SeriesResponse { Hints = hints });
        }
    }

    /// <summary>Waits for what is being sent, and returns the buffers.</summary>
    public async ValueTask DisposeAsync()
    {
        await _sending.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _labels.Dispose();
        _replicaField.Dispose();
        _filled.Dispose();
        _sent.Dispose();
    }

    // How many of the chunks go into one frame beside the labels, one at least, and the bytes of their fields.
    (int To, int Size) Fitting(ArraySegment<Chunk> chunks, int from)
    {
        var (to, size, most) = (from, 0, FrameBytes - (2 * HeaderBytes) - _labels.Length);
        for (; to < chunks.Count; to++)
        {
            var one = _chunks.Size(chunks[to]);
            if (to > from && size + one > most)
            {
                break;
            }

            size += one;
        }

        return (to, size);
    }

    void WriteLabels(Series series)
    {
        _labels.Clear();
        WriteLabels(_labels, series.Labels);
        if (request.ReplicaLabels.Count == 0)
        {
            return;
        }

        if (_replica is null || _replica != series.Replica)
        {
            // A copy, since the field outlives the series.
            _replica = series.Replica.Copy();
            using var fields = new ByteWriter();
            WriteLabels(fields, series.Replica);
            _replicaField.Clear();
            _replicaField.UVarint(ReplicaTag);
            _replicaField.LengthPrefixed(fields.Written);
        }

        _labels.Raw(_replicaField.Written);
    }

    static void WriteLabels(ByteWriter to, Labels labels)
    {
        foreach (var label in labels)
        {
            var size = (label.Name.Length == 0 ? 0 : 1 + Sized(label.Name.Length)) + (label.Value.Length == 0 ? 0 : 1 + Sized(label.Value.Length));
            to.Byte(LabelTag);
            to.UVarint((ulong)size);
            if (label.Name.Length > 0)
            {
                to.Byte(NameTag);
                to.LengthPrefixed(label.Name);
            }

            if (label.Value.Length > 0)
            {
                to.Byte(ValueTag);
                to.LengthPrefixed(label.Value);
            }
        }
    }

    static int Sized(int length) => Varint.SizeUnsigned((ulong)length) + length;

    /// <summary>
    /// Begins a series, or the rest of one, whose fields have so many bytes together, with its labels; in a new frame where it does not fit.
    /// </summary>
    async ValueTask BeginAsync(int size)
    {
        if (_series >= _batch || (_series > 0 && _filled.Length + HeaderBytes + size > FrameBytes))
        {
            await FlushAsync();
        }

        if (_filled.Length == 0)
        {
            _filled.GetSpan(HeaderBytes)[..HeaderBytes].Clear();
            _filled.Advance(HeaderBytes);
        }

        if (_batch > 1)
        {
            _filled.Byte(SeriesTag);
            _filled.UVarint((ulong)size);
        }

        _filled.Raw(_labels.Written);
        _series++;
    }

    async ValueTask FlushAsync(bool isLast = false)
    {
        if (_series == 0)
        {
            responses.WriteOptions = isLast ? s_sendLater : responses.WriteOptions;
            return;
        }

        var frame = TakeFrame();
        await _sending;
        (_filled, _sent) = (_sent, _filled);
        _filled.Clear();
        _series = 0;

        _unsent += frame.Bytes.Length;
        var waits = isLast || (_unsent < _sendBytes && Stopwatch.GetElapsedTime(_sentAt) < s_longest);
        responses.WriteOptions = waits ? s_sendLater : null;
        if (!waits)
        {
            (_unsent, _sendBytes, _sentAt) = (0, Math.Min(_sendBytes * 2, MostSendBytes), Stopwatch.GetTimestamp());
        }

        _sending = responses.WriteAsync(frame, cancellationToken);
    }

    /// <summary>The series that were added as one message, which lies in their buffer.</summary>
    WireFrame TakeFrame()
    {
        var content = _filled.Length - HeaderBytes;
        var start = HeaderBytes - 1 - Varint.SizeUnsigned((ulong)content);
        var buffer = _filled.WrittenMutable;
        buffer[start] = _batch > 1 ? BatchTag : SeriesTag;
        Varint.WriteUnsigned(buffer[(start + 1)..], (ulong)content);
        return new WireFrame(_filled.WrittenMemory[start..]);
    }

    Task WriteAsync(SeriesResponse message) => responses.WriteAsync(new WireFrame(message.ToByteArray()), cancellationToken);
}
