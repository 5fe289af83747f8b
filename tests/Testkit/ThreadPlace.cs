using System.Runtime.InteropServices;

namespace Observe.Testkit;

/// <summary>Where code runs: the name of its thread, and on Linux how far that stands behind others.</summary>
public static partial class ThreadPlace
{
    /// <summary><c>query 5</c>, <c>background 10</c>, or <c>pool 0</c>.</summary>
    public static string Current =>
        $"{(Thread.CurrentThread.IsThreadPoolThread ? "pool" : Thread.CurrentThread.Name)} {(OperatingSystem.IsLinux() ? GetPriority(0, 0) : 0)}";

    public static string Query => OperatingSystem.IsLinux() ? "query 5" : "query 0";

    public static string Background => OperatingSystem.IsLinux() ? "background 10" : "background 0";

    [LibraryImport("libc", EntryPoint = "getpriority")]
    private static partial int GetPriority(int which, int who);
}
