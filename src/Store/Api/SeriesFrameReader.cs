using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Store.Api;

/// <summary>Chunks of a series within a frame, which have been checked.</summary>
/// <param name="Start">Where the fields of the series begin, from the first chunk on.</param>
readonly record struct FramePart(byte[] Array, int Start, int Length, int Chunks);

/// <summary>
/// Reads one frame after another as series, warnings and hints. Labels stay where they are in a frame: their fields are written over by what
/// <see cref="Labels.Encoded"/> is, which is shorter.
/// </summary>
/// <exception cref="CorruptionException">A frame is damaged.</exception>
sealed class SeriesFrameReader(RemoteSelection selection)
{
    const ulong SeriesTag = (1 << 3) | 2;
    const ulong WarningTag = (2 << 3) | 2;
    const ulong HintsTag = (3 << 3) | 2;
    const ulong BatchTag = (4 << 3) | 2;
    const ulong LabelTag = (1 << 3) | 2;
    const ulong ReplicaTag = (1000 << 3) | 2;

    readonly string _endpoint = selection.Endpoint;
    byte[] _frame = [];
    int _at;
    int _end;
    int _batchEnd;
    RemoteSeries? _series;
    Labels _replica;
    byte[] _replicaField = [];

    /// <summary>Goes on with a frame, all of the one before having been read.</summary>
    public void Open(WireFrame frame) => (_frame, _at, _end, _batchEnd) = (frame.Received, 0, frame.Bytes.Length, 0);

    /// <summary>The next series that is whole, or what else is next; null at the end of the frame.</summary>
    public object? Next()
    {
        while (_at < _end)
        {
            var isInBatch = _at < _batchEnd;
            var fields = new ByteReader(_frame.AsSpan(_at, (isInBatch ? _batchEnd : _end) - _at), _endpoint, _at);
            var tag = fields.UVarint();
            if (tag == BatchTag && !isInBatch)
            {
                var length = fields.Length();
                _at += fields.Position;
                _batchEnd = _at + length;
                continue;
            }

            if (tag is not (SeriesTag or WarningTag or HintsTag) || (isInBatch && tag != SeriesTag))
            {
                WireFields.Skip(ref fields, tag);
                _at += fields.Position;
                continue;
            }

            var content = fields.LengthPrefixed();
            _at += fields.Position;
            switch (tag)
            {
                case SeriesTag:
                    if (Add(_at - content.Length, content.Length) is { } whole)
                    {
                        return whole;
                    }

                    break;

                case WarningTag:
                    return System.Text.Encoding.UTF8.GetString(content);

                case HintsTag:
                    return Hints(content);
            }
        }

        return null;
    }

    /// <summary>The last series, once there are no more frames.</summary>
    public RemoteSeries? Last() => _series;

    // Adds to the series under way, or begins the next with it and returns the one before.
    RemoteSeries? Add(int start, int length)
    {
        var fields = new ByteReader(_frame.AsSpan(start, length), _endpoint, start);
        var labels = ReadLabels(start, ref fields, out var chunksAt);
        Labels? replica = null;
        var chunks = 0;
        while (!fields.AtEnd)
        {
            switch (fields.UVarint())
            {
                case WireChunks.ChunkTag:
                    WireChunks.Check(fields.LengthPrefixed(), _endpoint);
                    chunks++;
                    break;

                case ReplicaTag:
                    replica = ReadReplica(fields.LengthPrefixed());
                    break;

                case LabelTag:
                    // Labels behind chunks, which no store sends.
                    var more = new LabelsBuilder(labels);
                    AddLabel(more, fields.LengthPrefixed());
                    labels = more.Build();
                    break;

                case var tag:
                    WireFields.Skip(ref fields, tag);
                    break;
            }
        }

        var part = new FramePart(_frame, start + chunksAt, length - chunksAt, chunks);
        if (_series is not null && _series.Labels == labels && _series.Replica == (replica ?? Labels.Empty))
        {
            _series.Add(part);
            return null;
        }

        var whole = _series;
        _series = new RemoteSeries(new SeriesKey(labels, replica ?? Labels.Empty), replica is not null, selection);
        _series.Add(part);
        return whole;
    }

    // The labels that a series begins with. The reader is left at the first other field.
    Labels ReadLabels(int start, ref ByteReader fields, out int end)
    {
        var written = start;
        ReadOnlySpan<byte> last = default;
        LabelsBuilder? disordered = null;
        while (true)
        {
            end = fields.Position;
            if (fields.AtEnd)
            {
                break;
            }

            var next = fields;
            if (next.UVarint() != LabelTag)
            {
                break;
            }

            var isInOrder = ReadLabel(next.LengthPrefixed(), out var name, out var value);
            fields = next;
            if (disordered is null && (!isInOrder || value.IsEmpty || name.SequenceCompareTo(last) <= 0))
            {
                disordered = new LabelsBuilder(new Labels(_frame[start..written]));
            }

            if (disordered is not null)
            {
                disordered.Set(name, value);
                continue;
            }

            // What is written lies before what is read, and what was read last is compared with from where it was written.
            var nameAt = Put(ref written, name);
            Put(ref written, value);
            last = _frame.AsSpan(nameAt, name.Length);
        }

        return disordered?.Build() ?? new Labels(_frame, start, written - start);
    }

    int Put(ref int at, ReadOnlySpan<byte> text)
    {
        var length = text.Length;
        at += Varint.WriteUnsigned(_frame.AsSpan(at), (ulong)length);
        text.CopyTo(_frame.AsSpan(at));
        at += length;
        return at - length;
    }

    // Whether the name lies before the value: written over the label, it must not fall on a value that is still to be copied.
    bool ReadLabel(ReadOnlySpan<byte> content, out ReadOnlySpan<byte> name, out ReadOnlySpan<byte> value)
    {
        name = default;
        value = default;
        var isInOrder = true;
        var fields = new ByteReader(content, _endpoint);
        while (!fields.AtEnd)
        {
            switch (fields.UVarint())
            {
                case (1 << 3) | 2:
                    name = fields.LengthPrefixed();
                    isInOrder = value.IsEmpty;
                    break;

                case (2 << 3) | 2:
                    value = fields.LengthPrefixed();
                    break;

                case var tag:
                    WireFields.Skip(ref fields, tag);
                    break;
            }
        }

        return isInOrder;
    }

    void AddLabel(LabelsBuilder builder, ReadOnlySpan<byte> content)
    {
        ReadLabel(content, out var name, out var value);
        builder.Set(name, value);
    }

    // Most series have the replica of the one before.
    Labels ReadReplica(ReadOnlySpan<byte> content)
    {
        if (!content.SequenceEqual(_replicaField))
        {
            _replicaField = content.ToArray();
            var builder = new LabelsBuilder();
            var fields = new ByteReader(content, _endpoint);
            while (!fields.AtEnd)
            {
                if (fields.UVarint() is var tag && tag == LabelTag)
                {
                    AddLabel(builder, fields.LengthPrefixed());
                }
                else
                {
                    WireFields.Skip(ref fields, tag);
                }
            }

            _replica = builder.Build();
        }

        return _replica;
    }

    Any Hints(ReadOnlySpan<byte> content)
    {
        try
        {
            return Any.Parser.ParseFrom(content);
        }
        catch (InvalidProtocolBufferException e)
        {
            throw new CorruptionException(_endpoint, 0, e.Message);
        }
    }
}
