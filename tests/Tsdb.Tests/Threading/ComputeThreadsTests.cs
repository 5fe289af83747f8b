using Observe.Testkit;
using Observe.Tsdb.Threading;
using Xunit;

namespace Observe.Tsdb.Tests.Threading;

public class ComputeThreadsTests
{
    [Fact]
    public async Task A_query_computes_beside_the_pool_from_its_start_to_its_end()
    {
        using var threads = ComputeThreads.ForQueries(2);
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var query = threads.RunAsync(
            async () =>
            {
                var before = Thread.CurrentThread.IsThreadPoolThread;
                await gate.Task;
                return before || Thread.CurrentThread.IsThreadPoolThread;
            },
            mayRunInline: false);
        gate.SetResult();
        Assert.False(await query);
    }

    [Fact]
    public async Task Threads_have_names_and_stand_behind_others()
    {
        using var queries = ComputeThreads.ForQueries(2);
        using var background = ComputeThreads.ForBackground();
        Assert.Equal(ThreadPlace.Query, await queries.RunAsync(PlaceAsync));
        Assert.Equal(ThreadPlace.Background, await background.RunAsync(PlaceAsync));
        Assert.Equal(ThreadPlace.Background, await ((TaskScheduler)background).RunAsync(() => ThreadPlace.Current, default));

        static async Task<string> PlaceAsync()
        {
            var before = ThreadPlace.Current;
            await Task.Delay(1);
            return ThreadPlace.Current == before ? before : $"{before}, then {ThreadPlace.Current}";
        }
    }

    [Fact]
    public async Task No_more_is_computed_at_a_time_than_there_are_threads_or_a_share_allows()
    {
        using var threads = ComputeThreads.ForQueries(3);
        var (running, most) = (0, 0);
        await Task.WhenAll(Enumerable.Range(0, 40).Select(_ => ((TaskScheduler)threads).RunAsync(Compute, default)));
        Assert.InRange(most, 1, 3);

        most = 0;
        using var many = ComputeThreads.ForQueries(50);
        var share = new ComputeShare(many, Environment.ProcessorCount);
        await Task.WhenAll(Enumerable.Range(0, 40).Select(_ => share.RunAsync(Compute, default)));
        Assert.InRange(most, 1, Environment.ProcessorCount);

        void Compute()
        {
            var now = Interlocked.Increment(ref running);
            InterlockedMax(ref most, now);
            Thread.SpinWait(50_000);
            Interlocked.Decrement(ref running);
        }
    }

    [Fact]
    public async Task What_is_cancelled_before_its_turn_is_not_computed()
    {
        using var threads = ComputeThreads.ForQueries(1);
        using var hold = new ManualResetEventSlim();
        using var cancel = new CancellationTokenSource();
        var first = ((TaskScheduler)threads).RunAsync(hold.Wait, default);
        var computed = false;
        var second = ((TaskScheduler)threads).RunAsync(() => computed = true, cancel.Token);
        await cancel.CancelAsync();
        hold.Set();
        await first;
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => second);
        Assert.False(computed);
    }

    static void InterlockedMax(ref int target, int value)
    {
        for (var seen = Volatile.Read(ref target); value > seen; seen = Volatile.Read(ref target))
        {
            Interlocked.CompareExchange(ref target, value, seen);
        }
    }

    [Fact]
    public async Task Queries_in_parallel_loops_are_all_computed_by_few_threads()
    {
        using var threads = ComputeThreads.ForQueries(3);
        var sums = await Task.WhenAll(Enumerable.Range(0, 50).Select(_ => threads.RunAsync(
            async () =>
            {
                var sum = 0;
                await Task.Yield();
                Parallel.For(0, 100, new ParallelOptions { TaskScheduler = TaskScheduler.Current }, i => Interlocked.Add(ref sum, i));
                return sum;
            },
            mayRunInline: false)));
        Assert.All(sums, sum => Assert.Equal(4950, sum));
    }

    [Fact]
    public async Task A_small_query_begins_where_it_is_asked_and_only_one_at_a_time()
    {
        using var threads = ComputeThreads.ForQueries(3);
        var here = Environment.CurrentManagedThreadId;
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Task<bool>? second = null;
        var first = threads.RunAsync(
            async () =>
            {
                var stays = Environment.CurrentManagedThreadId == here;
                second = threads.RunAsync(() => Task.FromResult(Environment.CurrentManagedThreadId == here), mayRunInline: true);
                var sum = 0;
                Parallel.For(0, 100, new ParallelOptions { TaskScheduler = TaskScheduler.Current }, i => Interlocked.Add(ref sum, i));
                await gate.Task;
                return stays && sum == 4950 && !Thread.CurrentThread.IsThreadPoolThread;
            },
            mayRunInline: true);
        Assert.False(await second!);
        var third = threads.RunAsync(() => Task.FromResult(Environment.CurrentManagedThreadId), mayRunInline: true);
        Assert.True(third.IsCompleted);
        gate.SetResult();
        Assert.True(await first);
    }

    [Fact]
    public async Task What_a_query_starts_while_it_stays_is_done_though_it_never_waits()
    {
        using var threads = ComputeThreads.ForQueries(1);
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
            mayRunInline: true);
        await Task.WhenAll(started).WaitAsync(TimeSpan.FromSeconds(30));
    }
}
