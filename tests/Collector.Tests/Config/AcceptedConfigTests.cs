using System.Collections.Concurrent;
using CsCheck;
using Microsoft.Extensions.Logging;
using Observe.Collector.Config;
using Observe.Collector.Scrape;
using Observe.Store.Bucket;
using Observe.Store.Fleet;
using Observe.Store.Yaml;
using Observe.Testkit;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Head;
using Xunit;

namespace Observe.Collector.Tests.Config;

/// <summary>What <c>check config</c> accepts, a collector starts with.</summary>
public sealed class AcceptedConfigTests
{
    static readonly Gen<string> s_text = Gen.String[Gen.Char["aZ09_-.:/ é"], 0, 110];
    static readonly Gen<string> s_word = Gen.String[Gen.Char["aZ09_"], 1, 20];
    static readonly Gen<string> s_identity = Gen.OneOf(Gen.String[Gen.Char["aZ09_"], 1, 110], Gen.String[Gen.Char["aZ09_-."], 1, 110]);

    // All are refused together, so most of each has to be right for anything to be accepted.
    static readonly Gen<string> s_name = Mostly(s_word, s_text);
    static readonly Gen<string> s_span = Mostly(OneOf("0", "1h", "49d", "50d", "1y", "290y"), OneOf("300y", "5x", "1ms"));
    static readonly Gen<string> s_number = Mostly(OneOf("0", "1", "100", "2147483648", "9223372036854775807"), OneOf("9223372036854775808", "-1"));
    static readonly Gen<string> s_size = Mostly(OneOf("0", "1B", "3GB", "7EiB"), OneOf("8EiB", "12"));

    static readonly Gen<string> s_config =
        from cluster in s_identity
        from label in s_name
        from value in s_name
        from job in s_name
        from interval in s_span
        from timeout in Mostly(Gen.Const("1ms"), s_span)
        from refresh in s_span
        from limit in s_number
        from size in s_size
        from path in s_name
        from parameter in s_name
        from address in Mostly(Gen.Const("127.0.0.1:1"), s_text)
        from header in s_name
        select $$$"""
            global:
              external_labels: {cluster: {{{GoText.Quote(cluster)}}}, {{{GoText.Quote("x" + label)}}}: {{{GoText.Quote(value)}}}}
            scrape_configs:
            - job_name: {{{GoText.Quote(job)}}}
              scrape_interval: {{{interval}}}
              scrape_timeout: {{{timeout}}}
              metrics_path: {{{GoText.Quote(path)}}}
              params: {{{{GoText.Quote(parameter)}}}: [{{{GoText.Quote(value)}}}]}
              sample_limit: {{{limit}}}
              target_limit: {{{limit}}}
              label_limit: {{{limit}}}
              body_size_limit: {{{size}}}
              basic_auth: {username: {{{GoText.Quote(value)}}}, password: {{{GoText.Quote(label)}}}}
              http_headers: {{{{GoText.Quote("X" + header)}}}: {values: [{{{GoText.Quote(value)}}}]}}
              static_configs: [{targets: [{{{GoText.Quote(address)}}}], labels: {{{{GoText.Quote("y" + label)}}}: {{{GoText.Quote(value)}}}}}]
              file_sd_configs: [{files: [none.yml], refresh_interval: {{{refresh}}}}]
            """;

    [Fact]
    public async Task A_collector_starts_with_whatever_is_accepted()
    {
        var folder = Checkout.NewFolder("accepted");
        var head = await HeadBlock.OpenAsync(new HeadOptions { Directory = folder, Time = TimeProvider.System }, CancellationToken.None);
        var accepted = 0;
        await s_config.SampleAsync(
            async text =>
            {
                CollectorConfig config;
                try
                {
                    config = CollectorConfig.Parse(text, "observe.yml");
                }
                catch (ConfigException e)
                {
                    Assert.NotEmpty(e.Errors);
                    return;
                }

                Interlocked.Increment(ref accepted);
                var logs = new ErrorLog();
                using var loggers = LoggerFactory.Create(logging => logging.AddProvider(logs));
                await new FleetMember(new MemoryBucket(TimeProvider.System), config.Cluster, "node-1").WriteAsync(Status(config), CancellationToken.None);
                await using (var manager = new ScrapeManager(
                    head, new ScrapeOptions { Time = TimeProvider.System }, new ScrapeMetrics(new Prometheus.CollectorRegistry()), loggers))
                {
                    await manager.ApplyAsync(config, CancellationToken.None);
                    await Task.Yield();
                    Assert.Equal(config.ScrapeConfigs.Select(j => j.JobName), manager.Pools());
                    Assert.All(manager.Loops(), loop => Assert.False(loop.Finished.IsFaulted, loop.Finished.Exception?.ToString()));
                }

                Assert.Empty(logs.Lines);
            },
            iter: 1000,
            threads: 1);
        Assert.True(accepted > 20, $"only {accepted} configurations were accepted, which shows little");
        await head.DisposeAsync();
        Directory.Delete(folder, recursive: true);
    }

    static Gen<string> Mostly(Gen<string> usual, Gen<string> other) => Gen.Int[0, 19].SelectMany(n => n == 0 ? other : usual);

    static Gen<string> OneOf(params string[] texts) => Gen.Int[0, texts.Length - 1].Select(i => texts[i]);

    static CollectorStatus Status(CollectorConfig config) => new()
    {
        Cluster = config.Cluster,
        Collector = "node-1",
        Instance = "i",
        Labels = config.Global.ExternalLabels.ToDictionary(),
        ProgramVersion = "1",
        ConfigHash = config.Hash(),
        StartedAt = default,
        WrittenAt = default,
        IntervalMs = 1,
    };

    /// <summary>Keeps errors that were exceptions: parts that ended and should not have. A target with a bad address is only an error.</summary>
    sealed class ErrorLog : ILoggerProvider, ILogger
    {
        public ConcurrentQueue<string> Lines { get; } = [];

        public ILogger CreateLogger(string categoryName) => this;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Error;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel) && exception is not null)
            {
                Lines.Enqueue($"{formatter(state, exception)} {exception}");
            }
        }

        public void Dispose()
        {
        }
    }
}
