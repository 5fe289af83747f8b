using Observe.Tsdb.Bytes;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;
using MatchType = Observe.Tsdb.Model.MatchType;

namespace Observe.Testkit;

/// <summary>What every querier has to do. A test class derives from it and says how its querier comes to hold the given series.</summary>
public abstract class QuerierSuite
{
    protected static readonly TestSeries[] Fixture =
    [
        Floats(Labels.Of(("__name__", "cpu"), ("cluster", "dev"), ("mode", "idle")), (1_000, 1), (2_000, 2), (3_000, 3)),
        Floats(Labels.Of(("__name__", "cpu"), ("cluster", "dev"), ("mode", "user")), (1_000, 10), (2_000, 20), (3_000, 30)),
        Floats(Labels.Of(("__name__", "cpu"), ("cluster", "prod"), ("mode", "idle")), (1_500, 0.5), (2_500, -0.25)),
        Floats(Labels.Of(("__name__", "up"), ("cluster", "dev")), (1_000, 1), (2_000, 0), (3_000, 1)),
        Floats(Labels.Of(("__name__", "up"), ("cluster", "prod"), ("replica", "a")), (2_000, 1)),
        Floats(Labels.Of(("__name__", "späť"), ("http.status", "ok\n\"quoted\"")), (2_000, double.PositiveInfinity)),
    ];

    /// <summary>A querier over these series and nothing else; disposed after the test if it is disposable. Labels of the series are whole.</summary>
    protected abstract Task<IQuerier> CreateAsync(IReadOnlyList<TestSeries> series);

    /// <summary>Whether the source keeps native histograms.</summary>
    protected virtual bool HasHistograms => true;

    [Fact]
    public Task Series_come_sorted_by_labels_each_once() => With(Fixture, async querier =>
    {
        var selected = await Select(querier, Hints(), []);
        Assert.Equal(Fixture.OrderBy(s => s.Labels).Select(s => s.Labels.ToString()), selected.Select(s => s.Labels.ToString()));
    });

    [Theory]
    [InlineData(MatchType.Equal, "mode", "idle", 2)]
    [InlineData(MatchType.Equal, "mode", "none", 0)]
    [InlineData(MatchType.Equal, "mode", "", 3)]
    [InlineData(MatchType.NotEqual, "mode", "idle", 4)]
    [InlineData(MatchType.NotEqual, "mode", "", 3)]
    [InlineData(MatchType.Regex, "cluster", "dev|prod", 5)]
    [InlineData(MatchType.Regex, "cluster", "de", 0)]
    [InlineData(MatchType.Regex, "cluster", "d.*", 3)]
    [InlineData(MatchType.Regex, "cluster", ".*", 6)]
    [InlineData(MatchType.Regex, "cluster", ".+", 5)]
    [InlineData(MatchType.Regex, "mode", "|user", 4)]
    [InlineData(MatchType.NotRegex, "mode", "idle|user", 3)]
    [InlineData(MatchType.NotRegex, "mode", "", 3)]
    [InlineData(MatchType.NotRegex, "mode", ".*", 0)]
    [InlineData(MatchType.NotRegex, "mode", ".+", 3)]
    [InlineData(MatchType.Equal, "absent", "", 6)]
    [InlineData(MatchType.Equal, "absent", "x", 0)]
    [InlineData(MatchType.NotEqual, "absent", "x", 6)]
    [InlineData(MatchType.Equal, "__name__", "späť", 1)]
    [InlineData(MatchType.Equal, "http.status", "ok\n\"quoted\"", 1)]
    [InlineData(MatchType.Regex, "http.status", "ok.*", 1)]
    public Task A_matcher_takes_what_it_matches_and_what_lacks_the_label_when_it_matches_the_empty_value(
        MatchType type, string name, string value, int expected) => With(Fixture, async querier =>
    {
        Matcher[] matchers = [new(MatchType.NotEqual, "__name__", ""), new(type, name, value)];
        var wanted = Fixture.Where(s => Matcher.All(matchers, s.Labels)).Select(s => s.Labels).Order().ToList();
        Assert.Equal(expected, wanted.Count);
        Assert.Equal(wanted, (await Select(querier, Hints(), matchers)).Select(s => s.Labels));
    });

