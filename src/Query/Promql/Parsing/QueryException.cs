namespace Observe.Query.Promql.Parsing;

/// <summary>A query that parses but can't be evaluated; the message is Prometheus's (<c>execution</c>, HTTP 422).</summary>
public sealed class QueryException(string message) : Exception(message)
{
    /// <summary>It is wrong before it is evaluated, so that it counts as <c>bad_data</c>.</summary>
    public bool IsBadData { get; init; }
}
