using System.Globalization;
using Prometheus;

namespace Observe.Query.HttpApi;

/// <summary>What the HTTP API counts, under the names that Thanos's and Prometheus's dashboards know.</summary>
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
