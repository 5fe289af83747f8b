using System.Diagnostics;
using System.Runtime.CompilerServices;
using Prometheus;

namespace Observe.Store.Bucket;

/// <summary>The metrics of requests to object stores, under the names that Thanos's dashboards and alerts read.</summary>
public sealed class BucketMetrics(CollectorRegistry registry, TimeProvider time)
{
    static readonly double[] s_seconds = [0.001, 0.01, 0.1, 0.3, 0.6, 1, 3, 6, 9, 20, 30, 60, 90, 120];
    static readonly double[] s_bytes = Histogram.ExponentialBuckets(2 << 10, 2, 21);
    static readonly string[] s_labels = ["bucket", "operation"];

    internal TimeProvider Time { get; } = time;

    internal Counter Operations { get; } = Metrics.WithCustomRegistry(registry).CreateCounter(
        "thanos_objstore_bucket_operations_total", "Total number of all attempted operations against a bucket.", s_labels);

    internal Counter Failures { get; } = Metrics.WithCustomRegistry(registry).CreateCounter(
        "thanos_objstore_bucket_operation_failures_total", "Total number of operations against a bucket that failed.", s_labels);

    internal Histogram Duration { get; } = Metrics.WithCustomRegistry(registry).CreateHistogram(
        "thanos_objstore_bucket_operation_duration_seconds", "Duration of successful operations against the bucket per operation.",
        s_labels, new HistogramConfiguration { Buckets = s_seconds });

    internal Histogram Transferred { get; } = Metrics.WithCustomRegistry(registry).CreateHistogram(
        "thanos_objstore_bucket_operation_transferred_bytes", "Number of bytes transferred from/to bucket per operation.",
        s_labels, new HistogramConfiguration { Buckets = s_bytes });

    internal Counter Fetched { get; } = Metrics.WithCustomRegistry(registry).CreateCounter(
        "thanos_objstore_bucket_operation_fetched_bytes_total", "Total number of bytes fetched from bucket, per operation.", s_labels);

    internal Gauge LastUpload { get; } = Metrics.WithCustomRegistry(registry).CreateGauge(
        "thanos_objstore_bucket_last_successful_upload_time",
        "Unix timestamp in seconds of the last successful upload to the bucket.", ["bucket"]);
}

/// <summary>
/// Counts and times the requests to a bucket. A missing object and a condition that does not hold are no failures.
/// </summary>
public sealed class MeteredBucket : IBucket
{
    static readonly string[] s_operations = ["iter", "get", "get_range", "exists", "upload", "delete", "attributes"];

    readonly IBucket _inner;
    readonly string _label;
    readonly BucketMetrics _metrics;

    /// <param name="label">The value of the label <c>bucket</c>.</param>
    public MeteredBucket(IBucket inner, string label, BucketMetrics metrics)
    {
        (_inner, _label, _metrics) = (inner, label, metrics);
        foreach (var operation in s_operations)
        {
            _metrics.Operations.WithLabels(label, operation);
            _metrics.Failures.WithLabels(label, operation);
        }

        _metrics.LastUpload.WithLabels(label);
    }

    public string Name => _inner.Name;

    public string? LocalPath(string key) => _inner.LocalPath(key);

    public async Task<Stream> GetAsync(string key, CancellationToken cancellationToken)
    {
        var start = Begin("get");
        try
        {
            return new MeteredStream(await _inner.GetAsync(key, cancellationToken), this, start);
        }
        catch (Exception e) when (Count("get", e))
        {
            throw;
        }
    }

    public async ValueTask<int> GetRangeAsync(string key, long offset, Memory<byte> destination, CancellationToken cancellationToken)
    {
        var start = Begin("get_range");
        try
        {
            var read = await _inner.GetRangeAsync(key, offset, destination, cancellationToken);
            End("get_range", start, read);
            _metrics.Fetched.WithLabels(_label, "get_range").Inc(read);
            return read;
        }
        catch (Exception e) when (Count("get_range", e))
        {
            throw;
        }
    }

    public async Task<ObjectAttributes?> AttributesAsync(string key, CancellationToken cancellationToken)
    {
        var start = Begin("attributes");
        try
        {
            var attributes = await _inner.AttributesAsync(key, cancellationToken);
            End("attributes", start);
            return attributes;
        }
        catch (Exception e) when (Count("attributes", e))
        {
            throw;
        }
    }

    public async IAsyncEnumerable<BucketEntry> ListAsync(
        string prefix, bool recursive, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var start = Begin("iter");
        await using var entries = _inner.ListAsync(prefix, recursive, cancellationToken).GetAsyncEnumerator(cancellationToken);
        while (true)
        {
            try
            {
                if (!await entries.MoveNextAsync())
                {
                    break;
                }
            }
            catch (Exception e) when (Count("iter", e))
            {
                throw;
            }

            yield return entries.Current;
        }

        End("iter", start);
    }

    public async Task<PutResult> PutAsync(string key, Stream content, PutCondition condition, CancellationToken cancellationToken)
    {
        var start = Begin("upload");
        try
        {
            var result = await _inner.PutAsync(key, content, condition, cancellationToken);
            End("upload", start, content.Length);
            if (result == PutResult.Written)
            {
                _metrics.LastUpload.WithLabels(_label).Set(_metrics.Time.GetUtcNow().ToUnixTimeMilliseconds() / 1000.0);
            }

            return result;
        }
        catch (Exception e) when (Count("upload", e))
        {
            throw;
        }
    }

    public async Task DeleteAsync(string key, CancellationToken cancellationToken)
    {
        var start = Begin("delete");
        try
        {
            await _inner.DeleteAsync(key, cancellationToken);
            End("delete", start);
        }
        catch (Exception e) when (Count("delete", e))
        {
            throw;
        }
    }

    public ValueTask DisposeAsync() => _inner.DisposeAsync();

    long Begin(string operation)
    {
        _metrics.Operations.WithLabels(_label, operation).Inc();
        return Stopwatch.GetTimestamp();
    }

    void End(string operation, long start, long bytes = -1)
    {
        _metrics.Duration.WithLabels(_label, operation).Observe(Stopwatch.GetElapsedTime(start).TotalSeconds);
        if (bytes >= 0)
        {
            _metrics.Transferred.WithLabels(_label, operation).Observe(bytes);
        }
    }

    /// <summary>For exception filters: always false, so that the exception goes on.</summary>
    bool Count(string operation, Exception e)
    {
        if (e is not (ObjectNotFoundException or OperationCanceledException))
        {
            _metrics.Failures.WithLabels(_label, operation).Inc();
        }

        return false;
    }

    sealed class MeteredStream(Stream inner, MeteredBucket bucket, long start) : ForwardStream
    {
        long _read;
        bool _ended;

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            try
            {
                return Add(await inner.ReadAsync(buffer, cancellationToken));
            }
            catch (Exception e) when (bucket.Count("get", e))
            {
                throw;
            }
        }

        protected override void Dispose(bool disposing)
        {
            if (disposing && !_ended)
            {
                _ended = true;
                inner.Dispose();
                bucket.End("get", start, _read);
                bucket._metrics.Fetched.WithLabels(bucket._label, "get").Inc(_read);
            }

            base.Dispose(disposing);
        }

        int Add(int read)
        {
            _read += read;
            return read;
        }
    }
}
