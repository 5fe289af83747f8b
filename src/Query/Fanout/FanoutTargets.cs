using Observe.Store.Api;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Query.Fanout;

/// <summary>
/// The targets of all stores that say that they have any. What a store that gives no answer would have shown is missing from the answer, or
/// is the error that no partial answer is wanted; it keeps nobody else's from being shown.
/// </summary>
public sealed class FanoutTargets(StoreSet stores, FanoutOptions options, FanoutMetrics? metrics = null) : ITargetSource
{
    bool IsDeduplicating => options.Deduplicate && options.ReplicaLabels.Count > 0;

    public async Task<ApiTargets> TargetsAsync(QueryContext query)
    {
        var all = ApiTargets.Of(await AskAsync(ServedApis.Targets, query, static (store, turn) => store.TargetsAsync(turn), ApiTargets.Empty));
        if (!IsDeduplicating)
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
        var asked = stores.Stores.Where(store => store.Description?.Apis.HasFlag(api) == true && options.Chooses(store)).Select(WithoutTimes).ToList();
        var attendance = new Attendance(
            asked, turn.Select(new SelectHints { Range = TimeRange.All }, []), IsDeduplicating ? options.ReplicaLabels : [], long.MaxValue, metrics);
        var answers = await attendance.AskAsync(attendance.Available(), turn, async (store, wait) =>
        {
            try
            {
                return store.Querier is ITargetSource source ? await ask(source, wait) : nothing;
            }
            catch (LimitException e)
            {
                // One collector's answer is too large, and the others are shown.
                throw new IOException(e.Message, e);
            }
        }, nothing);
        attendance.NoteTo(turn.Coverage);
        turn.Coverage.ThrowIfRefused();
        return answers;
    }

    /// <summary>A store as it is to those who ask what it shows at this moment: whatever samples it has, and whatever fleet it knows.</summary>
    static StoreState WithoutTimes(StoreState store) => store with
    {
        Description = store.Description! with { Range = TimeRange.All, Ranges = new Dictionary<Labels, TimeRange>(), Fleet = [] },
    };

    Labels Without(Labels labels) => labels.Without(options.ReplicaLabels);
}
