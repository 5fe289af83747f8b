using System.Text;
using Observe.Collector.Config;
using Observe.Collector.Discovery;
using Observe.Collector.Scrape;
using Observe.Testkit;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Collector.Tests.Scrape;

public sealed class BodyBudgetTests
{
    [Fact]
    public async Task Who_knows_what_it_needs_waits_in_turn_and_who_does_not_is_refused()
    {
        var budget = new BodyBudget(100);
        await budget.ReserveAsync(60, default);
        var first = budget.ReserveAsync(50, default).AsTask();
        using var gone = new CancellationTokenSource();
        var second = budget.ReserveAsync(45, gone.Token).AsTask();
        var third = budget.ReserveAsync(40, default).AsTask();
        Assert.Contains("--scrape.memory-limit", Assert.Throws<BodyBudgetException>(() => budget.Reserve(41)).Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<BodyBudgetException>(async () => await budget.ReserveAsync(101, default));
        budget.Reserve(40);
        Assert.False(first.IsCompleted);

        // The third does not pass the first, though there is memory for it.
        budget.Return(41);
        Assert.False(first.IsCompleted || third.IsCompleted);
        budget.Return(9);
        await first;
        await gone.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => second);
        Assert.False(third.IsCompleted);
        budget.Return(50);
        await third;
        Assert.Equal(90, budget.Used);
    }

    [Fact]
    public async Task All_bodies_at_once_keep_within_it_and_give_it_back()
    {
        const int Targets = 40;
        const long Limit = 24 << 20;
        await using var exporter = FakeExporter.Start();
        var body = Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(0, 100_000).Select(i => $"metric_of_some_length{{label=\"{i}\"}} {i}\n")));
        exporter["/metrics"] = new FakeAnswer { Body = body };
        exporter["/compressed"] = new FakeAnswer { Body = FakeExporter.Bomb(5, "m 1\n"), IsCompressed = true };
        var budget = new BodyBudget(Limit);
        foreach (var (path, size) in new[] { ("/metrics", body.Length), ("/compressed", 5 << 20) })
        {
            var config = CollectorConfig.Parse(
                $"scrape_configs:\n- {{job_name: j, scrape_timeout: 1m, scrape_interval: 1m, metrics_path: {path}}}", "x", clusterRequired: false).ScrapeConfigs[0];
            using var client = new ScrapeClient(config, TimeProvider.System, budget);
            var target = Target.Create(config, new TargetGroup("g", [Labels.Of(("__address__", exporter.Address))], default), 0, out _)!;
            foreach (var expected in new[] { 0, size })
            {
                using var timeout = new CancellationTokenSource(target.ScrapeTimeout);
                var most = 0L;
                var errors = await Task.WhenAll(Enumerable.Range(0, Targets).Select(_ => Task.Run(async () =>
                {
                    var answer = await client.FetchAsync(target, expected, timeout.Token, default);
                    using (answer.Body)
                    {
                        InterlockedMax(ref most, budget.Used);
                        return answer.Error;
                    }
                })));
                Assert.InRange(most, 1, Limit);
                Assert.Equal(0, budget.Used);
                Assert.All(errors, error => Assert.True(error is null || error.Contains("--scrape.memory-limit", StringComparison.Ordinal), error));

                // Those whose size is known wait for each other, and none fails.
                Assert.True(expected == 0 || errors.All(error => error is null), errors.FirstOrDefault(error => error is not null));
            }
        }
    }

    [Fact]
    public async Task A_body_that_is_parsed_for_longer_than_the_timeout_fails_the_scrape()
    {
        await using var bench = await LoopBench.StartAsync();
        var body = string.Concat(Enumerable.Range(0, 3_000).Select(i => $"m{{i=\"{i}\"}} 1\n"));
        await bench.ScrapeAsync(body);
        Assert.Equal(TargetHealth.Up, bench.Target.State.Health);

        // Each look at the clock takes longer than a scrape may.
        bench.Time.AutoAdvanceAmount = TimeSpan.FromSeconds(11);
        await bench.ScrapeAsync(body);
        Assert.Equal(TargetHealth.Down, bench.Target.State.Health);
        Assert.Contains("while the body is parsed", bench.Target.State.LastError, StringComparison.Ordinal);
        bench.Time.AutoAdvanceAmount = TimeSpan.Zero;
        await bench.ScrapeAsync("m 1\n");
        Assert.Equal(1, await bench.UpAsync());
    }

    static void InterlockedMax(ref long most, long value)
    {
        for (var seen = Volatile.Read(ref most); value > seen && Interlocked.CompareExchange(ref most, value, seen) is var found && found != seen; seen = found)
        {
        }
    }
}
