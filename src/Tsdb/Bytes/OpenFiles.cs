using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Observe.Tsdb.Bytes;

/// <summary>
/// The files that are read again and again, of which only so many are open at a time: one more closes those that were not read of late,
/// and what is closed is opened again when it is read. Thread-safe.
/// </summary>
public sealed partial class OpenFiles
{
    /// <summary>So much of what is open goes when the system has no descriptor left.</summary>
    const int ShareToClose = 4;

    readonly Lock _lock = new();
    readonly Queue<PooledFile> _queue = new();
    int _open;
    long _opened;
    long _exhausted;

    /// <param name="limit">Files that are open at a time; those being read at this moment may be more.</param>
    public OpenFiles(int limit) => Limit = Math.Max(limit, 1);

    /// <summary>Descriptors are the process's, so what shares them is one for all: half of those that it may have.</summary>
    public static OpenFiles Shared { get; } = new((int)Math.Clamp(Descriptors() / 2, 16, 16_384));

    public int Limit { get; }

    /// <summary>Files that are open now.</summary>
    public int Count => Volatile.Read(ref _open);

    /// <summary>How often a file was opened.</summary>
    public long Opened => Volatile.Read(ref _opened);

    /// <summary>How often there was no descriptor left although nothing more could be closed.</summary>
    public long Exhausted => Volatile.Read(ref _exhausted);

    /// <exception cref="ResourceExhaustedException">There is no descriptor left.</exception>
    /// <exception cref="CorruptionException">It was open before and is another file.</exception>
    /// <exception cref="IOException">The file is gone or can't be read.</exception>
    internal SafeFileHandle Open(PooledFile file)
    {
        lock (_lock)
        {
            Close(_open - (Limit - 1));
        }

        while (true)
        {
            try
            {
                var handle = File.OpenHandle(file.Path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
                var length = RandomAccess.GetLength(handle);
                lock (_lock)
                {
                    Interlocked.Increment(ref _opened);
                    return Add(file, handle, length);
                }
            }
            catch (Exception e) when (ResourceExhaustedException.IsCauseOf(e))
            {
                lock (_lock)
                {
                    if (Close(Math.Max(1, _open / ShareToClose)))
                    {
                        continue;
                    }
                }

                Interlocked.Increment(ref _exhausted);
                throw new ResourceExhaustedException(
                    $"{file.Path} can't be opened: {e.Message}; the process may have {Descriptors()} files open (ulimit -n)", e);
            }
        }
    }

    internal void Remove(PooledFile file)
    {
        lock (_lock)
        {
            // What is left of it in the queue goes when it comes to its front.
            file.IsDisposed = true;
            Drop(file);
        }
    }

    SafeFileHandle Add(PooledFile file, SafeFileHandle handle, long length)
    {
        if (file.IsDisposed || file.Handle is not null)
        {
            handle.Dispose();
            return file.Handle ?? throw new ObjectDisposedException(file.Path);
        }

        if (file.Length >= 0 && file.Length != length)
        {
            handle.Dispose();
            CorruptionException.Throw(file.Path, 0, $"is another file than it was: {length} bytes, not {file.Length}");
        }

        file.Length = length;
        file.Handle = handle;
        file.IsUsed = true;
        _open++;
        if (!file.IsQueued)
        {
            file.IsQueued = true;
            _queue.Enqueue(file);
        }

        // Others may have been opened since room was made for this one.
        Close(_open - Limit);
        return handle;
    }

    // Goes round: who was read since the last round stays for one more. False when there is nothing that may be closed.
    bool Close(int count)
    {
        var closed = false;
        for (var left = 2 * _queue.Count; count > 0 && left > 0; left--)
        {
            var file = _queue.Dequeue();
            file.IsQueued = false;
            if (file.Handle is null)
            {
                continue;
            }

            if (file.IsKept || file.IsUsed)
            {
                file.IsUsed = false;
                file.IsQueued = true;
                _queue.Enqueue(file);
                continue;
            }

            Drop(file);
            closed = true;
            count--;
        }

        return closed;
    }

    // A read that is under way goes on to its end: the handle counts who uses it.
    void Drop(PooledFile file)
    {
        if (file.Handle is { } handle)
        {
            file.Handle = null;
            _open--;
            handle.Dispose();
        }
    }

    static long Descriptors() =>
        GetLimit(7 /* RLIMIT_NOFILE */, out var limit) == 0 && limit.Current <= int.MaxValue ? (long)limit.Current : int.MaxValue;

    [LibraryImport("libc", EntryPoint = "getrlimit")]
    private static partial int GetLimit(int resource, out ResourceLimit limit);

    [StructLayout(LayoutKind.Sequential)]
    [SuppressMessage("Style", "IDE0051", Justification = "the system's layout")]
    struct ResourceLimit
    {
        public ulong Current;
        public ulong Most;
    }
}

/// <summary>A file that is read at positions and never changes; open when it is needed. Thread-safe.</summary>
public sealed class PooledFile : IDisposable
{
    readonly OpenFiles _files;
    volatile SafeFileHandle? _handle;

    /// <exception cref="ResourceExhaustedException">There is no descriptor left.</exception>
    /// <exception cref="IOException">There is no such file, or it can't be read.</exception>
    public PooledFile(string path, OpenFiles? files = null)
    {
        (Path, _files) = (path, files ?? OpenFiles.Shared);
        _files.Open(this);
    }

    public string Path { get; }

    public long Length { get; internal set; } = -1;

    // What the pool keeps of it, under its lock; a handle is read by readers too.
    internal SafeFileHandle? Handle { get => _handle; set => _handle = value; }

    internal bool IsUsed { get; set; }

    internal bool IsQueued { get; set; }

    internal bool IsKept { get; private set; }

    internal bool IsDisposed { get; set; }

    /// <summary>Some of the bytes from a position on; 0 at the end.</summary>
    /// <exception cref="ResourceExhaustedException">It had to be opened again and there is no descriptor left.</exception>
    /// <exception cref="CorruptionException">It had to be opened again and is gone, or another file.</exception>
    public int Read(Span<byte> destination, long position)
    {
        while (true)
        {
            var handle = _handle ?? Reopen();
            if (!IsUsed)
            {
                IsUsed = true;
            }

            try
            {
                return RandomAccess.Read(handle, destination, position);
            }
            catch (ObjectDisposedException) when (!IsDisposed)
            {
                // Closed for another file before it was read.
            }
        }
    }

    /// <summary>Keeps it open from now on, whatever others need: it is about to be deleted while it is read.</summary>
    public void Keep()
    {
        IsKept = true;
        _ = _handle ?? Reopen();
    }

    public void Dispose() => _files.Remove(this);

    SafeFileHandle Reopen()
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        try
        {
            return _files.Open(this);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new CorruptionException(Path, 0, "is gone", e);
        }
    }
}
