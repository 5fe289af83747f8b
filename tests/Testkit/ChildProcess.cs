using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;

namespace Observe.Testkit;

/// <summary>A program that a test runs: real, on the loopback interface, killed at the latest when it is disposed.</summary>
public sealed partial class ChildProcess : IAsyncDisposable
{
    readonly Process _process;
    readonly StringBuilder _output = new();
    readonly Dictionary<string, TaskCompletionSource<string>> _awaited = [];

    ChildProcess(Process process) => _process = process;

    public int Id => _process.Id;

    public bool HasExited => _process.HasExited;

    /// <summary>All it has written so far, both streams.</summary>
    public string Output
    {
        get
        {
            lock (_output)
            {
                return _output.ToString();
            }
        }
    }

    public static ChildProcess Start(string program, IEnumerable<string> arguments, params (string Name, string Value)[] environment)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        foreach (var (name, value) in environment)
        {
            start.Environment[name] = value;
        }

        var child = new ChildProcess(new Process { StartInfo = start });
        child._process.OutputDataReceived += (_, e) => child.OnLine(e.Data);
        child._process.ErrorDataReceived += (_, e) => child.OnLine(e.Data);
        child._process.Start();
        child._process.StandardInput.Close();
        child._process.BeginOutputReadLine();
        child._process.BeginErrorReadLine();
        return child;
    }

    /// <summary>Runs a program to its end and returns its exit code and output.</summary>
    public static async Task<(int ExitCode, string Output)> RunAsync(string program, IEnumerable<string> arguments, TimeSpan? limit = null)
    {
        await using var child = Start(program, arguments);
        using var timeout = new CancellationTokenSource(limit ?? TimeSpan.FromMinutes(2));
        await child._process.WaitForExitAsync(timeout.Token);
        return (child._process.ExitCode, child.Output);
    }

    /// <summary>Waits for a line that contains a text and returns it.</summary>
    public async Task<string> LineAsync(string text, TimeSpan? limit = null)
    {
        TaskCompletionSource<string> waiter;
        lock (_output)
        {
            var line = _output.ToString().Split('\n').FirstOrDefault(l => l.Contains(text, StringComparison.Ordinal));
            if (line is not null)
            {
                return line;
            }

            _awaited[text] = waiter = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        using var timeout = new CancellationTokenSource(limit ?? TimeSpan.FromMinutes(1));
        var exit = _process.WaitForExitAsync(timeout.Token);
        if (await Task.WhenAny(waiter.Task, exit) == waiter.Task)
        {
            return await waiter.Task;
        }

        throw new InvalidOperationException($"'{text}' did not come from {_process.StartInfo.FileName}:\n{Output}");
    }

    /// <summary>Waits until one of Prometheus's programs, told to listen on port 0, says HOST:PORT where it does.</summary>
    public async Task<string> ListeningAsync() => (await LineAsync("msg=\"Listening on\"")).Split("address=")[1].Split(' ')[0];

    /// <summary>Waits for its end; returns the exit code.</summary>
    /// <exception cref="OperationCanceledException">It runs on.</exception>
    public async Task<int> WaitAsync(TimeSpan limit)
    {
        using var timeout = new CancellationTokenSource(limit);
        await _process.WaitForExitAsync(timeout.Token);
        return _process.ExitCode;
    }

    /// <summary>SIGKILL.</summary>
    public async Task KillAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync();
    }

    /// <summary>SIGTERM, or another signal, and then its exit code.</summary>
    public async Task<int> StopAsync(string signal = "TERM", TimeSpan? limit = null)
    {
        await SignalAsync(signal);
        using var timeout = new CancellationTokenSource(limit ?? TimeSpan.FromMinutes(1));
        await _process.WaitForExitAsync(timeout.Token);
        return _process.ExitCode;
    }

    public Task SignalAsync(string signal)
    {
        _ = Kill(_process.Id, signal switch { "HUP" => 1, "INT" => 2, "KILL" => 9, "TERM" => 15, _ => throw new ArgumentException(signal) });
        return Task.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _process.Kill(entireProcessTree: true);
            await _process.WaitForExitAsync();
        }

        _process.Dispose();
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int process, int signal);

    void OnLine(string? line)
    {
        if (line is null)
        {
            return;
        }

        lock (_output)
        {
            _output.Append(line).Append('\n');
            foreach (var (text, waiter) in _awaited)
            {
                if (line.Contains(text, StringComparison.Ordinal))
                {
                    waiter.TrySetResult(line);
                }
            }
        }
    }
}
