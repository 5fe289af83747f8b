using Observe.Store.Api;
using Observe.Tsdb.Querying;

namespace Observe.Testkit;

/// <summary>Targets and metadata that a test writes down.</summary>
public sealed class KnownTargets(ApiTargets targets, IReadOnlyList<ApiMetadata> metadata, string? warning = null) : ITargetSource
{
    public Task<ApiTargets> TargetsAsync(QueryContext query)
    {
        Warn(query);
        return Task.FromResult(targets);
    }

    public Task<IReadOnlyList<ApiMetadata>> MetadataAsync(string metric, int limit, QueryContext query)
    {
        Warn(query);
        return Task.FromResult(ApiMetadata.Merge(metadata, metric, limit));
    }

    void Warn(QueryContext query)
    {
        if (warning is not null)
        {
            query.Coverage.AddWarning(warning);
        }
    }
}
