using System.Diagnostics;
using System.Text;
using Observe.Collector.Scrape;
using Observe.Testkit;
using Xunit;

namespace Observe.Collector.Tests.Scrape;

/// <summary>Tests that measure the whole process's memory: none runs beside another.</summary>
[CollectionDefinition(nameof(ProcessMemory), DisableParallelization = true)]
public class ProcessMemory;

/// <summary>Bodies that mean harm, or none at all, through the whole of a scrape: over HTTP, by a loop, into a head.</summary>
[Collection(nameof(ProcessMemory))]
public class HostileBodyTests(ITestOutputHelper output)
{
    const string Text = "text/plain; version=0.0.4";
    const string OpenMetrics = "application/openmetrics-text; version=1.0.0";

    /// <summary>What mutations start from: each thing that the formats have, and what their scanners stumble over.</summary>
    static readonly string[] s_seeds =
    [
        "# HELP m what m is \\\\ \\n\n# TYPE m counter\nm{a=\"b\",c=\"d\\\"e\\n\"} 1 1767225600000\nm{a=\"c\"} +Inf\nm NaN\n",
        "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n# TYPE s summary\ns{quantile=\"0.5\"} 1e-300\n",
        "{\"a.b\",\"c.d\"=\"e\"} 0x1p-3\n{ \"x\" , y = \"z\" , } -0\nx { a=\"1\" b=\"2\" } 1_000\n\n#\n# comment\nm{job=\"x\",exported_job=\"y\",instance=\"\"} 1\n",
        "# TYPE foo counter\n# UNIT foo seconds\n# HELP foo help \\\"q\\\"\nfoo_total{a=\"b\"} 17.0 1520879607.789 # {id=\"1\"} 2.0 1520879607.0\n# EOF\n",
        "# TYPE i info\ni_info{v=\"1\"} 1\n# TYPE st stateset\nst{st=\"a\"} 1\n# TYPE gh gaugehistogram\ngh_bucket{le=\"1\"} 1\n# EOF\n",
    ];

    static string Repeated(int count, Func<int, string> piece) =>
        string.Concat(Enumerable.Range(0, count).Select(piece));

