using Observe.Store.Model;

namespace Observe.Query.Fanout;

/// <summary>What a query wants of the stores.</summary>
public sealed record FanoutOptions
{
    /// <summary>Join the series of replicas.</summary>
    public bool Deduplicate { get; init; } = true;

    /// <summary>Labels that tell replicas apart (<c>--query.replica-label</c>).</summary>
    public IReadOnlyList<string> ReplicaLabels { get; init; } = [];

    /// <summary>Answer with a warning where a store gives no answer; otherwise that is an error.</summary>
    public bool PartialResponse { get; init; } = true;

    /// <summary>Ask only stores that one of these matches, by the label <c>__address__</c>; empty: all.</summary>
    public IReadOnlyList<IReadOnlyList<Matcher>> StoreMatchers { get; init; } = [];
}

/// <summary>A store gave no answer, or not all of it, and the query wants no partial one. The message says what is missing.</summary>
public sealed class PartialResponseException(string message) : IOException(message);
