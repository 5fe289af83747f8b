using System.Globalization;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Head;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Ingest;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Tsdb.Tests.Head;

public sealed class CommitTapTests : IAsyncDisposable
{
    readonly TestHead _test = new();
    readonly TestHead _other = new();

    public async ValueTask DisposeAsync()
    {
        await _test.CloseAsync();
        await _other.CloseAsync();
    }

    static List<TappedCommit> ReadAll(CommitTap tap)
    {
        var commits = new List<TappedCommit>();
        while (tap.TryRead(out var commit))
        {
            commits.Add(commit with { Samples = commit.Samples.ToArray() });
        }

        return commits;
    }

    static void Replay(CommitTap tap, HeadBlock head, IEnumerable<TappedCommit> commits)
    {
        using var appender = head.Appender();
        using var symbols = new SymbolMap();
        foreach (var commit in commits)
        {
            foreach (var (reference, time, value, start) in commit.Samples.Span)
            {
                appender.Append(appender.GetOrAdd(LabelsOf(tap, reference, symbols)), time, value, start);
            }

            foreach (var (reference, time, histogram, start) in commit.Histograms)
            {
                appender.Append(appender.GetOrAdd(LabelsOf(tap, reference, symbols)), time, histogram, start);
            }

            appender.Commit();
        }
    }

    static Labels LabelsOf(CommitTap tap, SeriesRef reference, SymbolMap symbols)
    {
        var numbers = new List<int>();
        Assert.True(tap.TryReadLabels(reference, symbols, numbers));
        var texts = new List<byte[]>();
        var reader = new ByteReader(symbols.Texts, "symbols");
        while (!reader.AtEnd)
        {
            texts.Add(reader.LengthPrefixed().ToArray());
        }

        Assert.Equal(symbols.Count, texts.Count);
        var builder = new LabelsBuilder();
        for (var i = 0; i < numbers.Count; i += 2)
        {
            builder.Set(texts[numbers[i]], texts[numbers[i + 1]]);
        }

        return builder.Build();
    }

    static void Fill(HeadBlock head, Random random, int commits, int from = 0)
    {
        using var appender = head.Appender();
        for (var i = from; i < from + commits; i++)
        {
            for (var series = 0; series < 20; series++)
            {
                if (random.Next(4) == 0)
                {
                    continue;
                }

                var reference = appender.GetOrAdd(Labels.Of((Labels.MetricName, $"m{series + (i / 50 * 7)}")));
                var time = 1 + (i * 10L);
                if (series % 5 == 4)
                {
                    appender.Append(reference, time, Histogram(i), startTimestamp: series == 4 ? 1 : 0);
                }
                else
                {
                    appender.Append(reference, time, random.Next(10) == 0 ? StaleMarker.Value : random.Next(), series == 3 ? 1 : 0);
                }
            }

            appender.Commit();
        }
    }

    static Histogram Histogram(int observations) => new()
    {
        IsInteger = true,
        Count = observations,
        Sum = observations,
        PositiveSpans = [new BucketSpan(0, 1)],
        PositiveBuckets = [observations],
    };

    [Fact]
    public async Task What_a_tap_gave_answers_in_another_head_as_in_the_first()
    {
        var random = new Random(7);
        var head = await _test.OpenAsync(range: 1_000_000);
        using var tap = head.Tap(long.MaxValue);
        Fill(head, random, 300);
        var commits = ReadAll(tap);
        Assert.Equal(300, commits.Count);
        Assert.All(commits, commit => Assert.Null(commit.Gap));
        var other = await _other.OpenAsync(range: 1_000_000);
        Replay(tap, other, commits);
        var expected = await TestHead.DumpAsync(head);
        Assert.Contains("stale", expected, StringComparison.Ordinal);
        Assert.Equal(expected, await TestHead.DumpAsync(other));
    }

    [Fact]
    public async Task Samples_come_as_they_were_however_far_apart_they_are_and_however_many_wait()
    {
        var head = await _test.OpenAsync(range: 1_000_000_000);
        using var tap = head.Tap(long.MaxValue);
        using var appender = head.Appender();
        var random = new Random(3);
        var series = Enumerable.Range(0, 3_000).Select(n => appender.GetOrAdd(Labels.Of((Labels.MetricName, $"m{n}")))).ToArray();
        var times = new long[series.Length];
        var (given, read) = (new List<TappedSample>(), new List<TappedSample>());
        for (var commit = 0; commit < 100; commit++)
        {
            for (var i = random.Next(2_000); i > 0; i--)
            {
                var n = random.Next(series.Length);
                var sample = new TappedSample(
                    series[n], times[n] += 1 + random.Next(1 << random.Next(20)), BitConverter.Int64BitsToDouble(random.NextInt64()), random.Next(3) == 0 ? random.NextInt64() : 0);
                if (appender.Append(sample.Series, sample.Timestamp, sample.Value, sample.StartTimestamp) == AppendResult.Appended)
                {
                    given.Add(sample);
                }
            }

            appender.Commit();
            for (var i = commit == 99 ? 100 : random.Next(3); i > 0 && tap.TryRead(out var tapped); i--)
            {
                read.AddRange(tapped.Samples.Span);
            }
        }

        Assert.True(given.Count > 50_000);
        Assert.Equal(given.Select(Bits), read.Select(Bits));
        static (SeriesRef, long, long, long) Bits(TappedSample s) => (s.Series, s.Timestamp, BitConverter.DoubleToInt64Bits(s.Value), s.StartTimestamp);
    }

