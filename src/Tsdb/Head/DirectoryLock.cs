namespace Observe.Tsdb.Head;

/// <summary>
/// Keeps a data folder to one process: an advisory lock of the kernel on the file <c>lock</c>, which ends with the process however that
/// ends. Prometheus takes the same one.
/// </summary>
sealed class DirectoryLock : IDisposable
{
    /// <summary>EWOULDBLOCK, on Linux and on macOS.</summary>
    static readonly int s_taken = OperatingSystem.IsMacOS() ? 35 : 11;

    readonly FileStream _file;

    DirectoryLock(FileStream file) => _file = file;

    /// <exception cref="IOException">Another process has it.</exception>
    public static DirectoryLock Acquire(string directory)
    {
        var path = Path.Combine(directory, "lock");
        try
        {
            return new DirectoryLock(new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None));
        }
        catch (IOException e) when (e is not (DirectoryNotFoundException or PathTooLongException))
        {
            throw new IOException(
                e.HResult == s_taken
                    ? $"the data folder {directory} is in use by another process ({e.Message})"
                    : $"the data folder {directory} can't be locked: {e.Message}",
                e);
        }
    }

    public void Dispose() => _file.Dispose();
}
