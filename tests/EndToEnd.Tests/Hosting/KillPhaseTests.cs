using Observe.Testkit;
using Xunit;

namespace Observe.EndToEnd.Tests.Hosting;

/// <summary>Each role is killed in each phase of its start and of its stop, and starts again cleanly.</summary>
public sealed class KillPhaseTests(ITestOutputHelper output) : IDisposable
{
    const int Phases = 5;
    readonly string _folder = Checkout.NewFolder("phases");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("collector", "--config.file=CONFIG")]
    [InlineData("store")]
    [InlineData("compact", "--wait")]
    [InlineData("query")]
    [InlineData("all")]
    public async Task A_role_starts_again_whenever_it_was_killed(string role, params string[] more)
    {
        var config = Path.Combine(_folder, "observe.yml");
        await File.WriteAllTextAsync(config, "global: {external_labels: {cluster: a}}\n");
        string[] flags =
        [
            .. more.Select(flag => flag.Replace("CONFIG", config, StringComparison.Ordinal)),
            "--objstore.config={type: FILESYSTEM, config: {directory: " + Path.Combine(_folder, "bucket") + "}}",
            "--data-dir=" + Path.Combine(_folder, "data"),
        ];
        var began = TimeProvider.System.GetTimestamp();
        await using (var first = await ObserveProcess.StartAsync(role, flags))
        {
            Assert.Equal(0, await first.Process.StopAsync());
        }

        var whole = TimeProvider.System.GetElapsedTime(began);
        foreach (var signal in new[] { "TERM", "KILL" })
        {
            for (var phase = 1; phase <= Phases; phase++)
            {
                // From the begin of the start to the end of the stop that another signal has begun by then.
                await using var process = ChildProcess.Start(ObserveProcess.Program, [role, "--http-address=127.0.0.1:0", "--grpc-address=127.0.0.1:0", .. flags]);
                await PauseAsync(whole * phase / (Phases + 1));
                if (phase == Phases)
                {
                    await process.LineAsync("is ready: ");
                    await process.SignalAsync("TERM");
                    await PauseAsync(TimeSpan.FromMilliseconds(20));
                }

                await process.SignalAsync(signal);
                var exit = await process.WaitAsync(TimeSpan.FromMinutes(1));
                output.WriteLine($"{signal} in phase {phase}: exit code {exit}");
                Assert.DoesNotContain("   at ", process.Output, StringComparison.Ordinal);

                // The system's own answer while the program has not begun to listen to signals; its own, 0, from then on.
                Assert.Contains(exit, signal == "TERM" ? [0, 143] : new[] { 0, 137 });
            }
        }

        await using var last = await ObserveProcess.StartAsync(role, flags);
        Assert.Equal(0, await last.Process.StopAsync());
    }

    static async Task PauseAsync(TimeSpan time)
    {
        using var timer = new PeriodicTimer(time);
        await timer.WaitForNextTickAsync();
    }
}
