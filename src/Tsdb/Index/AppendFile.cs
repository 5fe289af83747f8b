using Microsoft.Win32.SafeHandles;
using Observe.Tsdb.Bytes;

namespace Observe.Tsdb.Index;

/// <summary>A new file that is written from front to back through a buffer. Not thread-safe.</summary>
public sealed class AppendFile(string path) : IDisposable
{
    readonly SafeFileHandle _handle = File.OpenHandle(path, FileMode.Create, FileAccess.ReadWrite, FileShare.Read);
    readonly byte[] _buffer = new byte[65_536];
    int _filled;
    long _flushed;

    public string Path { get; } = path;

    public long Position => _flushed + _filled;

    public void Append(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > _buffer.Length - _filled)
        {
            Flush();
        }

        if (bytes.Length > _buffer.Length)
        {
            RandomAccess.Write(_handle, bytes, _flushed);
            _flushed += bytes.Length;
            return;
        }

        bytes.CopyTo(_buffer.AsSpan(_filled));
        _filled += bytes.Length;
    }

    /// <summary>Zeroes up to the next multiple of <paramref name="alignment"/>.</summary>
    public void Pad(int alignment)
    {
        Span<byte> zeroes = stackalloc byte[16];
        zeroes.Clear();
        Append(zeroes[..(int)((alignment - (Position % alignment)) % alignment)]);
    }

    /// <summary>Overwrites bytes that were appended before.</summary>
    public void Patch(long position, ReadOnlySpan<byte> bytes)
    {
        Flush();
        RandomAccess.Write(_handle, bytes, position);
    }

    public void Flush()
    {
        RandomAccess.Write(_handle, _buffer.AsSpan(0, _filled), _flushed);
        (_flushed, _filled) = (_flushed + _filled, 0);
    }

    /// <exception cref="IOException">What was appended is not on the disk.</exception>
    public void Sync()
    {
        Flush();
        DurableFile.Sync(_handle, Path);
    }

    public void Dispose() => _handle.Dispose();
}