    [Fact]
    public Task All_matchers_have_to_match() => With(Fixture, async querier =>
    {
        Matcher[] matchers = [new(MatchType.Equal, "__name__", "cpu"), new(MatchType.NotEqual, "cluster", "dev"), new(MatchType.Regex, "mode", "i.*")];
        Assert.Equal(["{__name__=\"cpu\", cluster=\"prod\", mode=\"idle\"}"], (await Select(querier, Hints(), matchers)).Select(s => s.Labels.ToString()));
    });

    [Theory]
    [InlineData(0, 10_000, "1000:1 2000:2 3000:3")]
    [InlineData(1_000, 3_000, "1000:1 2000:2 3000:3")]
    [InlineData(1_001, 2_999, "2000:2")]
    [InlineData(2_000, 2_000, "2000:2")]
    [InlineData(long.MinValue, 1_000, "1000:1")]
    [InlineData(3_000, long.MaxValue, "3000:3")]
    [InlineData(2_001, 2_999, "")]
    [InlineData(4_000, 5_000, "")]
    public Task Samples_are_those_of_the_range_with_both_ends(long min, long max, string expected) => With(Fixture, async querier =>
    {
        Matcher[] matchers = [new(MatchType.Equal, "__name__", "cpu"), new(MatchType.Equal, "cluster", "dev"), new(MatchType.Equal, "mode", "idle")];
        var selected = await Select(querier, Hints() with { Range = new TimeRange(min, max) }, matchers);
        Assert.True(selected.Count <= 1);
        Assert.Equal(expected, selected.Count == 0 ? "" : selected[0].Text);
    });

    [Fact]
    public Task Every_bit_of_a_value_is_kept() => With(
        [
            Floats(Labels.Of(("__name__", "odd")), (1, StaleMarker.Value), (2, StaleMarker.NormalNaN), (3, double.NegativeInfinity), (4, -0.0), (5, double.Epsilon)),
        ],
        async querier =>
        {
            var samples = (await Select(querier, Hints(), [new(MatchType.Equal, "__name__", "odd")])).Single().Floats;
            Assert.Equal(
                [StaleMarker.Bits, StaleMarker.NormalNaNBits, 0xfff0000000000000, 0x8000000000000000, 1],
                samples.Select(s => BitConverter.DoubleToUInt64Bits(s.Value)));
        });

    [Fact]
    public Task Long_series_come_whole_from_any_start()
    {
        var samples = Enumerable.Range(0, 2_000).Select(i => ((long)i * 15_000, (double)(i * i % 977))).ToArray();
        return With([Floats(Labels.Of(("__name__", "long")), samples)], async querier =>
        {
            foreach (var (from, to) in ((long, long)[])[(0, long.MaxValue), (15_000L * 777, 15_000L * 1_234), (15_000L * 1_999, long.MaxValue)])
            {
                var selected = await Select(querier, Hints() with { Range = new TimeRange(from, to) }, [new(MatchType.Equal, "__name__", "long")]);
                Assert.Equal(samples.Where(s => s.Item1 >= from && s.Item1 <= to), selected.Single().Floats);
            }
        });
    }

