using Observe.Query.Promql.Execution;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Query.Promql;

public enum ResultType : byte
{
    Scalar,
    String,
    Vector,
    Matrix,
}

/// <summary>
/// The answer to a query. Immutable once given. The result's memory counts against the queries' budget until the result is disposed, which
/// its reader does once it was written out.
/// </summary>
public sealed class QueryResult : IDisposable
{
    public required ResultType Type { get; init; }

    /// <summary>When an instant query was evaluated (the timestamp of scalar, string and vector elements), Unix milliseconds.</summary>
    public long TimeMs { get; init; }

    /// <summary>
    /// Elements of a vector, in the order that the query asks for (one point each); series of a matrix, sorted by labels.
    /// </summary>
    public IReadOnlyList<ResultSeries> Series { get; init; } = [];

    /// <summary>Set for a scalar.</summary>
    public double Scalar { get; init; }

    /// <summary>Set for a string.</summary>
    public string Text { get; init; } = "";

    /// <summary>What the answer lacks and which resolution it was made of, as data.</summary>
    public Coverage Coverage { get; init; } = new();

    /// <summary>The coverage as text, and PromQL's own warnings in Prometheus's words and with positions: sorted, each once.</summary>
    public IReadOnlyList<string> Warnings { get; init; } = [];

    public IReadOnlyList<string> Infos { get; init; } = [];

    public required QueryStatistics Statistics { get; init; }

    /// <summary>The operators that computed the result, from the top; null unless the query was to be explained.</summary>
    public ExplainedOperator? Explanation { get; init; }

    internal IDisposable? Memory { get; init; }

    public void Dispose() => Memory?.Dispose();
}

/// <summary>
/// One series of a result in columns: floats and histograms apart, each by rising time. <see cref="Timestamps"/> may be shared among
/// series.
/// </summary>
public sealed class ResultSeries
{
    public required Labels Labels { get; init; }

    /// <summary>Of <see cref="Values"/>, Unix milliseconds.</summary>
    public ReadOnlyMemory<long> Timestamps { get; init; }

    public ReadOnlyMemory<double> Values { get; init; }

    public ReadOnlyMemory<long> HistogramTimestamps { get; init; }

    public ReadOnlyMemory<Histogram> Histograms { get; init; }
}

/// <summary>What a query took, as <c>stats=all</c> shows it.</summary>
public sealed class QueryStatistics
{
    /// <summary>Samples that evaluations consumed, each window in full (<c>totalQueryableSamples</c>).</summary>
    public long TotalSamples { get; set; }

    /// <summary>Samples that were read, each window's new ones only (<c>samplesRead</c>).</summary>
    public long SamplesRead { get; set; }

    /// <summary>The most samples held at once, as Prometheus would hold them (<c>peakSamples</c>).</summary>
    public long PeakSamples { get; set; }

    /// <summary>Timestamp and <see cref="TotalSamples"/> of each step; null unless the query wanted it.</summary>
    public IReadOnlyList<(long TimeMs, long Samples)>? SamplesPerStep { get; set; }

    public TimeSpan ExecQueueTime { get; set; }

    public TimeSpan QueryPreparationTime { get; set; }

    public TimeSpan InnerEvalTime { get; set; }

    public TimeSpan ResultSortTime { get; set; }

    /// <summary>Preparation, evaluation and sorting.</summary>
    public TimeSpan EvalTotalTime { get; set; }

    /// <summary>The whole execution, waiting in the queue included.</summary>
    public TimeSpan ExecTotalTime { get; set; }
}
