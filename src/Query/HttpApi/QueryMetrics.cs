using System.Globalization;
using Observe.Query.Promql;
using Prometheus;

namespace Observe.Query.HttpApi;

/// <summary>Metrics of the HTTP API, under the names that Thanos's and Prometheus's dashboards use.</summary>
public sealed class QueryMetrics(IMetricFactory metrics)
{
    readonly Counter _requests = metrics.CreateCounter("http_requests_total", "HTTP requests.", ["code", "handler", "method"]);

    readonly Histogram _durations = metrics.CreateHistogram(
        "http_request_duration_seconds",
        "Seconds from the request to the end of its answer.",
        new HistogramConfiguration
        {
            LabelNames = ["code", "handler", "method"],
            Buckets = [0.001, 0.01, 0.1, 0.3, 0.6, 1, 3, 6, 9, 20, 30, 60, 90, 120, 240, 360, 720],
        });

    readonly Gauge _inFlight = metrics.CreateGauge(
        "thanos_query_concurrent_gate_queries_in_flight", "Queries that are evaluated, or wait for it.");

    readonly Gauge _max = metrics.CreateGauge("thanos_query_concurrent_gate_queries_max", "Queries that may be evaluated at once.");

    readonly Summary _slices = metrics.CreateSummary(
        "prometheus_engine_query_duration_seconds",
        "Seconds of a query's parts.",
        new SummaryConfiguration { LabelNames = ["slice"], Objectives = [new(0.5, 0.05), new(0.9, 0.01), new(0.99, 0.001)] });

    readonly Counter _samples = metrics.CreateCounter(
        "prometheus_engine_query_samples_total", "Samples that queries loaded, each window in full.");

    readonly Counter _incomplete = metrics.CreateCounter(
        "observe_query_incomplete_answers_total", "Answers that lack something, as they say themselves.");

    /// <summary>Counts an answer that lacks something.</summary>
    internal void CountIncomplete() => _incomplete.Inc();

    /// <summary>Counts a query as running until the result is disposed.</summary>
    internal IDisposable Track(int maxConcurrency)
    {
        _max.Set(maxConcurrency);
        return _inFlight.TrackInProgress();
    }

    internal void Observe(QueryStatistics statistics)
    {
        _slices.WithLabels("inner_eval").Observe(statistics.InnerEvalTime.TotalSeconds);
        _slices.WithLabels("prepare_time").Observe(statistics.QueryPreparationTime.TotalSeconds);
        _slices.WithLabels("queue_time").Observe(statistics.ExecQueueTime.TotalSeconds);
        _slices.WithLabels("result_sort").Observe(statistics.ResultSortTime.TotalSeconds);
        _samples.Inc(statistics.TotalSamples);
    }

    /// <summary>Counts one request; also for handlers outside the API.</summary>
    /// <param name="handler">The endpoint's name: query, query_range, …</param>
    public void Observe(string handler, string method, int status, TimeSpan took)
    {
        var code = status.ToString(CultureInfo.InvariantCulture);
        var verb = method.ToLowerInvariant();
        _requests.WithLabels(code, handler, verb).Inc();
        _durations.WithLabels(code, handler, verb).Observe(took.TotalSeconds);
    }
}