    [Fact]
    public Task Seek_skips_to_the_first_sample_at_or_after_a_time_and_never_goes_back()
    {
        var samples = Enumerable.Range(0, 1_000).Select(i => ((long)i * 1_000, (double)i)).ToArray();
        return With([Floats(Labels.Of(("__name__", "long")), samples)], async querier =>
        {
            await using var all = querier.SelectAsync(new QueryContext().Select(Hints(), [new(MatchType.Equal, "__name__", "long")])).GetAsyncEnumerator();
            Assert.True(await all.MoveNextAsync());
            using var iterator = all.Current.Samples();
            var batch = new SampleBatch(16);
            foreach (var (to, expected) in ((long, long)[])[(500, 1_000), (400_001, 401_000), (10, 417_000), (998_000, 998_000)])
            {
                iterator.Seek(to);
                Assert.True(iterator.Read(batch));
                Assert.Equal(expected, batch.Timestamps[0]);
            }

            iterator.Seek(1_000_000);
            Assert.False(iterator.Read(batch));
        });
    }

    [Fact]
    public Task Series_stay_readable_until_the_enumeration_ends_and_iterators_do_not_disturb_one_another() => With(Fixture, async querier =>
    {
        var kept = new List<Series>();
        await using var all = querier.SelectAsync(new QueryContext().Select(Hints(), [new(MatchType.Equal, "__name__", "cpu")])).GetAsyncEnumerator();
        while (await all.MoveNextAsync())
        {
            kept.Add(all.Current);
        }

        var iterators = kept.Select(s => s.Samples()).ToList();
        var (first, again) = (new SampleBatch(1), new SampleBatch(1));
        foreach (var (series, iterator) in kept.Zip(iterators))
        {
            using var second = series.Samples();
            Assert.True(iterator.Read(first) && second.Read(again));
            Assert.Equal((first.Timestamps[0], first.Values[0]), (again.Timestamps[0], again.Values[0]));
        }

        Assert.All(iterators, iterator => Assert.True(iterator.Read(first)));
        iterators.ForEach(iterator => iterator.Dispose());
    });

    [Fact]
    public Task Histograms_come_as_they_were()
    {
        var histogram = new Histogram
        {
            IsInteger = true,
            Schema = 1,
            ZeroThreshold = 0.001,
            ZeroCount = 2,
            Count = 12,
            Sum = 18.4,
            PositiveSpans = [new(0, 2), new(1, 2)],
            PositiveBuckets = [1, 2, 1, 1],
            NegativeSpans = [new(0, 2), new(1, 1)],
            NegativeBuckets = [1, 2, 2],
        };
        var later = histogram.Copy();
        (later.Count, later.PositiveBuckets[3]) = (13, 2);
        var labels = Labels.Of(("__name__", "latency"));
        return !HasHistograms ? Task.CompletedTask : With([new TestSeries(labels) { Histograms = [(1_000, histogram), (2_000, later)] }], async querier =>
        {
            await using var all = querier.SelectAsync(new QueryContext().Select(Hints(), [new(MatchType.Equal, "__name__", "latency")])).GetAsyncEnumerator();
            Assert.True(await all.MoveNextAsync());
            using var iterator = all.Current.Samples();
            var (batch, read) = (new SampleBatch(), new List<(long, Histogram)>());
            while (iterator.Read(batch))
            {
                Assert.Equal(SampleKind.Histogram, batch.Kind);
                read.AddRange(Enumerable.Range(0, batch.Count).Select(i => (batch.Timestamps[i], batch.Histograms[i])));
            }

            Assert.Equal([1_000, 2_000], read.Select(s => s.Item1));
            foreach (var ((_, got), wanted) in read.Zip([histogram, later]))
            {
                Assert.Equal((wanted.Schema, wanted.Count, wanted.Sum, wanted.ZeroCount), (got.Schema, got.Count, got.Sum, got.ZeroCount));
                Assert.Equal((wanted.ZeroThreshold, wanted.IsInteger), (got.ZeroThreshold, got.IsInteger));
                Assert.Equal(wanted.PositiveSpans, got.PositiveSpans);
                Assert.Equal(wanted.PositiveBuckets, got.PositiveBuckets);
                Assert.Equal(wanted.NegativeSpans, got.NegativeSpans);
                Assert.Equal(wanted.NegativeBuckets, got.NegativeBuckets);
            }
        });
    }

