using System.Globalization;
using Observe.Testkit;
using Observe.Tsdb.Head;
using Observe.Tsdb.Ingest;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Tsdb.Tests.Head;

public sealed class HeadIsolationTests : IAsyncDisposable
{
    readonly TestHead _test = new();

    public ValueTask DisposeAsync() => new(_test.CloseAsync());

    static string Name(int series) => "m" + series.ToString("D3", CultureInfo.InvariantCulture);

    static void Commit(HeadBlock head, int from, int to, long time)
    {
        using var appender = head.Appender();
        for (var i = from; i < to; i++)
        {
            Assert.Equal(AppendResult.Appended, appender.Append(appender.GetOrAdd(Labels.Of((Labels.MetricName, Name(i)))), time, time));
        }

        appender.Commit();
    }

    /// <summary>A reader that is held up at the first series it looks at, as long as the action takes.</summary>
    static async Task<string> ReadMeanwhileAsync(HeadBlock head, long minTime, Action action)
    {
        using var release = new ManualResetEventSlim();
        var held = new TaskCompletionSource();
        var holder = Task.Factory.StartNew(
            () =>
            {
                lock (head.Series.Stripe(0))
                {
                    held.SetResult();

                    // A lock that is held can't be awaited under: the thread of its own blocks until the test lets it go on.
                    release.Wait();
                }
            },
            TaskCreationOptions.LongRunning);
        await held.Task;
        var reading = Task.Run(() => TestHead.DumpAsync(head, minTime));
        try
        {
            await Eventually.TrueAsync(() => Task.FromResult(head.Selecting == 1), TimeSpan.FromSeconds(30), "the reader looks at series");
            await Task.Factory.StartNew(action, TaskCreationOptions.LongRunning).WaitAsync(TimeSpan.FromSeconds(60));
            Assert.False(reading.IsCompleted);
        }
        finally
        {
            release.Set();
        }

        await holder;
        return await reading;
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(300)]
    public async Task Commits_go_on_while_a_reader_looks_for_its_series_and_it_sees_none_of_them(int commits)
    {
        var head = await _test.OpenAsync();
        Commit(head, 0, 5, 1);
        Commit(head, 0, 3, 2);
        var before = await TestHead.DumpAsync(head);
        var seen = await ReadMeanwhileAsync(head, long.MinValue, () =>
        {
            for (var i = 0; i < commits; i++)
            {
                Commit(head, 1, 8, 10 + i);
            }
        });
        Assert.Equal(before, seen);
        Assert.Equal(0, head.Selecting);
        Assert.Contains($"m007: 10=10{(commits > 1 ? " 11=11" : "")}", await TestHead.DumpAsync(head), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_series_that_only_a_later_commit_brings_into_the_range_is_not_there()
    {
        var head = await _test.OpenAsync();
        Commit(head, 0, 3, 1);
        Commit(head, 0, 1, 20);
        var before = await TestHead.DumpAsync(head, minTime: 10);
        Assert.Equal("m000: 20=20", before);
        Assert.Equal(before, await ReadMeanwhileAsync(head, 10, () => Commit(head, 1, 3, 15)));
    }

    [Fact]
    public async Task Readers_beside_a_writer_see_each_commit_whole_or_not_at_all()
    {
        const int Series = 300;
        var head = await _test.OpenAsync(range: 100_000_000);
        Commit(head, 0, Series, 1);
        var done = false;
        var reading = Enumerable.Range(0, 2).Select(_ => Task.Run(async () =>
        {
            var last = 0L;
            while (!Volatile.Read(ref done))
            {
                var ends = (await TestHead.DumpAsync(head, minTime: last)).Split('\n').Select(line => line[(line.LastIndexOf('=') + 1)..]).ToList();
                Assert.Equal(Series, ends.Count);
                Assert.Single(ends.Distinct());
                Assert.True(long.Parse(ends[0], CultureInfo.InvariantCulture) >= last);
                last = long.Parse(ends[0], CultureInfo.InvariantCulture);
            }
        })).ToList();
        await Task.Run(() =>
        {
            for (var time = 2; time <= 400; time++)
            {
                Commit(head, 0, Series, time);
            }
        });
        Volatile.Write(ref done, true);
        await Task.WhenAll(reading);
    }
}
