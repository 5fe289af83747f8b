using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Observe.Testkit;

namespace Observe.EndToEnd.Tests.Hosting;

/// <summary>
/// A lease on the last segment of a write-ahead log: a process that replays the log stands before that segment until it is released, and
/// nobody has to guess how long a replay takes. The kernel grants it three quarters of a minute.
/// </summary>
sealed partial class HeldReplay : IDisposable
{
    const int SetSignal = 10;
    const int SetLease = 1024;
    const int GetLease = 1025;
    const int WriteLease = 1;
    const int NoLease = 2;

    /// <summary>Tells of whoever comes, instead of a signal that ends the process; it is ignored.</summary>
    const int Urgent = 23;

    readonly SafeFileHandle _segment;

    /// <param name="wal">The folder of a log.</param>
    public HeldReplay(string wal)
    {
        var last = Directory.GetFiles(wal).Where(file => int.TryParse(Path.GetFileName(file), out _)).Max(StringComparer.Ordinal)!;
        _segment = File.OpenHandle(last, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
        Control(SetSignal, Urgent);
        Control(SetLease, WriteLease);
    }

    /// <summary>Completes when the replay has come to the last segment, all before it being read.</summary>
    public Task ReachedAsync() => Eventually.TrueAsync(() => Task.FromResult(Control(GetLease, 0) != WriteLease), TimeSpan.FromMinutes(1), "the replay");

    public void Release() => Control(SetLease, NoLease);

    public void Dispose() => _segment.Dispose();

    int Control(int command, int argument) => Fcntl(_segment, command, argument) is >= 0 and var result
        ? result : throw new Win32Exception(Marshal.GetLastPInvokeError());

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    private static partial int Fcntl(SafeFileHandle file, int command, int argument);
}