    [Fact]
    public Task A_limit_of_series_is_kept_and_told() => With(Fixture, async querier =>
    {
        var query = new QueryContext();
        var all = Fixture.Select(s => s.Labels).Order().ToList();
        Assert.Equal(all[..2], (await Select(querier, Hints() with { Limit = 2, SkipSamples = true }, [], query)).Select(s => s.Labels));
        Assert.Equal([CoverageText.Truncated], query.Coverage.Warnings());

        query = new QueryContext();
        Assert.Equal(all.Count, (await Select(querier, Hints() with { Limit = all.Count }, [], query)).Count);
        Assert.Empty(query.Coverage.Warnings());
    });

    [Fact]
    public Task Label_names_come_sorted_by_bytes() => With(Fixture, async querier =>
    {
        Assert.Equal(["__name__", "cluster", "http.status", "mode", "replica"], await querier.LabelNamesAsync(new QueryContext().Select(Hints(), [])));
        Matcher[] matchers = [new(MatchType.Equal, "__name__", "up")];
        Assert.Equal(["__name__", "cluster", "replica"], await querier.LabelNamesAsync(new QueryContext().Select(Hints(), matchers)));
        matchers = [new(MatchType.Equal, "__name__", "up"), new(MatchType.Equal, "replica", "")];
        Assert.Equal(["__name__", "cluster"], await querier.LabelNamesAsync(new QueryContext().Select(Hints(), matchers)));
        matchers = [new(MatchType.Equal, "__name__", "none")];
        Assert.Empty(await querier.LabelNamesAsync(new QueryContext().Select(Hints(), matchers)));
    });

    [Fact]
    public Task Label_values_come_sorted_by_bytes() => With(
        [.. Fixture, .. new[] { "\uff5e", "\U0001f600", "Z", "a" }.Select(v => Floats(Labels.Of(("__name__", "order"), ("order", v)), (1_000, 1)))],
        async querier =>
        {
            Assert.Equal(["cpu", "order", "späť", "up"], await querier.LabelValuesAsync("__name__", new QueryContext().Select(Hints(), [])));
            Assert.Equal(["Z", "a", "\uff5e", "\U0001f600"], await querier.LabelValuesAsync("order", new QueryContext().Select(Hints(), [])));
            Assert.Equal(["dev", "prod"], await querier.LabelValuesAsync("cluster", new QueryContext().Select(Hints(), [])));
            Assert.Empty(await querier.LabelValuesAsync("absent", new QueryContext().Select(Hints(), [])));
            Matcher[] matchers = [new(MatchType.Equal, "mode", "user")];
            Assert.Equal(["dev"], await querier.LabelValuesAsync("cluster", new QueryContext().Select(Hints(), matchers)));
        });

    [Fact]
    public Task A_limit_of_names_and_values_is_kept_and_told() => With(Fixture, async querier =>
    {
        var query = new QueryContext();
        Assert.Equal(["cpu", "späť"], await querier.LabelValuesAsync("__name__", query.Select(Hints() with { Limit = 2 }, [])));
        Assert.Equal([CoverageText.Truncated], query.Coverage.Warnings());
        query = new QueryContext();
        Assert.Equal(["__name__", "cluster"], await querier.LabelNamesAsync(query.Select(Hints() with { Limit = 2 }, [])));
        Assert.Equal([CoverageText.Truncated], query.Coverage.Warnings());
    });

