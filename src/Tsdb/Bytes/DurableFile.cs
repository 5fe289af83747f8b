using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Observe.Tsdb.Bytes;

/// <summary>
/// What makes a write durable: fsync through libc, since .NET's own flush returns normally when fsync fails. A failed sync is final
/// for that file: the kernel has dropped what it could not write, so the caller writes it again elsewhere.
/// </summary>
public static partial class DurableFile
{
    /// <exception cref="IOException">The data is not on the disk.</exception>
    public static void Sync(SafeFileHandle file, string path)
    {
        if (Fsync(file) != 0)
        {
            ThrowLast("fsync", path);
        }
    }

    /// <summary>Syncs data and size, but not times.</summary>
    public static void SyncData(SafeFileHandle file, string path)
    {
        if (Fdatasync(file) != 0)
        {
            ThrowLast("fdatasync", path);
        }
    }

    /// <summary>Makes creations, renames and deletions in a directory durable.</summary>
    /// <exception cref="DirectoryNotFoundException">There is no such directory, or no longer.</exception>
    public static void SyncDirectory(string path)
    {
        var descriptor = Open(path, 0x80000 /* O_RDONLY | O_CLOEXEC */);
        if (descriptor < 0)
        {
            if (Marshal.GetLastPInvokeError() == 2 /* ENOENT */)
            {
                throw new DirectoryNotFoundException($"open {path}: no such directory");
            }

            ThrowLast("open", path);
        }

        try
        {
            if (FsyncDescriptor(descriptor) != 0)
            {
                ThrowLast("fsync", path);
            }
        }
        finally
        {
            _ = Close(descriptor);
        }
    }

    /// <summary>Makes a directory, and those above it, so that they are still there after a power cut.</summary>
    public static void CreateDirectory(string path)
    {
        if (Directory.Exists(path))
        {
            return;
        }

        if (Path.GetDirectoryName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(path))) is { } parent)
        {
            CreateDirectory(parent);
            Directory.CreateDirectory(path);
            SyncDirectory(parent);
        }
    }

    /// <summary>Renames over whatever is there, then syncs the directory. The file's own content must be synced before.</summary>
    public static void Rename(string from, string to)
    {
        if (Directory.Exists(from))
        {
            Directory.Move(from, to);
        }
        else
        {
            File.Move(from, to, overwrite: true);
        }

        SyncDirectory(Path.GetDirectoryName(Path.GetFullPath(to))!);
    }

    /// <summary>Replaces a file as a whole: temporary file beside it, sync, rename, sync of the directory.</summary>
    public static void Write(string path, ReadOnlySpan<byte> content)
    {
        var temporary = path + ".tmp";
        using (var file = File.OpenHandle(temporary, FileMode.Create, FileAccess.Write))
        {
            RandomAccess.Write(file, content, 0);
            Sync(file, temporary);
        }

        Rename(temporary, path);
    }

    static void ThrowLast(string call, string path)
    {
        var error = Marshal.GetLastPInvokeError();
        throw new IOException($"{call} {path}: {new Win32Exception(error).Message}", error);
    }

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int Fsync(SafeFileHandle file);

    [LibraryImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
    private static partial int Fdatasync(SafeFileHandle file);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int FsyncDescriptor(int descriptor);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    private static partial int Close(int descriptor);
}
