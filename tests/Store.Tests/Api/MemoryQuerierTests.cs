using Observe.Testkit;
using Observe.Tsdb.Querying;

namespace Observe.Store.Tests.Api;

/// <summary>The suite holds for the querier that other tests compare with.</summary>
public sealed class MemoryQuerierTests : QuerierSuite
{
    protected override Task<IQuerier> CreateAsync(IReadOnlyList<TestSeries> series) => Task.FromResult<IQuerier>(new MemoryQuerier(series));
}
