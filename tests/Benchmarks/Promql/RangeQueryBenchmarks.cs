using BenchmarkDotNet.Attributes;
using Observe.Query.Promql;

namespace Observe.Benchmarks.Promql;

/// <summary>Queries of dashboards over 1 000 counters, 6 h at 15 s, in steps of 60 s.</summary>
[MemoryDiagnoser]
public class RangeQueryBenchmarks : IDisposable
{
    readonly PromqlEngine _engine = new(new EngineOptions());
    SyntheticFleet? _fleet;

    [Params(
        "http_requests_total",
        "sum(http_requests_total)",
        "sum by (job) (rate(http_requests_total[5m]))",
        "topk(5, rate(http_requests_total[5m]))",
        "sum by (job) (rate(http_requests_total[5m])) / sum by (job) (increase(http_requests_total[5m]))",
        "avg_over_time(http_requests_total[30m])")]
    public string Query { get; set; } = "";

    [GlobalSetup]
    public void Load() => _fleet = new SyntheticFleet(1_000, 1_460);

    [GlobalCleanup]
    public void Dispose()
    {
        _engine.Dispose();
        GC.SuppressFinalize(this);
    }

    [Benchmark]
    public Task<QueryResult> Range() =>
        _engine.RangeAsync(_fleet!, new RangeQuery(Query, 300_000, 300_000 + (6 * 3_600_000), 60_000), CancellationToken.None);
}
