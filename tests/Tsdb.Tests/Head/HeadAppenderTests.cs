using Observe.Tsdb.Bytes;
using Observe.Tsdb.Ingest;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Observe.Tsdb.Tests.Wal;
using Xunit;

namespace Observe.Tsdb.Tests.Head;

public sealed class HeadAppenderTests : IAsyncDisposable
{
    static readonly Labels Up = Labels.Of(("__name__", "up"), ("job", "a"));

    readonly TestHead _test = new();

    public ValueTask DisposeAsync() => new(_test.CloseAsync());

    [Theory]
    [InlineData(2_000, 5, AppendResult.Appended)]
    [InlineData(1_000, 1, AppendResult.Appended)]
    [InlineData(1_000, 2, AppendResult.DuplicateTimestamp)]
    [InlineData(999, 1, AppendResult.OutOfOrder)]
    [InlineData(1_000 - TestHead.Range, 1, AppendResult.OutOfBounds)]
    public async Task A_sample_is_checked_as_it_is_added(long time, double value, AppendResult expected)
    {
        var head = await _test.OpenAsync();
        TestHead.Append(head, "up", (1_000, 1));
        using var appender = head.Appender();
        var series = appender.GetOrAdd(Labels.Of(("__name__", "up")));
        Assert.Equal(expected, appender.Append(series, time, value));
        appender.Commit();
        Assert.Equal(expected == AppendResult.Appended && time > 1_000 ? "up: 1000=1 2000=5" : "up: 1000=1", await TestHead.DumpAsync(head));
    }

    [Theory]
    [InlineData(2_000, 5, AppendResult.Appended)]
    [InlineData(1_000, 1, AppendResult.Appended)]
    [InlineData(1_000, 2, AppendResult.DuplicateTimestamp)]
    [InlineData(999, 1, AppendResult.OutOfOrder)]
    public async Task A_histogram_is_checked_as_it_is_added(long time, double sum, AppendResult expected)
    {
        var head = await _test.OpenAsync();
        using var appender = head.Appender();
        var series = appender.GetOrAdd(Up);
        var histogram = WalRecordsTests.TestHistogram(integer: true, custom: false);
        histogram.Sum = 1;
        Assert.Equal(AppendResult.Appended, appender.Append(series, 1_000, histogram));
        appender.Commit();
        histogram.Sum = sum;
        Assert.Equal(expected, appender.Append(series, time, histogram));
        appender.Commit();
        Assert.Equal(expected == AppendResult.Appended && time > 1_000 ? "up: 1000=h20/1 2000=h20/5" : "up: 1000=h20/1", await TestHead.DumpAsync(head));
    }

    [Fact]
    public async Task A_reference_of_another_head_is_unknown()
    {
        var head = await _test.OpenAsync();
        using var appender = head.Appender();
        Assert.Equal(AppendResult.UnknownSeries, appender.Append(new SeriesRef(99), 1, 1));
        Assert.Equal(AppendResult.UnknownSeries, appender.Append(new SeriesRef(ulong.MaxValue), 1, 1));
        Assert.Equal(AppendResult.UnknownSeries, appender.Append(default, 1, 1));
    }

    [Fact]
    public async Task The_same_labels_are_the_same_series()
    {
        var head = await _test.OpenAsync();
        using var appender = head.Appender();
        var series = appender.GetOrAdd(Up);
        Assert.Equal(series, appender.GetOrAdd(Labels.FromEncoded(Up.Encoded)));
        Assert.NotEqual(series, appender.GetOrAdd(Labels.Of(("__name__", "up"), ("job", "b"))));
        Assert.NotEqual(series, appender.GetOrAdd(Labels.Of(("__name__", "up"))));
        Assert.Equal(3, head.SeriesCount);
    }

    [Fact]
    public async Task Nothing_is_visible_before_the_commit_nor_after_a_rollback()
    {
        var head = await _test.OpenAsync();
        using var appender = head.Appender();
        appender.Append(appender.GetOrAdd(Up), 1_000, 1);
        Assert.Equal("", await TestHead.DumpAsync(head));
        appender.Rollback();
        appender.Commit();
        Assert.Equal("", await TestHead.DumpAsync(head));
        appender.Append(appender.GetOrAdd(Up), 1_000, 2);
        appender.Commit();
        Assert.Equal("up: 1000=2", await TestHead.DumpAsync(head));
    }

