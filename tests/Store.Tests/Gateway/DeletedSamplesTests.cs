using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Store.Compact;
using Observe.Store.Gateway;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Prometheus;
using Xunit;
using Histogram = Observe.Tsdb.Histograms.Histogram;
using MatchType = Observe.Tsdb.Model.MatchType;

namespace Observe.Store.Tests.Gateway;

/// <summary>Blocks with tombstones, by every way that a block is read, held against a plain model of them.</summary>
public sealed class DeletedSamplesTests : IAsyncDisposable
{
    const long Interval = 15_000;
    const int Rounds = 6;

    static readonly Matcher[] s_all = [];
    static readonly Matcher[] s_metrics = [new(MatchType.Regex, "__name__", "m.*")];

    readonly string _folder = Checkout.NewFolder("deleted");
    int _round;

    public static TheoryData<int> Seeds => [1, 2, 3, 4];

    public ValueTask DisposeAsync()
    {
        Directory.Delete(_folder, recursive: true);
        return ValueTask.CompletedTask;
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public async Task What_is_deleted_of_a_block_is_there_for_no_reader(int seed)
    {
        var random = new Random(seed);
        for (_round = 0; _round < Rounds; _round++)
        {
            var blocks = await WriteAsync(random);
            var folder = Path.Combine(_folder, $"{_round}", "blocks");
            var whole = Model.Union(blocks.ConvertAll(b => b.Model));
            foreach (var (directory, model) in blocks)
            {
                using var block = Block.Open(directory);
                await CheckAsync(block, model, random);
                foreach (var range in Ranges(random))
                {
                    Check(model, range, block.Select(new QueryContext().Select(new SelectHints { Range = range }, s_all)));
                }
            }

            using (var local = new LocalBlocks(folder, NullLogger.Instance))
            {
                await CheckAsync(local, whole, random);
            }

            await using var memory = new MemoryBucket(TimeProvider.System);
            await using var files = new FileBucket(Path.Combine(_folder, $"{_round}", "bucket"), TimeProvider.System);
            foreach (var bucket in new IBucket[] { memory, files })
            {
                foreach (var (directory, _) in blocks)
                {
                    await new BucketBlocks(bucket).UploadAsync(directory, DateTimeOffset.UnixEpoch, default);
                }

                // The second one finds local copies of what the first has read.
                for (var opened = 0; opened < 2; opened++)
                {
                    await using var store = new BucketStore(
                        bucket,
                        new BucketStoreOptions { Directory = Path.Combine(_folder, $"{_round}", "cache"), Time = TimeProvider.System },
                        new BucketStoreMetrics(Metrics.NewCustomRegistry()),
                        NullLogger.Instance);
                    await store.SyncAsync(default);
                    await CheckAsync(store, whole.With("cluster", "c"), random);
                }
            }

            await CheckMergeAsync(memory, blocks.ConvertAll(b => b.Directory), whole);
        }
    }

    [Fact]
    public async Task Windows_are_deleted_of_downsampled_data_by_their_timestamps()
    {
        // A window ends with a sample, so that none is read at another time than it has.
        var samples = Enumerable.Range(0, 20_000).Select(i => ((i * 60_000L) + 59_999, i * 3.0)).ToArray();
        await TestBlocks.WriteAsync(_folder, TestBlocks.Id(1), [new TestSeries(Labels.Of(("__name__", "m")), samples)]);
        using var raw = Block.Open(Path.Combine(_folder, TestBlocks.Id(1).ToString()));
        Downsampler.Run(raw, _folder, TestBlocks.Id(2), Downsampler.FiveMinutes, default);
        var directory = Path.Combine(_folder, TestBlocks.Id(2).ToString());
        using var whole = Block.Open(directory);
        var random = new Random(5);
        for (var round = 0; round < 20; round++)
        {
            TimeRange[] deleted = [.. Spans(random, 0, 20_000 * 60_000L, 60_000)];
            TestBlocks.WriteTombstones(directory, _ => deleted);
            using var block = Block.Open(directory);
            foreach (var aggregate in Enum.GetValues<Aggregate>())
            {
                var hints = new SelectHints { Range = TimeRange.All, Aggregate = aggregate };
                var expected = TestBlocks.Read(whole, hints).SelectMany(s => s.Samples).Where(s => !deleted.Any(d => d.Contains(s.Time)));
                Assert.Equal(expected, TestBlocks.Read(block, hints).SelectMany(s => s.Samples));
            }

            // Coarser blocks are made of what is left, aggregates of aggregates.
            var id = TestBlocks.Id(3 + round);
            if (Downsampler.Run(block, _folder, id, Downsampler.OneHour, default) is not null)
            {
                using var coarse = Block.Open(Path.Combine(_folder, id.ToString()));
                var counts = new SelectHints { Range = TimeRange.All, Aggregate = Aggregate.Count };
                Assert.Equal(Sum(TestBlocks.Read(block, counts)), Sum(TestBlocks.Read(coarse, counts)));
            }
        }

        static double Sum(List<(Labels Labels, List<(long Time, double Value)> Samples)> read) => read.Sum(s => s.Samples.Sum(x => x.Value));
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public async Task A_block_whose_tombstones_are_damaged_or_too_large_is_left_out_and_named(bool local, bool large)
    {
        await using var fixture = new StoreFixture(local);
        await fixture.AddAsync(1, [("cluster", "a")], new TestSeries(Labels.Of(("__name__", "m")), (1, 1)));
        await fixture.AddAsync(2, [("cluster", "b")], new TestSeries(Labels.Of(("__name__", "m")), (1, 1)));
        var file = large ? new byte[Tombstones.MaxSize + 1] : TestBlocks.Tombstones((2, 1, 1));
        file[^1] ^= 1;
        await fixture.Served.PutBytesAsync(BucketBlocks.Key(TestBlocks.Id(1), Tombstones.FileName), file, PutCondition.None, default);
        await using var store = fixture.Open();
        await store.SyncAsync(default);
        var query = new QueryContext();
        Assert.Equal("b", Assert.Single(await StoreFixture.ReadAsync(store, query: query)).Labels.Get("cluster"));
        var missing = Assert.Single(query.Coverage.Missing);
        Assert.Equal(MissingPart.Block, missing.Part);
        Assert.EndsWith(TestBlocks.Id(1).ToString(), missing.Name, StringComparison.Ordinal);
        Assert.Contains(Tombstones.FileName, missing.Reason, StringComparison.Ordinal);
        Assert.Equal(Labels.Of(("cluster", "a")), Assert.Single(missing.LabelSets));
    }

    [Fact]
    public async Task A_local_copy_of_tombstones_that_is_damaged_is_fetched_again()
    {
        await using var fixture = new StoreFixture();
        TestSeries[] series = [new(Labels.Of(("__name__", "m")), [.. Enumerable.Range(0, 200).Select(i => ((long)i, (double)i))])];
        await TestBlocks.WriteAsync(fixture.Folder, TestBlocks.Id(1), series, TestBlocks.Meta(series, ("cluster", "a")));
        var directory = Path.Combine(fixture.Folder, TestBlocks.Id(1).ToString());
        TestBlocks.WriteTombstones(directory, _ => [new TimeRange(10, 150)]);
        await fixture.Blocks.UploadAsync(directory, DateTimeOffset.UnixEpoch, default);
        var copy = Path.Combine(fixture.Folder, "cache", TestBlocks.Id(1).ToString(), Tombstones.FileName);
        foreach (var damage in new Action[] { () => { }, () => File.WriteAllBytes(copy, []), () => File.WriteAllBytes(copy, new byte[20]) })
        {
            damage();
            await using var store = new BucketStore(
                fixture.Bucket,
                new BucketStoreOptions { Directory = Path.Combine(fixture.Folder, "cache"), Time = TimeProvider.System },
                new BucketStoreMetrics(Metrics.NewCustomRegistry()),
                NullLogger.Instance);
            await store.SyncAsync(default);
            Assert.Equal(59, Assert.Single(await StoreFixture.ReadAsync(store)).Samples.Count);
            Assert.Equal(File.ReadAllBytes(Path.Combine(directory, Tombstones.FileName)), File.ReadAllBytes(copy));
        }
    }

    async Task<List<(string Directory, Model Model)>> WriteAsync(Random random)
    {
        var blocks = new List<(string, Model)>();
        for (var b = 0; b < random.Next(1, 4); b++)
        {
            var series = new List<TestSeries>();
            foreach (var number in Enumerable.Range(0, 7).Where(_ => random.Next(3) > 0).DefaultIfEmpty(0))
            {
                // Blocks overlap, and where two have a series at one time its sample is the same.
                var (from, count) = ((b * 200) + random.Next(100), random.Next(1, 400));
                var times = Enumerable.Range(from, count).Select(i => i * Interval).ToList();
                var labels = Labels.Of(("__name__", $"m{number % 3}"), ("i", $"{number}"), ($"only{number}", "x"), ("z", $"{number % 2}"));
                series.Add(number % 3 == 2
                    ? new TestSeries(labels) { Histograms = [.. times.Select(t => (t, HistogramAt(t)))] }
                    : new TestSeries(labels, [.. times.Select(t => (t, (double)((t * 31 / Interval) + number)))]));
            }

            var parent = Path.Combine(_folder, $"{_round}", "blocks");
            await TestBlocks.WriteAsync(parent, TestBlocks.Id(b + 1), series, TestBlocks.Meta(series, ("cluster", "c")));
            var directory = Path.Combine(parent, TestBlocks.Id(b + 1).ToString());
            var deleted = new Dictionary<Labels, List<TimeRange>>();
            foreach (var one in series.Where(_ => random.Next(3) > 0))
            {
                var times = Times(one);
                deleted[one.Labels] = Spans(random, times[0], times[^1], Interval);
            }

            if (deleted.Count > 0)
            {
                TestBlocks.WriteTombstones(directory, labels => deleted.GetValueOrDefault(labels, []));
            }

            blocks.Add((directory, Model.Of(series, deleted)));
        }

        return blocks;
    }

    static List<long> Times(TestSeries series) => [.. series.Samples.Select(s => s.Time), .. series.Histograms.Select(h => h.Time)];

    /// <summary>The whole series, whole chunks, parts of them, single samples, spans that touch or overlap, and some that meet nothing.</summary>
    static List<TimeRange> Spans(Random random, long first, long last, long interval)
    {
        var spans = new List<TimeRange>();
        switch (random.Next(6))
        {
            case 0:
                spans.Add(new TimeRange(first, last));
                break;
            case 1:
                var middle = random.NextInt64(first, last + 1);
                spans.AddRange([new TimeRange(middle + 1, long.MaxValue), new TimeRange(long.MinValue, middle)]);
                break;
            case 2:
                spans.Add(new TimeRange(first + (120 * interval), first + (239 * interval)));
                break;
            default:
                for (var i = random.Next(1, 6); i > 0; i--)
                {
                    var from = random.NextInt64(first - (20 * interval), last + 1);
                    spans.Add(new TimeRange(from, random.Next(4) == 0 ? from : random.NextInt64(from, last + (20 * interval))));
                    if (random.Next(3) == 0)
                    {
                        spans.Add(new TimeRange(spans[^1].MaxTime + random.Next(2), spans[^1].MaxTime + (random.Next(1, 40) * interval)));
                    }
                }

                break;
        }

        return spans;
    }

    static Histogram HistogramAt(long time)
    {
        // It is reset now and then, so that a gap may hide a reset.
        var count = (time / Interval % 90) + 1;
        return new Histogram { IsInteger = true, Count = count, Sum = count, PositiveSpans = [new(0, 1)], PositiveBuckets = [count] };
    }

    static TimeRange[] Ranges(Random random)
    {
        var (a, b) = (random.Next(900) * Interval, random.Next(900) * Interval);
        return [TimeRange.All, new TimeRange(Math.Min(a, b), Math.Max(a, b)), new TimeRange(a, a)];
    }

    static async Task CheckAsync(IQuerier querier, Model model, Random random)
    {
        foreach (var range in Ranges(random))
        {
            var query = new QueryContext();
            var series = new List<Series>();
            await using var all = querier.SelectAsync(query.Select(new SelectHints { Range = range }, s_all)).GetAsyncEnumerator();
            while (await all.MoveNextAsync())
            {
                series.Add(all.Current);
            }

            Check(model, range, series);
            Assert.True(query.Coverage.IsEmpty);
        }

        foreach (var matchers in new[] { s_all, s_metrics })
        {
            var selection = new QueryContext().Select(new SelectHints { Range = TimeRange.All }, matchers);
            Between(model, labels => labels.ToDictionary().Keys, await querier.LabelNamesAsync(selection));
            foreach (var name in new[] { "__name__", "i", "z", "only3", "cluster" })
            {
                Between(model, labels => labels.Has(name) ? [labels.Get(name)] : [], await querier.LabelValuesAsync(name, selection));
            }
        }
    }

    static void Between(Model model, Func<Labels, IEnumerable<string>> of, IReadOnlyList<string> answer)
    {
        Assert.Subset(answer.ToHashSet(), model.Left.Where(s => s.Value.Count > 0).SelectMany(s => of(s.Key)).ToHashSet());
        Assert.Subset(model.Left.Keys.SelectMany(of).ToHashSet(), answer.ToHashSet());
    }

    static void Check(Model model, TimeRange range, IEnumerable<Series> answer)
    {
        var seen = new List<Labels>();
        foreach (var series in answer)
        {
            seen.Add(series.Labels.Copy());
            Assert.Contains(series.Labels, model.Left.Keys);
            var expected = model.Left[series.Labels].Where(s => range.Contains(s.Key)).Select(s => (s.Key, s.Value)).ToList();
            using var samples = series.Samples();
            Assert.Equal(expected, Read(samples));
            if (series.Chunks() is { } chunks)
            {
                using var decoded = new ChunkSeriesIterator([.. chunks.OrderBy(c => c.MinTime)], Aggregate.Raw, range, "chunks");
                Assert.Equal(expected, Read(decoded));
            }
        }

        Assert.Equal(seen.Order(), seen);
        Assert.Subset(seen.ToHashSet(), model.Left.Where(s => s.Value.Keys.Any(range.Contains)).Select(s => s.Key).ToHashSet());
    }

    static List<(long Time, string Value)> Read(ISampleIterator samples) => [.. Samples.All(samples).Select(s =>
        (s.Timestamp, s.Histogram is { } histogram ? Model.Text(histogram) : s.Value.ToString(CultureInfo.InvariantCulture)))];

    async Task CheckMergeAsync(IBucket bucket, List<string> directories, Model model)
    {
        var work = Path.Combine(_folder, $"{_round}", "work");
        var sources = new List<Block>();
        foreach (var directory in directories)
        {
            var id = BlockId.Parse(Path.GetFileName(directory));
            await new BucketBlocks(bucket).DownloadAsync(id, work, default);
            sources.Add(Block.Open(Path.Combine(work, id.ToString())));
        }

        var made = BlockId.New(DateTimeOffset.UnixEpoch, new Random(1));
        using (var writer = BlockWriter.Create(work, made))
        {
            foreach (var (labels, chunks) in new BlockMerge([.. sources.Select(source => (source, Labels.Empty))]).Series(default))
            {
                writer.Add(labels, chunks);
            }

            var range = new BlockMeta { Id = default, MinTime = sources.Min(s => s.Meta.MinTime), MaxTime = sources.Max(s => s.Meta.MaxTime) };
            if (writer.Finish(range) is null)
            {
                Assert.All(model.Left.Values, Assert.Empty);
                return;
            }
        }

        sources.ForEach(source => source.Dispose());
        Assert.Empty(BlockVerifier.Verify(Path.Combine(work, made.ToString()), decode: true, default));
        using var block = Block.Open(Path.Combine(work, made.ToString()));
        Check(model, TimeRange.All, block.Select(new QueryContext().Select(new SelectHints { Range = TimeRange.All }, s_all)));
    }

    /// <param name="Left">
    /// What is left of each series that may be named: a series that one span covers from its first sample to its last is not there.
    /// </param>
    sealed record Model(Dictionary<Labels, SortedDictionary<long, string>> Left)
    {
        public static string Text(Histogram histogram) => $"{histogram.Count} {histogram.Sum} {string.Join(',', histogram.PositiveBuckets)}";

        public static Model Of(List<TestSeries> series, Dictionary<Labels, List<TimeRange>> deleted)
        {
            var left = new Dictionary<Labels, SortedDictionary<long, string>>();
            foreach (var one in series)
            {
                var spans = deleted.GetValueOrDefault(one.Labels, []);
                var all = one.Samples.Select(s => (s.Time, Text: s.Value.ToString(CultureInfo.InvariantCulture)))
                    .Concat(one.Histograms.Select(h => (h.Time, Text: Text(h.Value)))).ToList();

                // Millisecond by millisecond from one end of a span to the next.
                var covered = all[0].Time;
                while (spans.Any(s => s.Contains(covered)) && covered <= all[^1].Time)
                {
                    covered = Math.Min(spans.Where(s => s.Contains(covered)).Max(s => s.MaxTime), long.MaxValue - 1) + 1;
                }

                if (covered <= all[^1].Time)
                {
                    left[one.Labels] = new SortedDictionary<long, string>(
                        all.Where(s => !spans.Any(span => span.Contains(s.Time))).ToDictionary(s => s.Time, s => s.Text));
                }
            }

            return new Model(left);
        }

        public static Model Union(List<Model> models)
        {
            var union = new Dictionary<Labels, SortedDictionary<long, string>>();
            foreach (var (labels, samples) in models.SelectMany(model => model.Left))
            {
                var all = union.TryGetValue(labels, out var known) ? known : union[labels] = [];
                foreach (var (time, value) in samples)
                {
                    all[time] = value;
                }
            }

            return new Model(union);
        }

        public Model With(string name, string value) =>
            new(Left.ToDictionary(s => new LabelsBuilder(s.Key).Set(name, value).Build(), s => s.Value));
    }
}
