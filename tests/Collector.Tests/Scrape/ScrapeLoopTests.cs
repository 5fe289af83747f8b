using System.Text;
using Observe.Collector.Scrape;
using Observe.Testkit;
using Xunit;

namespace Observe.Collector.Tests.Scrape;

public class ScrapeLoopTests
{
    static async Task Check(string job, string metric, string expected, params FakeAnswer[] scrapes)
    {
        await using var bench = await LoopBench.StartAsync(job);
        foreach (var answer in scrapes)
        {
            await bench.ScrapeAsync(answer);
        }

        Assert.Equal(expected.ReplaceLineEndings("\n"), await bench.SamplesAsync(metric));
    }

    static FakeAnswer Down => new() { Status = 500 };

    [Fact]
    public Task Samples_are_stored_at_the_time_of_the_scrape() => Check("", "m", """
        {a="x"} 15:1 30:2
        {a="y"} 15:10 30:20
        """, "m{a=\"x\"} 1\nm{a=\"y\"} 10\n", "m{a=\"x\"} 2\nm{a=\"y\"} 20\n");

    [Fact]
    public async Task The_report_says_how_it_went()
    {
        await using var bench = await LoopBench.StartAsync("metric_relabel_configs: [{action: drop, source_labels: [__name__], regex: drop.*}]\nextra_scrape_metrics: true\nsample_limit: 7");
        await bench.ScrapeAsync("a 1\nb 2\ndrop_me 3\n");
        await bench.ScrapeAsync("a 1\nb 2\nc 3\ndrop_me 3\n");
        await bench.ScrapeAsync(Down);
        Assert.Equal("{} 15:1 30:1 45:0", await bench.SamplesAsync("up"));
        Assert.Equal("{} 15:3 30:4 45:0", await bench.SamplesAsync("scrape_samples_scraped"));
        Assert.Equal("{} 15:2 30:3 45:0", await bench.SamplesAsync("scrape_samples_post_metric_relabeling"));
        Assert.Equal("{} 15:2 30:1 45:0", await bench.SamplesAsync("scrape_series_added"));
        Assert.Equal("{} 15:10 30:10 45:10", await bench.SamplesAsync("scrape_timeout_seconds"));
        Assert.Equal("{} 15:7 30:7 45:7", await bench.SamplesAsync("scrape_sample_limit"));
        Assert.Equal("{} 15:18 30:22 45:0", await bench.SamplesAsync("scrape_body_size_bytes"));
        Assert.StartsWith("{} 15:", await bench.SamplesAsync("scrape_duration_seconds"), StringComparison.Ordinal);
        Assert.Equal((TargetHealth.Down, "server returned HTTP status 500 Status"), (bench.Target.State.Health, bench.Target.State.LastError));
    }

    [Fact]
    public Task A_series_that_is_not_exposed_again_goes_stale_at_once() => Check("", "m", """
        {a="x"} 15:1 30:stale
        {a="y"} 15:1 30:2
        """, "m{a=\"x\"} 1\nm{a=\"y\"} 1\n", "m{a=\"y\"} 2\n");

    [Fact]
    public Task A_failed_scrape_makes_all_series_stale_once() =>
        Check("", "m", "{} 15:1 30:stale 60:4", "m 1\n", Down, Down, "m 4\n");

