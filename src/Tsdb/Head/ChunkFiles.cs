using System.Globalization;
using Microsoft.Win32.SafeHandles;
using Observe.Tsdb.Bytes;

namespace Observe.Tsdb.Head;

/// <summary>
/// Closed chunks on disk, out of the managed heap: appended to files, read back one by one, dropped file by file. Nothing here needs to
/// survive the process, since the log has it all: files of an earlier process are removed, and none is synced.
/// </summary>
/// <remarks>A chunk is its data and their CRC-32C. Thread-safe. While the disk is full or refuses, chunks stay in memory.</remarks>
sealed class ChunkFiles : IDisposable
{
    const int FileBytes = 128 << 20;
    const int FlushBytes = 256 << 10;
    const int ChecksumSize = 4;

    readonly Lock _lock = new();
    readonly string _directory;
    readonly List<OneFile> _files = [];
    readonly ByteWriter _buffer = new(FlushBytes + 4096);
    int _nextNumber = 1;
    int _flushAt = FlushBytes;

    /// <param name="directory">Its own folder, emptied.</param>
    public ChunkFiles(string directory)
    {
        _directory = directory;
        if (Directory.Exists(directory))
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    /// <summary>Bytes in files and in the buffer before them.</summary>
    public long Bytes
    {
        get
        {
            lock (_lock)
            {
                return _files.Sum(f => f.Flushed) + _buffer.Length;
            }
        }
    }

    /// <param name="maxTime">Of the chunk: a file goes when all its chunks are too old.</param>
    /// <returns>Where to <see cref="Read"/> it.</returns>
    public long Write(ReadOnlySpan<byte> data, long maxTime)
    {
        lock (_lock)
        {
            if (_files.Count == 0 || _files[^1].Flushed + _buffer.Length > FileBytes)
            {
                Roll();
            }

            var file = _files[^1];
            file.MaxTime = Math.Max(file.MaxTime, maxTime);
            var at = ((long)file.Number << 32) | (file.Flushed + _buffer.Length);
            _buffer.Raw(data);
            _buffer.UInt32(Crc32C.Of(data));
            if (_buffer.Length >= _flushAt)
            {
                Flush();
            }

            return at;
        }
    }

    /// <exception cref="CorruptionException">The disk gave back something else than was written.</exception>
    /// <exception cref="IOException">It can't be read, or was dropped meanwhile.</exception>
    public byte[] Read(long at, int length)
    {
        OneFile? file;
        var data = new byte[length + ChecksumSize];
        var offset = at & uint.MaxValue;
        lock (_lock)
        {
            file = _files.Find(f => f.Number == at >> 32);
            if (file is not null && offset >= file.Flushed)
            {
                _buffer.Written.Slice((int)(offset - file.Flushed), length).CopyTo(data);
                return data[..length];
            }
        }

        if (file is null)
        {
            throw new IOException("samples of the head were cut into a block while they were read");
        }

        for (var read = 0; read < data.Length;)
        {
            var n = RandomAccess.Read(file.Handle!, data.AsSpan(read), offset + read);
            if (n == 0)
            {
                CorruptionException.Throw(file.Path, offset, "unexpected end");
            }

            read += n;
        }

        if (Crc32C.Of(data.AsSpan(0, length)) != System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(data.AsSpan(length)))
        {
            CorruptionException.ThrowChecksum(file.Path, offset);
        }

        return data[..length];
    }

    /// <summary>Removes the files that have no chunk at or after a time.</summary>
    public void DropBefore(long minTime)
    {
        lock (_lock)
        {
            for (var i = _files.Count - 1; i >= 0; i--)
            {
                if (_files[i].MaxTime < minTime)
                {
                    if (i == _files.Count - 1)
                    {
                        _buffer.Clear();
                    }

                    if (_files[i].Handle is not null)
                    {
                        _files[i].Dispose();
                        File.Delete(_files[i].Path);
                    }

                    _files.RemoveAt(i);
                }
            }

            // Chunks that are written from now on are newer. In a file of their own they do not keep the older ones on disk.
            if (_files.Count > 0 && _buffer.Length + _files[^1].Flushed > 0)
            {
                Roll();
            }
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _files.ForEach(f => f.Dispose());
            _files.Clear();
            _buffer.Dispose();
        }

        if (Directory.Exists(_directory))
        {
            Directory.Delete(_directory, recursive: true);
        }
    }

    /// <summary>Begins a new file, unless the buffer could not be written because the disk is full.</summary>
    void Roll()
    {
        if (_files.Count > 0)
        {
            Flush();
            if (_buffer.Length > 0)
            {
                return;
            }
        }

        _files.Add(new OneFile(_nextNumber, Path.Combine(_directory, _nextNumber.ToString("D6", CultureInfo.InvariantCulture))));
        _nextNumber++;
    }

    void Flush()
    {
        var file = _files[^1];
        try
        {
            Directory.CreateDirectory(_directory);
            file.Handle ??= File.OpenHandle(file.Path, FileMode.Create, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
            RandomAccess.Write(file.Handle, _buffer.Written, file.Flushed);
            file.Flushed += _buffer.Length;
            _buffer.Clear();
            _flushAt = FlushBytes;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _flushAt = _buffer.Length + FlushBytes;
        }
    }

    sealed class OneFile(int number, string path) : IDisposable
    {
        public int Number { get; } = number;

        public string Path { get; } = path;

        public SafeFileHandle? Handle { get; set; }

        public long Flushed { get; set; }

        public long MaxTime { get; set; } = long.MinValue;

        public void Dispose() => Handle?.Dispose();
    }
}
