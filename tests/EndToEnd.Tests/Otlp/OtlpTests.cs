using System.Net;
using System.Net.Sockets;
using Observe.Testkit;
using Xunit;

namespace Observe.EndToEnd.Tests.Otlp;

/// <summary>What a role sends over OTLP, as the standard variables want it.</summary>
public sealed class OtlpTests
{
    static readonly (string, string)[] s_often = [("OTEL_BLRP_SCHEDULE_DELAY", "100"), ("OTEL_BSP_SCHEDULE_DELAY", "100")];

    [Theory]
    [InlineData(null)]
    [InlineData("http/protobuf")]
    [InlineData("grpc")]
    public async Task Logs_come_with_their_fields_their_resource_and_their_span(string? protocol)
    {
        await using var collector = await OtlpCollector.StartAsync();
        using var away = new RefusingPort();
        await using var query = await StartAsync(
            ["--endpoint=" + away.Address, "--query.slow-query-threshold=1ms"],
            ("OTEL_EXPORTER_OTLP_ENDPOINT", protocol == "grpc" ? collector.GrpcUrl : collector.HttpUrl),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol ?? ""),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20secret"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=staging"));

        var silent = await collector.LogAsync(
            log => log["Address"] == away.Address && log["Error"] is not null, "the log of a silent store");
        Assert.StartsWith("store is silent", silent.Record.Body.Text, StringComparison.Ordinal);
        Assert.Equal("Warning", silent.Record.SeverityText);
        Assert.Equal("Observe.Query.Fanout.StoreSet", silent.Scope);
        Assert.Equal("observe-query", silent.Resource["service.name"]);
        Assert.Equal("staging", silent.Resource["deployment.environment"]);
        Assert.NotEmpty(silent.Resource["service.version"]);
        Assert.True(silent.Record.TraceId.IsEmpty);
        Assert.All(collector.Requests, request => Assert.Equal("Bearer secret", request.Authorization));
        Assert.Contains("msg=\"store is silent", query.Process.Output, StringComparison.Ordinal);

        const string Slow = "api/v1/query_range?query=sum(count_over_time(vector(1)[5m:1s]))&start=0&end=10000&step=1";
        var slow = await Eventually.GetAsync(async () =>
        {
            using var _ = await query.Http.GetAsync(Slow);
            return collector.Logs.FirstOrDefault(log => log.Record.Body.Text.StartsWith("slow query", StringComparison.Ordinal));
        }, TimeSpan.FromSeconds(60), "the log of a slow query");
        await Eventually.TrueAsync(
            () => Task.FromResult(collector.Spans.Any(s => s.TraceId.Equals(slow.Record.TraceId) && s.SpanId.Equals(slow.Record.SpanId))),
            TimeSpan.FromSeconds(60), "the span of the slow query");
        var trace = Convert.ToHexStringLower(slow.Record.TraceId.Span);
        Assert.Contains($"trace_id={trace} span_id=", await query.Process.LineAsync(trace), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_variable_for_logs_alone_sends_them_alone_and_where_it_says()
    {
        await using var collector = await OtlpCollector.StartAsync();
        await using var query = await StartAsync(
            [],
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", collector.HttpUrl + "/elsewhere"),
            ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "authorization=logs"),
            ("OTEL_SERVICE_NAME", "mine"));
        var log = await collector.LogAsync(log => log.Record.Body.Text == "listening", "the log of the listeners");
        Assert.Equal("mine", log.Resource["service.name"]);
        await query.GetAsync("api/v1/query?query=1");
        Assert.Equal(0, await query.Process.StopAsync());
        Assert.Empty(collector.Spans);
        Assert.All(collector.Requests, request => Assert.Equal(("/elsewhere", "logs"), request));
        Assert.Contains(collector.Logs, log => log.Record.Body.Text == "stopping");
    }

    [Theory]
    [InlineData("OTEL_LOGS_EXPORTER", "none", false, true)]
    [InlineData("OTEL_TRACES_EXPORTER", "none", true, false)]
    [InlineData("OTEL_SDK_DISABLED", "TRUE", false, false)]
    public async Task A_signal_is_sent_unless_a_variable_says_no(string variable, string value, bool logs, bool traces)
    {
        await using var collector = await OtlpCollector.StartAsync();
        await using var query = await StartAsync([], ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.HttpUrl), (variable, value));
        await query.GetAsync("api/v1/query?query=1");
        Assert.Equal(0, await query.Process.StopAsync());
        Assert.Equal((logs, traces), (!collector.Logs.IsEmpty, !collector.Spans.IsEmpty));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_collector_that_is_away_or_never_answers_holds_nothing_up(bool refuses)
    {
        using var away = new RefusingPort();
        using var silent = new TcpListener(IPAddress.Loopback, 0);
        silent.Start();
        await using var query = await StartAsync(
            [], ("OTEL_EXPORTER_OTLP_ENDPOINT", $"http://{(refuses ? away.Address : silent.LocalEndpoint)}"));
        for (var i = 0; i < 100; i++)
        {
            await query.GetAsync("api/v1/query?query=1");
        }

        // Five seconds for the last logs and as many for the last traces.
        Assert.Equal(0, await query.Process.StopAsync(limit: TimeSpan.FromSeconds(30)));
    }

    [Theory]
    [InlineData("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4317", "OTEL_EXPORTER_OTLP_ENDPOINT: localhost:4317 is no URL of http or https")]
    [InlineData("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "OTEL_EXPORTER_OTLP_PROTOCOL: http/json is neither grpc nor http/protobuf")]
    [InlineData("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "5s", "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT: 5s is no number of milliseconds")]
    public async Task A_variable_that_says_what_cannot_be_done_is_named_in_one_line(string variable, string value, string line)
    {
        await using var process = ChildProcess.Start(
            ObserveProcess.Program, ["query", "--http-address=127.0.0.1:0", "--grpc-address=127.0.0.1:0"],
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"), (variable, value));
        Assert.Equal(1, await process.WaitAsync(TimeSpan.FromMinutes(1)));
        Assert.Equal("observe: " + line, process.Output.Trim());
    }

    static Task<ObserveProcess> StartAsync(IEnumerable<string> flags, params (string, string)[] environment) =>
        ObserveProcess.StartAsync("query", ["--endpoint=127.0.0.1:1", .. flags], environment: [.. s_often, .. environment]);
}