    [Theory]
    [InlineData("m 2\nn{ 1\n")]
    [InlineData("m 2\nm{a=\"b\" 1\n")]
    public async Task A_malformed_body_is_refused_whole(string bad)
    {
        await using var bench = await LoopBench.StartAsync();
        await bench.ScrapeAsync("m 1\n");
        await bench.ScrapeAsync(bad);
        Assert.Equal("{} 15:1 30:stale", await bench.SamplesAsync("m"));
        Assert.Equal("{} 15:1 30:0", await bench.SamplesAsync("up"));
        Assert.StartsWith("line 2: ", bench.Target.State.LastError, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Over_the_sample_limit_nothing_is_kept()
    {
        await using var bench = await LoopBench.StartAsync("sample_limit: 2");
        await bench.ScrapeAsync("m{a=\"1\"} 1\nm{a=\"2\"} 1\n");
        await bench.ScrapeAsync("m{a=\"1\"} 2\nm{a=\"2\"} 2\nm{a=\"3\"} 2\n");
        await bench.ScrapeAsync();
        await bench.ScrapeAsync("m{a=\"1\"} 4\n");
        Assert.Equal("{a=\"1\"} 15:1 30:stale 60:4\n{a=\"2\"} 15:1 30:stale", (await bench.SamplesAsync("m")).Replace("\n{a=\"3\"}", "", StringComparison.Ordinal));
        Assert.Equal("{} 15:1 30:0 45:0 60:1", await bench.SamplesAsync("up"));
        Assert.Equal("{} 15:2 30:3 45:3 60:1", await bench.SamplesAsync("scrape_samples_post_metric_relabeling"));
        Assert.Equal(2, bench.Metrics.ExceededSampleLimit.Value);
    }

    [Fact]
    public async Task Over_a_label_limit_nothing_is_kept()
    {
        await using var bench = await LoopBench.StartAsync("label_limit: 4");
        await bench.ScrapeAsync("m{a=\"1\"} 1\nm{a=\"1\",b=\"2\"} 1\n");
        Assert.DoesNotContain(":", await bench.SamplesAsync("m"), StringComparison.Ordinal);
        Assert.Equal("label_limit exceeded (metric: m, number of labels: 5, limit: 4)", bench.Target.State.LastError);
        Assert.Equal(1, bench.Metrics.ExceededLabelLimits.Value);
    }

    [Fact]
    public async Task Explicit_timestamps_are_kept_and_never_go_stale()
    {
        await using var bench = await LoopBench.StartAsync();
        await bench.ScrapeAsync($"m 1 {LoopBench.At(3)}\n");
        await bench.ScrapeAsync($"m 2 {LoopBench.At(18)}\n");
        await bench.ScrapeAsync("other 1\n");
        Assert.Equal("{} 3:1 18:2", await bench.SamplesAsync("m"));
    }

    [Fact]
    public async Task Explicit_timestamps_go_stale_where_that_is_tracked()
    {
        await using var bench = await LoopBench.StartAsync("track_timestamps_staleness: true");
        await bench.ScrapeAsync($"m 1 {LoopBench.At(3)}\n");
        await bench.ScrapeAsync("other 1\n");
        Assert.Equal("{} 3:1 30:stale", await bench.SamplesAsync("m"));
    }

    [Fact]
    public async Task Explicit_timestamps_may_be_left_out_of_account()
    {
        await using var bench = await LoopBench.StartAsync("honor_timestamps: false");
        await bench.ScrapeAsync($"m 1 {LoopBench.At(3)}\n");
        await bench.ScrapeAsync("other 1\n");
        Assert.Equal("{} 15:1 30:stale", await bench.SamplesAsync("m"));
    }

    [Fact]
    public async Task Samples_that_cannot_be_taken_are_counted_by_reason_and_the_others_kept()
    {
        await using var bench = await LoopBench.StartAsync();
        await bench.ScrapeAsync($"m 1 {LoopBench.At(10)}\nn 1\n");
        await bench.ScrapeAsync($"m 2 {LoopBench.At(10)}\nm{{a=\"far\"}} 1 {LoopBench.At(3600)}\nn 2\nn 3\nok 1\n");
        await bench.ScrapeAsync($"m 3 {LoopBench.At(5)}\nn 3\nok 2\n");
        Assert.Equal("{} 10:1", (await bench.SamplesAsync("m")).Split('\n')[0]);
        Assert.Equal("{} 15:1 30:2 45:3", await bench.SamplesAsync("n"));
        Assert.Equal("{} 30:1 45:2", await bench.SamplesAsync("ok"));
        Assert.Equal("{} 15:1 30:1 45:1", await bench.SamplesAsync("up"));
        Assert.Equal((1, 2, 1), (bench.Metrics.OutOfOrder.Value, bench.Metrics.DuplicateTimestamp.Value, bench.Metrics.OutOfBounds.Value));
    }

    [Fact]
    public Task Labels_of_the_cluster_are_not_stored_and_those_of_others_exported() => Check("honor_labels: true", "m", """
        {exported_cluster="dev"} 15:1
        {} 15:2
        """, "m{cluster=\"dev\"} 1\nm{cluster=\"prod\"} 2\n");

    [Theory]
    [InlineData(null, "", 0, "non-compliant scrape target sending blank Content-Type")]
    [InlineData("text/html", "", 0, "received unsupported Content-Type")]
    [InlineData(null, "fallback_scrape_protocol: PrometheusText0.0.4", 1, "")]
    [InlineData("application/openmetrics-text; version=1.0.0", "", 0, "line 2: ")]
    public async Task The_content_type_decides(string? type, string job, int up, string error)
    {
        await using var bench = await LoopBench.StartAsync(job);
        await bench.ScrapeAsync(new FakeAnswer { Body = Encoding.UTF8.GetBytes("m 1\n"), ContentType = type });
        Assert.Equal($"{{}} 15:{up}", await bench.SamplesAsync("up"));
        Assert.StartsWith(error, bench.Target.State.LastError, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_body_over_the_limit_is_refused_and_its_size_reported_as_such()
    {
        await using var bench = await LoopBench.StartAsync("body_size_limit: 1KB\nextra_scrape_metrics: true");
        await bench.ScrapeAsync(new FakeAnswer { Body = FakeExporter.Bomb(100), IsCompressed = true });
        Assert.Equal("{} 15:-1", await bench.SamplesAsync("scrape_body_size_bytes"));
        Assert.Equal(1, bench.Metrics.ExceededBodySizeLimit.Value);
    }

    [Theory]
    [InlineData("\n")]
    [InlineData("#\n")]
    [InlineData("# TYPE a gauge\n")]
    public async Task Bodies_of_nothing_but_lines_do_no_harm(string line)
    {
        await using var bench = await LoopBench.StartAsync("body_size_limit: 64MB");
        await bench.ScrapeAsync(new FakeAnswer { Body = FakeExporter.Bomb(16, line), IsCompressed = true });
        Assert.Contains("15:", await bench.SamplesAsync("up"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Metadata_is_what_was_last_said()
    {
        await using var bench = await LoopBench.StartAsync();
        async Task<string> Scrape(FakeAnswer answer)
        {
            await bench.ScrapeAsync(answer);
            return string.Join(' ', bench.Loop.Series.Metadata.Families.Select(f => MetadataStore.Describe(bench.Target.Labels, f)).Select(m => $"{m.Metric}:{m.Type}:{m.Help}:{m.Unit}"));
        }

        Assert.Equal("a:Counter:help a: b:Gauge::", await Scrape("# HELP a help a\n# TYPE a counter\na 1\n# TYPE b gauge\nb 1\n"));
        var families = bench.Loop.Series.Metadata.Families;
        Assert.Equal("a:Counter:help a: b:Gauge::", await Scrape("# HELP a help a\n# TYPE a counter\na 1\n# TYPE b gauge\nb 1\n"));
        Assert.Same(families, bench.Loop.Series.Metadata.Families);
        Assert.Equal("a:Counter:other: c:Gauge::", await Scrape("# HELP a other\n# TYPE a counter\na 1\n# TYPE c gauge\nc 1\n"));
        Assert.Equal("c:Gauge::", await Scrape("# TYPE c gauge\nc 1\n"));
        Assert.Equal("c:Gauge::", await Scrape(Down));
    }

    [Fact]
    public async Task A_target_that_went_goes_stale_when_its_next_scrapes_are_due()
    {
        await using var bench = await LoopBench.StartAsync();
        await bench.ScrapeAsync("m 1\n");
        bench.Loop.MarkStale(bench.Time.GetUtcNow().AddSeconds(15));
        Assert.Equal("{} 15:1 30:stale", await bench.SamplesAsync("m"));
        Assert.Equal("{} 15:1 30:stale", await bench.SamplesAsync("up"));
        Assert.EndsWith(" 30:stale", await bench.SamplesAsync("scrape_duration_seconds"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_clock_that_is_set_back_is_said_at_the_target_until_samples_of_the_present_are_taken_again()
    {
        await using var bench = await LoopBench.StartAsync();
        await bench.ScrapeAsync("m 1");
        bench.Time.Advance(TimeSpan.FromHours(20));
        await bench.ScrapeAsync("m 2");
        bench.Time.AdjustTime(bench.Time.GetUtcNow() - TimeSpan.FromHours(20));
        await bench.ScrapeAsync("m 3");
        Assert.Equal(TargetHealth.Down, bench.Target.State.Health);
        Assert.Contains("19h59m45s ahead of the clock, which was set back", bench.Target.State.LastError, StringComparison.Ordinal);
        await bench.Head.CutAsync(force: false, CancellationToken.None);
        await bench.ScrapeAsync("m 4");
        Assert.Equal((TargetHealth.Up, ""), (bench.Target.State.Health, bench.Target.State.LastError));
        Assert.Equal("{} 60:4", await bench.SamplesAsync("m"));
        Assert.Equal(1, await bench.UpAsync());
    }

    [Fact]
    public async Task A_series_that_the_head_has_dropped_is_found_again_by_its_labels()
    {
        await using var bench = await LoopBench.StartAsync();
        await bench.ScrapeAsync("m 1\n");
        var cache = bench.Loop.Series.Cache;
        cache.Begin();
        var index = cache.Find("m"u8, out _, out _);
        cache.SetSeries(index, new(123_456_789));
        cache.Track(index);
        cache.Complete([]);
        await bench.ScrapeAsync("m 2\n");
        Assert.Equal("{} 15:1 30:2", await bench.SamplesAsync("m"));
    }

    [Fact]
    public async Task Lines_that_stand_twice_count_against_no_limit()
    {
        await using var bench = await LoopBench.StartAsync("sample_limit: 2");
        await bench.ScrapeAsync("m 1\nm 1\nm 2\nn 1\n");
        Assert.Equal("{} 15:1", await bench.SamplesAsync("up"));
        Assert.Equal("{} 15:4", await bench.SamplesAsync("scrape_samples_post_metric_relabeling"));
        Assert.Equal(2, bench.Metrics.DuplicateTimestamp.Value);
    }

    [Fact]
    public async Task A_line_that_is_refused_does_not_hide_its_twin()
    {
        await using var bench = await LoopBench.StartAsync();
        await bench.ScrapeAsync($"m 1 {LoopBench.At(100_000)}\nm 2\n");
        Assert.Equal("{} 15:2", await bench.SamplesAsync("m"));
        Assert.Equal("{} 15:1", await bench.SamplesAsync("scrape_series_added"));
    }

    [Theory]
    [InlineData("", "m{a=\"\",a=\"x\",b=\"y\"} 1", "{b=\"y\"} 15:1")]
    [InlineData("", "m{a=\"x\",a=\"\"} 1", "{} 15:1")]
    [InlineData("", "m{instance=\"x\",instance=\"\"} 1", "{exported_instance=\"x\"} 15:1")]
    [InlineData("", "m{a=\"x\",a=\"y\"} 1", "")]
    [InlineData("metric_relabel_configs: [{action: labeldrop, regex: a}]", "m{a=\"x\",a=\"y\"} 1", "{} 15:1")]
    [InlineData("metric_relabel_configs: [{action: labelmap, regex: 'a(x)?', replacement: '$1'}]", "m{a=\"x\"} 1", "")]
    public async Task A_label_given_twice_is_what_Prometheus_makes_of_it(string job, string line, string expected)
    {
        await using var bench = await LoopBench.StartAsync(job);
        await bench.ScrapeAsync(line + "\n");
        Assert.Equal(expected, await bench.SamplesAsync("m"));
        Assert.Equal(expected.Length > 0 ? 1 : 0, await bench.UpAsync());
    }

    [Fact]
    public async Task A_target_makes_no_more_series_than_its_limit_until_time_has_passed()
    {
        await using var bench = await LoopBench.StartAsync("series_limit: 3");
        await bench.ScrapeAsync("m{a=\"1\"} 1\nm{a=\"2\"} 1\n");
        await bench.ScrapeAsync("m{a=\"2\"} 1\nm{a=\"3\"} 1\nm{a=\"4\"} 1\n");
        Assert.Equal("series_limit exceeded (new series of the target within two hours: 3, limit: 3)", bench.Target.State.LastError);
        await bench.ScrapeAsync("m{a=\"1\"} 1\nm{a=\"2\"} 1\nm{a=\"3\"} 1\n");
        Assert.Equal("{} 15:1 30:0 45:1", await bench.SamplesAsync("up"));
        bench.Time.Advance(TimeSpan.FromHours(2.5));
        await bench.ScrapeAsync("m{a=\"5\"} 1\n");
        Assert.Equal(1, await bench.UpAsync());
        Assert.Equal(1, bench.Metrics.ExceededSeriesLimit.Value);
    }

    [Fact]
    public async Task Beyond_the_limit_of_the_collector_only_known_series_go_on()
    {
        await using var bench = await LoopBench.StartAsync(seriesLimit: 7);
        await bench.ScrapeAsync("m{a=\"1\"} 1\nm{a=\"2\"} 1\n");
        await bench.ScrapeAsync("m{a=\"1\"} 2\nm{a=\"2\"} 2\n");
        Assert.Equal(1, await bench.UpAsync());
        await bench.ScrapeAsync("m{a=\"1\"} 3\nm{a=\"3\"} 3\n");
        Assert.Equal("the collector has 7 series and makes no new ones (--storage.series-limit: 7)", bench.Target.State.LastError);
        Assert.Equal(0, await bench.UpAsync());
    }
}
