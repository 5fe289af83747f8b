using Observe.Testkit;
using Observe.Tsdb.Head;
using Observe.Tsdb.Ingest;
using Observe.Tsdb.Querying;

namespace Observe.Tsdb.Tests.Head;

public sealed class HeadQuerierTests : QuerierSuite, IAsyncDisposable
{
    readonly TestHead _head = new();

    public ValueTask DisposeAsync() => new(_head.CloseAsync());

    protected override async Task<IQuerier> CreateAsync(IReadOnlyList<TestSeries> series)
    {
        var head = await _head.OpenAsync(range: 1_000_000_000);
        Fill(head, series);
        return head;
    }

    internal static void Fill(HeadBlock head, IReadOnlyList<TestSeries> series)
    {
        using var appender = head.Appender();
        foreach (var one in series)
        {
            foreach (var (time, value) in one.Samples)
            {
                Check(appender.Append(appender.GetOrAdd(one.Labels), time, value));
                appender.Commit();
            }

            foreach (var (time, value) in one.Histograms)
            {
                Check(appender.Append(appender.GetOrAdd(one.Labels), time, value));
                appender.Commit();
            }
        }
    }

    static void Check(AppendResult result) => Xunit.Assert.Equal(AppendResult.Appended, result);
}

/// <summary>What was replayed answers as what was appended.</summary>
public sealed class ReplayedHeadQuerierTests : QuerierSuite, IAsyncDisposable
{
    readonly TestHead _head = new();

    public ValueTask DisposeAsync() => new(_head.CloseAsync());

    protected override async Task<IQuerier> CreateAsync(IReadOnlyList<TestSeries> series)
    {
        HeadQuerierTests.Fill(await _head.OpenAsync(range: 1_000_000_000), series);
        return await _head.OpenCopyAsync(range: 1_000_000_000);
    }
}
