using Observe.Query.Promql.Execution;
using Xunit;

namespace Observe.Query.Tests.Promql.Execution;

public class QueryThreadsTests
{
    [Fact]
    public async Task A_query_computes_beside_the_pool_from_its_start_to_its_end()
    {
        using var threads = new QueryThreads(2);
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var query = threads.RunAsync(
            async () =>
            {
                var before = Thread.CurrentThread.IsThreadPoolThread;
                await gate.Task;
                return before || Thread.CurrentThread.IsThreadPoolThread;
            },
            CancellationToken.None);
        gate.SetResult();
        Assert.False(await query);
    }

    [Fact]
    public async Task Queries_in_parallel_loops_are_all_computed_by_few_threads()
    {
        using var threads = new QueryThreads(3);
        var sums = await Task.WhenAll(Enumerable.Range(0, 50).Select(_ => threads.RunAsync(
            async () =>
            {
                var sum = 0;
                await Task.Yield();
                Parallel.For(0, 100, new ParallelOptions { TaskScheduler = TaskScheduler.Current }, i => Interlocked.Add(ref sum, i));
                return sum;
            },
            CancellationToken.None)));
        Assert.All(sums, sum => Assert.Equal(4950, sum));
    }
}
