using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Observe.Testkit;

/// <summary>The processor time of the calling thread, which other processes and threads do not lengthen as they do time by the clock.</summary>
public static partial class ThreadTime
{
    /// <summary><c>CLOCK_THREAD_CPUTIME_ID</c> of Linux.</summary>
    const int ThreadClock = 3;

    public static TimeSpan Now
    {
        get
        {
            if (ClockGetTime(ThreadClock, out var time) != 0)
            {
                throw new Win32Exception(Marshal.GetLastPInvokeError());
            }

            return TimeSpan.FromSeconds(time.Seconds) + TimeSpan.FromMicroseconds(time.Nanoseconds / 1e3);
        }
    }

    [LibraryImport("libc", EntryPoint = "clock_gettime", SetLastError = true)]
    private static partial int ClockGetTime(int clock, out TimeSpec time);

    struct TimeSpec
    {
        public nint Seconds;
        public nint Nanoseconds;
    }
}