    [Fact]
    public async Task Symbols_of_series_that_were_dropped_are_never_taken_for_those_of_later_ones()
    {
        var head = await _test.OpenAsync(range: 1_000);
        using var tap = head.Tap(long.MaxValue);
        using var symbols = new SymbolMap();
        for (var round = 0; round < 20; round++)
        {
            var labels = Enumerable.Range(0, 10).Select(n => Labels.Of((Labels.MetricName, $"m{round}_{n}"), ("a", $"v{(round * 7) + n}"))).ToList();
            using var appender = head.Appender();
            foreach (var one in labels)
            {
                appender.Append(appender.GetOrAdd(one), (round * 1_000) + 1, round);
                appender.Commit();
            }

            var references = ReadAll(tap).Select(commit => commit.Samples.Span[0].Series).ToList();
            Assert.Equal(labels, references.Select(reference => LabelsOf(tap, reference, symbols)));
            await head.CutAsync(force: true, default);
            Assert.All(references, reference => Assert.False(tap.TryReadLabels(reference, symbols, [])));
        }
    }

    [Fact]
    public async Task What_a_slow_reader_loses_is_told_where_it_is_missing()
    {
        var head = await _test.OpenAsync();
        using var tap = head.Tap(maxBytes: 420);
        for (var i = 1; i <= 10; i++)
        {
            TestHead.Append(head, "m", (i, i));
        }

        var read = ReadAll(tap);
        Assert.Equal([1, 2, 3], read.Take(3).Select(c => c.Samples.Span[0].Timestamp));
        Assert.Equal([null, null, null, new TapGap(7, 7, new TimeRange(4, 10))], read.Select(c => c.Gap));
        for (var i = 11; i <= 20; i++)
        {
            TestHead.Append(head, "m", (i, i));
        }

        Assert.True(tap.TryRead(out var first));
        Assert.Equal((11, null), (first.Samples.Span[0].Timestamp, first.Gap));
        TestHead.Append(head, "m", (21, 21));
        Assert.Equal(new TapGap(7, 7, new TimeRange(14, 20)), ReadAll(tap)[^1].Gap);
    }

    [Fact]
    public async Task The_source_exemplars_and_metadata_are_carried_through()
    {
        var head = await _test.OpenAsync();
        using var tap = head.Tap(long.MaxValue);
        using var appender = head.Appender();
        appender.Source = new AppendSource(AppendOrigin.Scrape, "job");
        var series = appender.GetOrAdd(Labels.Of((Labels.MetricName, "m")));
        appender.Append(series, 5, 1);
        appender.Append(series, new Exemplar(Labels.Of(("trace", "t")), 2, 4));
        appender.Describe(series, new SeriesMetadata(MetricType.Counter, "s", "help"));
        var waiting = tap.WaitToReadAsync(default);
        Assert.False(waiting.IsCompleted);
        appender.Commit();
        await waiting;
        var commit = Assert.Single(ReadAll(tap));
        Assert.Equal(appender.Source, commit.Source);
        Assert.Equal([(series, new Exemplar(Labels.Of(("trace", "t")), 2, 4))], commit.Exemplars);
        Assert.Equal([(series, new SeriesMetadata(MetricType.Counter, "s", "help"))], commit.Metadata);
        appender.Rollback();
        appender.Append(series, 6, 1);
        appender.Rollback();
        Assert.Empty(ReadAll(tap));
    }

    [Fact]
    public async Task Commits_of_many_appenders_come_in_the_order_in_which_they_were_logged()
    {
        var head = await _test.OpenAsync(range: 100_000_000);
        var tap = head.Tap(long.MaxValue);
        await Task.WhenAll(Enumerable.Range(0, 4).Select(n => Task.Run(() =>
        {
            using var appender = head.Appender();
            for (var i = 1; i <= 300; i++)
            {
                appender.Append(appender.GetOrAdd(Labels.Of((Labels.MetricName, "m" + n.ToString(CultureInfo.InvariantCulture)))), i, i);
                appender.Append(appender.GetOrAdd(Labels.Of((Labels.MetricName, "all"))), (i * 4) + n, n);
                appender.Commit();
            }
        })));
        tap.Dispose();
        TestHead.Append(head, "z_late", (1, 1));
        var other = await _other.OpenAsync(range: 100_000_000);
        Replay(tap, other, ReadAll(tap));
        Assert.Equal(await TestHead.DumpAsync(head), await TestHead.DumpAsync(other) + "\nz_late: 1=1");
    }
}