    /// <summary>At most 1 MiB each; every one asks some step for as much work as so many bytes can.</summary>
    public static TheoryData<string, string> Wide => new()
    {
        { "one series of 22 000 labels", $"m{{{Repeated(22_000, i => $"l{i}=\"1\",")}}} 1\n" },
        { "labels against the order", $"m{{{Repeated(60_000, i => $"l{99_999 - i}=\"1\",")}}} 1\n" },
        { "labels in no order", $"m{{{Repeated(60_000, i => $"l{(i * 7919L) % 100_003}=\"1\",")}}} 1\n" },
        { "labels with an empty value", $"m{{{Repeated(100_000, i => $"l{i}=\"\",")}}} 1\n" },
        { "series that take the target's labels", Repeated(250, i => $"m{{i=\"{i}\",{Repeated(80, k => $"{string.Concat(Enumerable.Repeat("exported_", k % 9))}job{k}=\"1\",")}}} 1\n") },
        { "an exported_ for each exported_", $"m{{{Repeated(450, k => string.Concat(Enumerable.Repeat("exported_", k)) + "job=\"1\",")}}} 1\n" },
        { "series of many labels each", Repeated(30, i => $"m{{i=\"{i}\",{Repeated(3_000, k => $"l{k}=\"\",")}}} 1\n") },
        { "new names in each series", Repeated(1_000, i => $"m{{{Repeated(70, k => $"l{(i * 70) + k}=\"1\",")}}} 1\n") },
        { "very many series", Repeated(100_000, i => $"m{i} 1\n") },
        { "very many values", Repeated(55_000, i => $"m{{a=\"{i}\"}} 1\n") },
        { "the same line for ever", Repeated(250_000, _ => "m 1\n") },
        { "very many families", Repeated(60_000, i => $"# HELP m{i} x\n") },
        { "one family for ever", Repeated(60_000, i => $"# HELP m {i}\n") },
        { "one name", new string('m', 1 << 20) + " 1\n" },
        { "one label name", $"m{{{new string('m', 1 << 20)}=\"1\"}} 1\n" },
        { "one value", $"m{{a=\"{new string('m', 1 << 20)}\"}} 1\n" },
        { "one value of escapes", $"m{{a=\"{Repeated(1 << 18, _ => "\\\\")}\"}} 1\n" },
        { "one help", $"# HELP m {new string('m', 1 << 20)}\nm 1\n" },
        { "one number", $"m {new string('1', 1 << 20)}\n" },
        { "one number of zeros", $"m 0.{new string('0', 1 << 20)}1\n" },
        { "one timestamp", $"m 1 {new string('1', 1 << 20)}\n" },
        { "blanks", new string(' ', 1 << 20) + "\n" },
        { "quotes", $"m{{{Repeated(1 << 19, _ => "\"")}}} 1\n" },
        { "braces", new string('{', 1 << 20) },
        { "a fault in the last of many lines", Repeated(250_000, _ => "m 1\n") + "{" },
    };

    static FakeAnswer Answer(byte[] body, string type) => new() { Body = body, ContentType = type };

    /// <summary>One scrape; then the loop has said how it went, and a sound body goes through after it.</summary>
    static async Task<(TimeSpan Time, string Error)> CheckAsync(LoopBench bench, byte[] body, string type, string what)
    {
        var start = Stopwatch.GetTimestamp();
        await bench.ScrapeAsync(Answer(body, type));
        var (time, error) = (Stopwatch.GetElapsedTime(start), bench.Target.State.LastError);
        Assert.True(await bench.UpAsync() == (error.Length == 0 ? 1 : 0), $"{what}: up is not what it should be: {error}");
        await bench.ScrapeAsync("sound 1\n");
        Assert.True(bench.Target.State.Health == TargetHealth.Up, $"{what}: {bench.Target.State.LastError}");
        Assert.True(await bench.UpAsync() == 1, what);
        return (time, error);
    }

    [Theory]
    [MemberData(nameof(Wide))]
    public async Task No_body_of_a_mebibyte_hangs(string what, string body)
    {
        Assert.InRange(body.Length, 1, 1_050_000);
        foreach (var type in new[] { Text, OpenMetrics })
        {
            await using var bench = await LoopBench.StartAsync("metric_relabel_configs: [{action: labelmap, regex: '(l9.*)', replacement: 'x_$1'}]");
            await bench.ScrapeAsync("m 1\n");
            var before = GC.GetTotalMemory(forceFullCollection: true);
            var (time, error) = await CheckAsync(bench, Encoding.UTF8.GetBytes(body + (type == Text ? "" : "# EOF\n")), type, what);
            var memory = GC.GetTotalMemory(forceFullCollection: true) - before;

            // What is linear takes some tens of nanoseconds a byte; the smallest of what is not, minutes.
            Assert.True(time < TimeSpan.FromSeconds(5), $"{what}: {time}");
            Assert.True(memory < 160 << 20, $"{what}: {memory >> 20} MiB");
            Assert.True(error.Length < 2_000, what);
            Assert.Equal(0, bench.Metrics.Broken.Value);
            output.WriteLine($"{what} ({type}): {time.TotalMilliseconds:F0} ms, {memory / 1048576.0:F1} MiB more, {error[..Math.Min(error.Length, 80)]}");
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public async Task Any_bytes_are_a_scrape_that_went_well_or_failed(int seed)
    {
        var random = new Random(seed);
        await using var bench = await LoopBench.StartAsync(seed % 2 == 0 ? "honor_labels: true" : "metric_name_validation_scheme: legacy");
        for (var round = 0; round < 400; round++)
        {
            var body = Mutated(random);
            await CheckAsync(bench, body, random.Next(2) == 0 ? Text : OpenMetrics, $"seed {seed}, round {round}: {Convert.ToBase64String(body)}");
        }

        Assert.Equal(0, bench.Metrics.Broken.Value);
    }

    [Fact]
    public async Task An_error_that_nobody_foresaw_fails_the_scrape()
    {
        await using var bench = await LoopBench.StartAsync("extra_scrape_metrics: true");
        await bench.ScrapeAsync("m 1\n");
        await bench.Head.DisposeAsync();
        await bench.ScrapeAsync("m 2\n");
        Assert.Equal(TargetHealth.Down, bench.Target.State.Health);
        Assert.Contains("the scrape broke off: ", bench.Target.State.LastError, StringComparison.Ordinal);
        Assert.True(bench.Metrics.Broken.Value > 0);
        bench.Loop.MarkStale(bench.Time.GetUtcNow());
    }

    static byte[] Mutated(Random random)
    {
        var body = new List<byte>();
        for (var i = random.Next(1, 4); i > 0; i--)
        {
            body.AddRange(Encoding.UTF8.GetBytes(s_seeds[random.Next(s_seeds.Length)]));
        }

        for (var i = random.Next(0, 8); i > 0 && body.Count > 0; i--)
        {
            var at = random.Next(body.Count);
            var length = Math.Min(random.Next(1, 20), body.Count - at);
            switch (random.Next(6))
            {
                case 0:
                    body[at] = (byte)random.Next(256);
                    break;
                case 1:
                    body.RemoveRange(at, length);
                    break;
                case 2:
                    body.InsertRange(at, body.GetRange(random.Next(body.Count - length + 1), length));
                    break;
                case 3:
                    body.InsertRange(at, "{}\"\\,=# \n\0\t1+-eE.xé"u8[..random.Next(1, 20)].ToArray());
                    break;
                case 4:
                    body[at] = (byte)"{}\"\\,=# \n"[random.Next(9)];
                    break;
                default:
                    body.RemoveRange(at, body.Count - at);
                    break;
            }
        }

        return [.. body];
    }
}
