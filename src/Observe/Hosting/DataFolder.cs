using System.CommandLine;
using Observe.Tsdb.Bytes;

namespace Observe.Hosting;

/// <summary>The folder that a flag names, or one in it, created where it is missing and locked by this process.</summary>
sealed class DataFolder : IDisposable
{
    readonly FileStream? _lock;

    DataFolder(string path, FileStream? held) => (Path, _lock) = (path, held);

    public string Path { get; }

    /// <param name="part">The name of a folder within the flag's folder; "" for the flag's folder itself.</param>
    /// <param name="locked">False where another object takes the lock, the owner of the folder's files.</param>
    /// <exception cref="FlagException">The folder cannot be used.</exception>
    public static DataFolder Open(ParseResult flags, Option<string> option, string part = "", bool locked = true)
    {
        var path = System.IO.Path.Combine(flags.GetValue(option)!, part);
        try
        {
            DurableFile.CreateDirectory(path);
            return new DataFolder(path, locked ? Lock(path) : null);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new FlagException($"{Flags.NameOf(flags, option)}: {path}: {Reason(path, e)}", e);
        }
    }

    public void Dispose() => _lock?.Dispose();

    /// <summary>An advisory lock of the kernel, which ends with the process however that ends.</summary>
    static FileStream Lock(string path)
    {
        var file = System.IO.Path.Combine(path, "lock");
        try
        {
            return new FileStream(file, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e) when (File.Exists(file) && e.GetType() == typeof(IOException))
        {
            throw new IOException("another process uses it", e);
        }
    }

    static string Reason(string path, Exception e)
    {
        for (var above = System.IO.Path.GetFullPath(path); above is not null; above = System.IO.Path.GetDirectoryName(above))
        {
            if (File.Exists(above))
            {
                return $"{above} is a file, not a folder";
            }
        }

        return e is UnauthorizedAccessException
            ? "this process may not write there" : e is FileNotFoundException ? "it cannot be made" : e.Message;
    }
}
