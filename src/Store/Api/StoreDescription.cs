using Observe.Tsdb.Model;

namespace Observe.Store.Api;

/// <summary>What a process serves over the store API, as it says of itself.</summary>
/// <param name="Component">Thanos's word for its role: sidecar, store, query, rule, receive.</param>
/// <param name="LabelSets">
/// External labels of what it holds: a series there has all labels of one of them. Empty: it may hold anything.
/// </param>
/// <param name="Range">What time it can answer for.</param>
public sealed record StoreDescription(string Component, IReadOnlyList<Labels> LabelSets, TimeRange Range);
