using Observe.Tsdb.Threading;
using Xunit;

namespace Observe.Tsdb.Tests.Threading;

public class ComputeThreadsTests
{
    [Fact]
    public async Task A_query_computes_beside_the_pool_from_its_start_to_its_end()
    {
        using var threads = new ComputeThreads(2);
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var query = threads.RunAsync(
            async () =>
            {
                var before = Thread.CurrentThread.IsThreadPoolThread;
                await gate.Task;
                return before || Thread.CurrentThread.IsThreadPoolThread;
            },
            mayStay: false);
        gate.SetResult();
        Assert.False(await query);
    }

    [Fact]
    public async Task Queries_in_parallel_loops_are_all_computed_by_few_threads()
    {
        using var threads = new ComputeThreads(3);
        var sums = await Task.WhenAll(Enumerable.Range(0, 50).Select(_ => threads.RunAsync(
            async () =>
            {
                var sum = 0;
                await Task.Yield();
                Parallel.For(0, 100, new ParallelOptions { TaskScheduler = TaskScheduler.Current }, i => Interlocked.Add(ref sum, i));
                return sum;
            },
            mayStay: false)));
        Assert.All(sums, sum => Assert.Equal(4950, sum));
    }

    [Fact]
    public async Task A_small_query_begins_where_it_is_asked_and_only_one_at_a_time()
    {
        using var threads = new ComputeThreads(3);
        var here = Environment.CurrentManagedThreadId;
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Task<bool>? second = null;
        var first = threads.RunAsync(
            async () =>
            {
                var stays = Environment.CurrentManagedThreadId == here;
                second = threads.RunAsync(() => Task.FromResult(Environment.CurrentManagedThreadId == here), mayStay: true);
                var sum = 0;
                Parallel.For(0, 100, new ParallelOptions { TaskScheduler = TaskScheduler.Current }, i => Interlocked.Add(ref sum, i));
                await gate.Task;
                return stays && sum == 4950 && !Thread.CurrentThread.IsThreadPoolThread;
            },
            mayStay: true);
        Assert.False(await second!);
        var third = threads.RunAsync(() => Task.FromResult(Environment.CurrentManagedThreadId), mayStay: true);
        Assert.True(third.IsCompleted);
        gate.SetResult();
        Assert.True(await first);
    }

    [Fact]
    public async Task What_a_query_starts_while_it_stays_is_done_though_it_never_waits()
    {
        using var threads = new ComputeThreads(1);
        var started = new List<Task>();
        await threads.RunAsync(
            () =>
            {
                for (var i = 0; i < 20; i++)
                {
                    started.Add(Task.Factory.StartNew(() => { }, CancellationToken.None, TaskCreationOptions.DenyChildAttach, TaskScheduler.Current));
                }

                return Task.FromResult(true);
            },
            mayStay: true);
        await Task.WhenAll(started).WaitAsync(TimeSpan.FromSeconds(30));
    }
}