    [Fact]
    public async Task Of_two_appends_to_one_series_the_older_samples_are_dropped_at_the_commit()
    {
        var head = await _test.OpenAsync();
        using var first = head.Appender();
        using var second = head.Appender();
        var series = first.GetOrAdd(Up);
        Assert.Equal(AppendResult.Appended, first.Append(series, 1_000, 1));
        Assert.Equal(AppendResult.Appended, second.Append(series, 2_000, 2));
        Assert.Equal(AppendResult.Appended, second.Append(series, 2_000, 3));
        second.Commit();
        first.Commit();
        Assert.Equal("up: 2000=2", await TestHead.DumpAsync(head));
        Assert.Equal("up: 2000=2", await TestHead.DumpAsync(await _test.OpenCopyAsync()));
    }

    [Fact]
    public async Task A_series_that_another_append_made_is_logged_by_whoever_commits_first()
    {
        var head = await _test.OpenAsync();
        using var maker = head.Appender();
        using var user = head.Appender();
        var series = maker.GetOrAdd(Up);
        user.Append(series, 1_000, 1);
        user.Commit();
        Assert.Equal("up: 1000=1", await TestHead.DumpAsync(await _test.OpenCopyAsync()));
    }

    [Fact]
    public async Task A_reader_sees_an_append_whole_or_not_at_all()
    {
        var head = await _test.OpenAsync();
        using var stop = new CancellationTokenSource();
        var writing = Task.Run(() =>
        {
            using var appender = head.Appender();
            var series = Enumerable.Range(0, 50).Select(i => appender.GetOrAdd(Labels.Of(("__name__", "m"), ("i", $"{i}")))).ToArray();
            for (var t = 1L; !stop.IsCancellationRequested; t++)
            {
                foreach (var one in series)
                {
                    appender.Append(one, t, t);
                }

                appender.Commit();
            }
        });
        var batch = new SampleBatch();
        for (var i = 0; i < 200; i++)
        {
            var newest = new HashSet<long>();
            await foreach (var series in head.SelectAsync(new QueryContext().Select(new SelectHints { Range = TimeRange.All }, [])))
            {
                using var samples = series.Samples();
                long last = 0;
                while (samples.Read(batch))
                {
                    last = batch.Timestamps[batch.Count - 1];
                }

                newest.Add(last);
            }

            Assert.True(newest.Count <= 1, string.Join(' ', newest));
        }

        await stop.CancelAsync();
        await writing;
    }

    [Fact]
    public async Task Floats_and_histograms_take_turns_and_a_stale_marker_ends_either()
    {
        var head = await _test.OpenAsync();
        using var appender = head.Appender();
        var series = appender.GetOrAdd(Up);
        appender.Append(series, 1, 1.5);
        appender.Commit();
        appender.Append(series, 2, WalRecordsTests.TestHistogram(integer: true, custom: false));
        appender.Commit();
        appender.Append(series, 3, WalRecordsTests.TestHistogram(integer: false, custom: false));
        appender.Commit();
        appender.Append(series, 4, StaleMarker.Value);
        appender.Commit();
        appender.Append(series, 5, 2.5);
        appender.Commit();
        appender.Append(series, 6, StaleMarker.Value);
        appender.Commit();
        const string expected = "up: 1=1.5 2=h20/12.25 3=h20.5/12.25 4=h0/stale 5=2.5 6=NaN";
        Assert.Equal(expected, await TestHead.DumpAsync(head));
        Assert.Equal(expected, await TestHead.DumpAsync(await _test.OpenCopyAsync()));
    }

    [Fact]
    public async Task A_histogram_that_contradicts_itself_is_refused()
    {
        var head = await _test.OpenAsync();
        using var appender = head.Appender();
        var histogram = WalRecordsTests.TestHistogram(integer: true, custom: false);
        histogram.PositiveBuckets = [1];
        Assert.Throws<ArgumentException>(() => appender.Append(appender.GetOrAdd(Up), 1, histogram));
    }

    [Fact]
    public async Task Appending_a_sample_allocates_nothing()
    {
        var head = await _test.OpenAsync(range: 1_000_000_000);
        using var appender = head.Appender();
        var series = Enumerable.Range(0, 100).Select(i => appender.GetOrAdd(Labels.Of(("__name__", "m"), ("i", $"{i}")))).ToArray();
        var t = 0L;
        void Scrape()
        {
            t += 15_000;
            for (var i = 0; i < series.Length; i++)
            {
                appender.Append(series[i], t, i + (t % 7));
            }

            appender.Commit();
        }

        for (var i = 0; i < 100; i++)
        {
            Scrape();
        }

        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 15; i++)
        {
            Scrape();
        }

        var perSample = (GC.GetAllocatedBytesForCurrentThread() - before) / (15.0 * series.Length);
        Assert.True(perSample < 1, $"{perSample} bytes a sample");
    }
}
