namespace Observe.Tsdb.Bytes;

/// <summary>
/// Something of this process or machine has run out: descriptors or memory. It says nothing of the data that was asked for, so it is no
/// <see cref="IOException"/>: no reader may take it for a source that is missing.
/// </summary>
public sealed class ResourceExhaustedException(string message, Exception? inner = null) : Exception(message, inner)
{
    const int OutOfMemory = 12;
    const int OpenFilesOfSystem = 23;
    const int OpenFilesOfProcess = 24;

    /// <summary>Whether an exception, or one inside it, says that such a resource has run out.</summary>
    public static bool IsCauseOf(Exception? e)
    {
        for (; e is not null; e = e.InnerException)
        {
            if (e is ResourceExhaustedException or OutOfMemoryException or System.Net.Sockets.SocketException { SocketErrorCode: System.Net.Sockets.SocketError.TooManyOpenSockets }
                || (e is IOException && e.HResult is OutOfMemory or OpenFilesOfSystem or OpenFilesOfProcess))
            {
                return true;
            }
        }

        return false;
    }
}