    [Fact]
    public Task What_the_query_enforces_holds_for_series_names_and_values_whatever_is_asked_for() => With(Fixture, async querier =>
    {
        var query = new QueryContext { EnforcedMatchers = [new(MatchType.Equal, "cluster", "dev"), new(MatchType.NotEqual, "mode", "user")] };
        foreach (var matchers in (Matcher[][])[[], [new(MatchType.Regex, "__name__", ".*")], [new(MatchType.Regex, "cluster", "dev|prod")]])
        {
            var seen = await Select(querier, Hints(), matchers, query);
            Assert.Equal(
                ["{__name__=\"cpu\", cluster=\"dev\", mode=\"idle\"}", "{__name__=\"up\", cluster=\"dev\"}"], seen.Select(s => s.Labels.ToString()));
            Assert.Equal(seen.Select(s => s.Labels), (await Select(querier, Hints() with { SkipSamples = true }, matchers, query)).Select(s => s.Labels));
            Assert.Equal(["__name__", "cluster", "mode"], await querier.LabelNamesAsync(query.Select(Hints(), matchers)));
            Assert.Equal(["dev"], await querier.LabelValuesAsync("cluster", query.Select(Hints(), matchers)));
            Assert.Equal(["idle"], await querier.LabelValuesAsync("mode", query.Select(Hints(), matchers)));
            Assert.Empty(await querier.LabelValuesAsync("replica", query.Select(Hints(), matchers)));
        }

        Matcher[] others = [new(MatchType.Equal, "cluster", "prod")];
        Assert.Empty(await Select(querier, Hints(), others, query));
        Assert.Empty(await querier.LabelNamesAsync(query.Select(Hints(), others)));
        Assert.Empty(await querier.LabelValuesAsync("__name__", query.Select(Hints(), others)));
    });

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public Task Names_values_and_series_are_those_of_a_walk_over_all_series_whatever_is_asked_for(int seed)
    {
        var random = new Random(seed);
        TestSeries[] all = [.. RandomLabels(random, 700).Select(labels => Floats(labels, (1_000, 1), (2_000, 2), (3_000, 3)))];
        var walk = new MemoryQuerier(all);
        return With(all, async querier =>
        {
            for (var search = 0; search < 80; search++)
            {
                var (hints, matchers) = (RandomHints(random), RandomMatchers(random));
                var (name, what) = (RandomName(random), $"{{{string.Join(", ", matchers.Select(m => m.ToString()))}}} {hints.Range} limit {hints.Limit}");
                await SameAsync($"names {what}", hints, matchers, (one, selection) => one.LabelNamesAsync(selection));
                await SameAsync($"values of {name} {what}", hints, matchers, (one, selection) => one.LabelValuesAsync(name, selection));

                var (matching, query) = (await Select(walk, hints with { Limit = 0 }, matchers), new QueryContext());
                var found = (await Select(querier, hints, matchers, query)).ConvertAll(s => s.Labels);
                var isCut = hints.Limit > 0 && matching.Count > hints.Limit;
                Assert.Equal(isCut ? [CoverageText.Truncated] : [], query.Coverage.Warnings());
                Assert.Equal(isCut ? hints.Limit : matching.Count, found.Count);
                Assert.Equal(found.Distinct().Order(), found);
                Assert.Empty(found.Except(matching.Select(s => s.Labels)));
            }

            async Task SameAsync(
                string what, SelectHints hints, Matcher[] matchers, Func<IQuerier, Selection, ValueTask<IReadOnlyList<string>>> ask)
            {
                var (expectedOf, query) = (new QueryContext(), new QueryContext());
                var expected = await ask(walk, expectedOf.Select(hints, matchers));
                var actual = await ask(querier, query.Select(hints, matchers));
                Assert.True(expected.SequenceEqual(actual), $"{what}: {string.Join(' ', expected)} expected, not {string.Join(' ', actual)}");
                Assert.Equal(expectedOf.Coverage.Warnings(), query.Coverage.Warnings());
            }
        });
    }

    [Fact]
    public Task A_query_whose_time_is_up_ends_the_selection() => With(Fixture, async querier =>
    {
        var query = new QueryContext { Deadline = Deadline.After(TimeSpan.FromTicks(-1), TimeProvider.System, "a test") };
        await Assert.ThrowsAsync<DeadlineException>(() => Select(querier, Hints(), [], query));
    });

