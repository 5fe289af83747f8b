using Observe.Store.Api;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Query.Fanout;

/// <summary>
/// The targets of all stores that say that they have any. A store that gives no answer is a warning, or the error that no partial answer is
/// wanted; it keeps nobody else's from being shown.
/// </summary>
public sealed class FanoutTargets(StoreSet stores, FanoutOptions options) : ITargetSource
{
    public async Task<ApiTargets> TargetsAsync(QueryContext query)
    {
        var all = ApiTargets.Of(await AskAsync(ServedApis.Targets, query, static (store, turn) => store.TargetsAsync(turn), ApiTargets.Empty));
        if (!options.Deduplicate || options.ReplicaLabels.Count == 0)
        {
            return all;
        }

        // Replicas scrape the same targets: of each the one that is up is shown, or else that which was scraped last.
        return all with
        {
            Active =
            [
                .. all.Active.Select(target => target with { DiscoveredLabels = Without(target.DiscoveredLabels), Labels = Without(target.Labels) })
                    .GroupBy(target => (target.Pool, target.Url, target.Labels, target.DiscoveredLabels))
                    .Select(same => same.OrderByDescending(target => target.Health == "up").ThenByDescending(target => target.LastScrape).First()),
            ],
            Dropped = [.. all.Dropped.Select(target => target with { DiscoveredLabels = Without(target.DiscoveredLabels) }).Distinct()],
        };
    }

    public async Task<IReadOnlyList<ApiMetadata>> MetadataAsync(string metric, int limit, QueryContext query)
    {
        var all = await AskAsync<IReadOnlyList<ApiMetadata>>(
            ServedApis.Metadata, query, (store, turn) => store.MetadataAsync(metric, limit, turn), []);
        return ApiMetadata.Merge(all.SelectMany(metadata => metadata), metric, limit);
    }

    async Task<T[]> AskAsync<T>(ServedApis api, QueryContext query, Func<ITargetSource, QueryContext, Task<T>> ask, T nothing)
    {
        var turn = options.PartialResponse ? query : query.Refusing(static missing => new PartialResponseException(missing));
        var answers = await Task.WhenAll(stores.Stores.Where(store => store.Description?.Apis.HasFlag(api) == true && options.Chooses(store))
            .Select(async store =>
            {
                if (store.Querier is not ITargetSource source)
                {
                    return nothing;
                }

                try
                {
                    return store.IsSilent ? throw new IOException(store.LastError) : await ask(source, turn);
                }
                catch (Exception e) when (e is (IOException and not PartialResponseException) or LimitException)
                {
                    turn.Coverage.AddWarning(
                        e.Message.StartsWith(store.Name, StringComparison.Ordinal) ? $"store {e.Message}" : $"store {store.Name}: {e.Message}");
                    return nothing;
                }
            }));
        turn.Coverage.ThrowIfRefused();
        return answers;
    }

    Labels Without(Labels labels) => labels.Without(options.ReplicaLabels);
}
