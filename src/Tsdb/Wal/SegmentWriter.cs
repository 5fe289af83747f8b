using Microsoft.Win32.SafeHandles;
using Observe.Tsdb.Bytes;

namespace Observe.Tsdb.Wal;

/// <summary>The calls that a disk can refuse. A class of its own, so that tests can refuse them.</summary>
class WalDisk
{
    public static WalDisk Real { get; } = new();

    public virtual void Write(SafeFileHandle file, ReadOnlySpan<byte> bytes, long offset) => RandomAccess.Write(file, bytes, offset);

    public virtual int Read(SafeFileHandle file, Span<byte> into, long offset) => RandomAccess.Read(file, into, offset);

    public virtual void SyncData(SafeFileHandle file, string path) => DurableFile.SyncData(file, path);
}

/// <summary>
/// Appends batches to segments of one folder, each batch whole or not at all. Always begins with a segment of its own: what stands in
/// those before it is never touched. Not thread-safe, but for <see cref="Sync"/>.
/// </summary>
sealed class SegmentWriter : IDisposable
{
    readonly string _directory;
    readonly int _segmentBytes;
    readonly WalDisk _disk;
    readonly ByteWriter _frames = new(64 * 1024);
    SafeFileHandle _file;
    string _path;
    bool _tailUnknown;

    /// <exception cref="IOException">The segment can't be created.</exception>
    public SegmentWriter(string directory, int firstIndex, int segmentBytes, WalDisk disk)
    {
        (_directory, _segmentBytes, _disk) = (directory, segmentBytes, disk);
        (_file, _path) = Create(firstIndex);
        Index = firstIndex;
    }

    public int Index { get; private set; }

    /// <summary>Bytes in the current segment.</summary>
    public long Offset { get; private set; }

    /// <summary>The current segment has no room for these, or its end could not be cleaned up.</summary>
    public bool NeedsNext(WalBatch batch)
    {
        var pages = (batch.Length / (WalSegment.PageSize - WalSegment.HeaderSize)) + 1;
        var framed = batch.Length + ((batch.Count + pages) * WalSegment.HeaderSize);
        return _tailUnknown || (Offset > 0 && Offset + framed > _segmentBytes);
    }

    /// <exception cref="IOException">Nothing of the batch is in the log; a later write may succeed.</exception>
    public int Write(WalBatch batch)
    {
        _frames.Clear();
        batch.Frame(Offset, _frames);
        try
        {
            _disk.Write(_file, _frames.Written, Offset);
        }
        catch
        {
            CutTail();
            throw;
        }

        Offset += _frames.Length;
        return _frames.Length;
    }

    /// <summary>Goes on in a new segment; the old one is closed as it is, so sync it before.</summary>
    /// <exception cref="IOException">It can't be created: the old one stays.</exception>
    public void Next()
    {
        var (file, path) = Create(Index + 1);
        _file.Dispose();
        (_file, _path, Offset, _tailUnknown) = (file, path, 0, false);
        Index++;
    }

    /// <exception cref="IOException">
    /// What was written since the last sync may be lost, and no later sync of this segment will tell.
    /// </exception>
    public void Sync() => _disk.SyncData(_file, _path);

    public void Dispose()
    {
        _file.Dispose();
        _frames.Dispose();
    }

    (SafeFileHandle File, string Path) Create(int index)
    {
        var path = WalSegment.At(_directory, index).Path;
        var file = File.OpenHandle(path, FileMode.Create, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
        try
        {
            DurableFile.SyncDirectory(_directory);
            return (file, path);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Takes what a failed write left behind out of the file; where that fails too, the next batch goes into a new segment.
    /// </summary>
    void CutTail()
    {
        try
        {
            RandomAccess.SetLength(_file, Offset);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _tailUnknown = true;
        }
    }
}