    [Fact]
    public Task A_cancelled_token_ends_the_selection() => With(Fixture, async querier =>
    {
        using var cancel = new CancellationTokenSource();
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (var _ in querier.SelectAsync(new QueryContext(cancel.Token).Select(Hints(), [])))
            {
            }
        });
    });

    protected static TestSeries Floats(Labels labels, params (long, double)[] samples) => new(labels, samples);

    static SelectHints Hints() => new() { Range = new TimeRange(0, long.MaxValue) };

    static IEnumerable<Labels> RandomLabels(Random random, int count) => Enumerable.Range(0, count).Select(_ =>
    {
        var labels = new LabelsBuilder();
        foreach (var (name, values) in s_randomNames)
        {
            if (random.Next(10) > 0)
            {
                labels.Set(name, RandomValue(random, values));
            }
        }

        labels.Set("cluster", random.Next(3) switch { 0 => "", 1 => "dev", _ => "prod" });
        return labels.Build();
    }).Where(labels => !labels.IsEmpty).Distinct();

    static readonly (string Name, int Values)[] s_randomNames = [("Upper", 2), ("__name__", 20), ("a", 3), ("b.c", 40), ("pod", 400), ("z\u00e4", 5)];

    static string RandomName(Random random) =>
        random.Next(8) switch { 0 => "cluster", 1 => "none", _ => s_randomNames[random.Next(s_randomNames.Length)].Name };

    static string RandomValue(Random random, int values) => random.Next(values) is var number && number % 7 == 6 ? $"\U0001f600{number}" : $"v{number}";

    static Matcher[] RandomMatchers(Random random) => [.. Enumerable.Range(0, random.Next(4)).Select(_ => new Matcher(
        (MatchType)random.Next(4),
        RandomName(random),
        random.Next(9) switch
        {
            0 => "", 1 => ".*", 2 => ".+", 3 => "v1.*", 4 => "v1|v2|dev", 5 => "prod", 6 => "|v3", 7 => RandomValue(random, 400), _ => RandomValue(random, 4),
        }))];

    static SelectHints RandomHints(Random random) => new()
    {
        Range = random.Next(6) switch
        {
            0 => new TimeRange(0, 999), 1 => new TimeRange(3_001, 5_000), 2 => new TimeRange(1_000, 1_000), 3 => new TimeRange(2_500, long.MaxValue), _ => TimeRange.All,
        },
        SkipSamples = true,
        Limit = random.Next(8) switch { 0 => 1, 1 => 2, 2 => 7, 3 => 100, _ => 0 },
    };

    async Task With(IReadOnlyList<TestSeries> series, Func<IQuerier, Task> test)
    {
        var querier = await CreateAsync(series);
        try
        {
            await test(querier);
        }
        finally
        {
            if (querier is IAsyncDisposable async)
            {
                await async.DisposeAsync();
            }
            else
            {
                (querier as IDisposable)?.Dispose();
            }
        }
    }

    static async Task<List<ReadSeries>> Select(IQuerier querier, SelectHints hints, Matcher[] matchers, QueryContext? query = null)
    {
        var read = new List<ReadSeries>();
        var batch = new SampleBatch(7);
        await foreach (var series in querier.SelectAsync((query ?? new QueryContext()).Select(hints, matchers)))
        {
            var floats = new List<(long, double)>();
            if (!hints.SkipSamples)
            {
                using var iterator = series.Samples();
                while (iterator.Read(batch))
                {
                    Assert.InRange(batch.Count, 1, batch.Capacity);
                    floats.AddRange(Enumerable.Range(0, batch.Count).Select(i => (batch.Timestamps[i], batch.Values[i])));
                }
            }

            read.Add(new ReadSeries(series.Labels.Copy(), floats));
        }

        return read;
    }

    sealed record ReadSeries(Labels Labels, List<(long Time, double Value)> Floats)
    {
        public string Text => string.Join(' ', Floats.Select(s => $"{s.Time}:{GoText.Float(s.Value)}"));
    }
}
