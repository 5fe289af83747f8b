using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;
using Observe.Tsdb.Bytes;

namespace Observe.Tsdb.Head;

/// <summary>What a snapshot of a head stands for.</summary>
/// <param name="Segment">All segments of the log up to this one.</param>
/// <param name="SegmentBytes">The length of that segment, so that a log that began anew is told from the one that was read.</param>
/// <param name="Checkpoint">
/// The log's checkpoint at that time, -1 when it had none: a later one may lack the records of series that are in the snapshot.
/// </param>
/// <param name="LastRef">The highest reference that was ever given to a series.</param>
readonly record struct HeadSnapshotHeader(int Segment, long SegmentBytes, int Checkpoint, uint LastRef);

/// <summary>
/// A file of frames, each with its length and CRC-32C, and an empty one behind the last: a header, then series. It appears under its name
/// only when it is whole and synced.
/// </summary>
sealed class HeadSnapshotWriter : IDisposable
{
    public const string Magic = "observe head 1";
    public const int FrameHeaderSize = 8;

    const int FrameBytes = 1 << 20;

    readonly string _path;
    readonly SafeFileHandle _file;
    readonly ByteWriter _frame = new(FrameBytes + (FrameBytes / 4));

    /// <exception cref="IOException"/>
    public HeadSnapshotWriter(string path, HeadSnapshotHeader header)
    {
        _path = path;
        _file = File.OpenHandle(Temporary, FileMode.Create, FileAccess.Write);
        try
        {
            Begin();
            _frame.LengthPrefixed(System.Text.Encoding.ASCII.GetBytes(Magic));
            _frame.UVarint((ulong)header.Segment);
            _frame.UVarint((ulong)header.SegmentBytes);
            _frame.Varint(header.Checkpoint);
            _frame.UInt32(header.LastRef);
            End();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public long Length { get; private set; }

    string Temporary => TemporaryOf(_path);

    public static string TemporaryOf(string path) => path + ".tmp";

    /// <summary>To write one series into, followed by <see cref="EndSeries"/>.</summary>
    public ByteWriter Series => _frame;

    /// <exception cref="IOException"/>
    public void EndSeries()
    {
        if (_frame.Length >= FrameBytes)
        {
            End();
        }
    }

    /// <exception cref="IOException">The file that had the name is as it was.</exception>
    public void Finish()
    {
        if (_frame.Length > FrameHeaderSize)
        {
            End();
        }

        End();
        DurableFile.Sync(_file, Temporary);
        DurableFile.Rename(Temporary, _path);
    }

    public void Dispose()
    {
        _file.Dispose();
        _frame.Dispose();
        File.Delete(Temporary);
    }

    void Begin()
    {
        _frame.Clear();
        _frame.UInt64(0);
    }

    void End()
    {
        var payload = _frame.Written[FrameHeaderSize..];
        BinaryPrimitives.WriteInt32BigEndian(_frame.WrittenMutable, payload.Length);
        BinaryPrimitives.WriteUInt32BigEndian(_frame.WrittenMutable[sizeof(int)..], Crc32C.Of(payload));
        RandomAccess.Write(_file, _frame.Written, Length);
        Length += _frame.Length;
        Begin();
    }
}

/// <summary>Reads frames one after another; what it has given is as it was written.</summary>
sealed class HeadSnapshotReader : IDisposable
{
    /// <summary>A frame ends behind the series that fills it, and a series may have a chunk each few samples.</summary>
    const int MaxFrameBytes = 256 << 20;

    readonly string _path;
    readonly SafeFileHandle _file;
    readonly long _length;
    byte[] _frame = [];
    long _offset;

    /// <exception cref="IOException">There is no such file, or it can't be read.</exception>
    /// <exception cref="CorruptionException"/>
    public HeadSnapshotReader(string path)
    {
        _path = path;
        _file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, FileOptions.SequentialScan);
        try
        {
            _length = RandomAccess.GetLength(_file);
            var header = new ByteReader(Next(), path);
            if (!header.LengthPrefixed().SequenceEqual(System.Text.Encoding.ASCII.GetBytes(HeadSnapshotWriter.Magic)))
            {
                header.Fail("is no snapshot of a head");
            }

            Header = new HeadSnapshotHeader(
                (int)Math.Min(header.UVarint(), int.MaxValue), (long)header.UVarint(), (int)header.Varint(), header.UInt32());
        }
        catch
        {
            _file.Dispose();
            throw;
        }
    }

    public HeadSnapshotHeader Header { get; }

    public long Length => _length;

    /// <summary>The next frame, valid until the next call; empty behind the last.</summary>
    /// <exception cref="CorruptionException">It is damaged, or the file ends too early.</exception>
    public ReadOnlySpan<byte> Next()
    {
        Span<byte> header = stackalloc byte[HeadSnapshotWriter.FrameHeaderSize];
        Fill(header);
        var length = BinaryPrimitives.ReadInt32BigEndian(header);
        if (length < 0 || length > Math.Min(MaxFrameBytes, _length - _offset))
        {
            CorruptionException.Throw(_path, _offset, $"a frame of {length} bytes");
        }

        if (_frame.Length < length)
        {
            _frame = GC.AllocateUninitializedArray<byte>(length + (length / 4));
        }

        var frame = _frame.AsSpan(0, length);
        var offset = _offset;
        Fill(frame);
        if (Crc32C.Of(frame) != BinaryPrimitives.ReadUInt32BigEndian(header[sizeof(int)..]))
        {
            CorruptionException.ThrowChecksum(_path, offset);
        }

        return frame;
    }

    public void Dispose() => _file.Dispose();

    void Fill(Span<byte> into)
    {
        while (!into.IsEmpty)
        {
            var read = RandomAccess.Read(_file, into, _offset);
            if (read == 0)
            {
                CorruptionException.Throw(_path, _offset, "unexpected end");
            }

            into = into[read..];
            _offset += read;
        }
    }
}
