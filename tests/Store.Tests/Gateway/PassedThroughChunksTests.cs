using Observe.Store.Compact;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;

namespace Observe.Store.Tests.Gateway;

/// <summary>Chunks leave the store as they lie in the blocks, wherever no other resolution answers for a part of them.</summary>
public sealed class PassedThroughChunksTests : IAsyncDisposable
{
    const long Minute = 60_000;
    const long Hour = 60 * Minute;

    readonly List<string> _folders = [];
    StoreFixture _fixture = new();
    int _blocks;

    public ValueTask DisposeAsync() => _fixture.DisposeAsync();

    public static TheoryData<string, bool> Chains() => new MatrixTheoryData<string, bool>(
        [
            "0-2 2-4 4-6",
            "0-2 2-4 7-9 9-11",
            "0-2 3-5 6-8 9-11",
            "0-2 2-4 4-6 5-8 8-10 12-14",
            "0-8 2-3 10-12",
        ],
        [false, true]);

    [Theory]
    [MemberData(nameof(Chains))]
    public async Task Chunks_of_a_chain_with_holes_or_overlaps_are_those_of_its_blocks(string chain, bool local)
    {
        await UseAsync(local);
        foreach (var block in chain.Split(' '))
        {
            var hours = block.Split('-').Select(long.Parse).ToArray();
            await AddRawAsync(hours[0] * Hour, hours[1] * Hour);
        }

        foreach (var range in (TimeRange[])[TimeRange.All, new TimeRange(Hour, 11 * Hour), new TimeRange(90 * Minute, 150 * Minute)])
        {
            await CheckAsync(new SelectHints { Range = range }, SourceChunks(range), local);
        }
    }

    public static TheoryData<long, bool, bool> ThreeResolutions() =>
        new MatrixTheoryData<long, bool, bool>([0, Downsampler.FiveMinutes, Downsampler.OneHour], [false, true], [false, true]);

    [Theory]
    [MemberData(nameof(ThreeResolutions))]
    public async Task Chunks_of_three_resolutions_one_after_another_are_those_of_their_blocks(long maxResolution, bool hole, bool local)
    {
        await UseAsync(local);
        await AddRawAsync(0, 20 * Hour, Downsampler.FiveMinutes, Downsampler.OneHour);
        await AddRawAsync(20 * Hour, 40 * Hour, Downsampler.FiveMinutes);
        await AddRawAsync((hole ? 43 : 40) * Hour, 46 * Hour);
        await CheckAsync(
            new SelectHints { Range = TimeRange.All, MaxResolutionMs = maxResolution }, SourceChunks(TimeRange.All), local);
    }

    [Theory]
    [InlineData(0, false)]
    [InlineData(0, true)]
    [InlineData(Downsampler.FiveMinutes, false)]
    [InlineData(Downsampler.FiveMinutes, true)]
    public async Task Only_chunks_that_another_resolution_overlaps_are_cut(long maxResolution, bool local)
    {
        await UseAsync(local);
        await AddRawAsync(0, 20 * Hour, Downsampler.FiveMinutes);
        for (var hour = 19; hour < 31; hour += 4)
        {
            await AddRawAsync((hour * Hour) + (7 * Minute), (hour + 2) * Hour);
        }

        var seam = new TimeRange((19 * Hour) + (7 * Minute), 20 * Hour);
        var (sources, read) = (SourceChunks(TimeRange.All), await ReadAsync(
            new SelectHints { Range = TimeRange.All, MaxResolutionMs = maxResolution }));
        Assert.Equal(sources.Keys.Order(), read.Keys.Order());
        foreach (var (labels, chunks) in read)
        {
            Assert.All(chunks.Except(sources[labels]), cut => Assert.True(new TimeRange(cut.MinTime, cut.MaxTime).Overlaps(
                seam with { MinTime = seam.MinTime - (5 * Hour) })));
            Assert.Empty(sources[labels].Where(c => !new TimeRange(c.MinTime, c.MaxTime).Overlaps(seam)).Except(chunks));
            Assert.InRange(chunks.Except(sources[labels]).Count(), 1, 1);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Samples_are_the_same_whether_blocks_have_holes_between_them_or_not(bool local)
    {
        await UseAsync(local);
        foreach (var hour in (int[])[0, 2, 5, 7, 10])
        {
            await AddRawAsync(hour * Hour, (hour + 2) * Hour);
        }

        await using var store = _fixture.Open();
        await store.SyncAsync(default);
        var range = new TimeRange(90 * Minute, 10 * Hour);
        var expected = _folders.SelectMany(folder =>
        {
            using var block = Block.Open(folder);
            return TestBlocks.Read(block, new SelectHints { Range = range });
        }).GroupBy(s => s.Labels.Get("n")).ToDictionary(g => g.Key, g => g.SelectMany(s => s.Samples).ToList());
        foreach (var (labels, samples) in await StoreFixture.ReadAsync(store, new SelectHints { Range = range }))
        {
            Assert.Equal(expected[labels.Get("n")], samples);
        }
    }

    async Task UseAsync(bool local)
    {
        await _fixture.DisposeAsync();
        _fixture = new StoreFixture(local);
    }

    /// <summary>A block of samples every 15 s, or of what those are downsampled to, one resolution after another.</summary>
    async Task AddRawAsync(long from, long to, params long[] resolutions)
    {
        TestSeries[] series =
        [
            .. Enumerable.Range(0, 3).Select(n => new TestSeries(
                Labels.Of(("__name__", "m"), ("n", $"{n}")),
                [.. Enumerable.Range(0, (int)((to - from) / 15_000)).Select(i => (from + (i * 15_000L), (double)(((i * 7) % 97) + n)))])),
        ];
        var meta = await _fixture.AddAsync(++_blocks, TestBlocks.Meta(series, ("cluster", "dev")), series);
        var folder = Path.Combine(_fixture.Folder, meta.Id.ToString());
        foreach (var resolution in resolutions)
        {
            using var source = Block.Open(folder);
            var coarser = Downsampler.Run(source, _fixture.Folder, TestBlocks.Id(++_blocks), resolution, default)!;
            await _fixture.Blocks.DeleteAsync(source.Meta.Id, default);
            folder = Path.Combine(_fixture.Folder, coarser.Id.ToString());
            await _fixture.Blocks.UploadAsync(folder, DateTimeOffset.UnixEpoch, default);
        }

        _folders.Add(folder);
    }

    Dictionary<string, List<ChunkText>> SourceChunks(TimeRange range)
    {
        var all = new Dictionary<string, List<ChunkText>>();
        foreach (var folder in _folders)
        {
            using var block = Block.Open(folder);
            foreach (var series in block.Select(new QueryContext().Select(new SelectHints { Range = range }, [])))
            {
                var text = series.Labels.Get("n");
                all.TryAdd(text, []);
                all[text].AddRange(series.Chunks()!.Select(ChunkText.Of));
            }
        }

        return all.ToDictionary(s => s.Key, s => InOrder(s.Value));
    }

    static List<ChunkText> InOrder(IEnumerable<ChunkText> chunks) =>
        [.. chunks.OrderBy(c => c.MinTime).ThenBy(c => c.MaxTime).ThenBy(c => c.Data, StringComparer.Ordinal)];

    async Task<Dictionary<string, List<ChunkText>>> ReadAsync(SelectHints hints, Action<Series>? look = null)
    {
        await using var store = _fixture.Open();
        await store.SyncAsync(default);
        var read = new Dictionary<string, List<ChunkText>>();
        await foreach (var series in store.SelectAsync(new QueryContext().Select(hints, [])))
        {
            look?.Invoke(series);
            read.Add(series.Labels.Get("n"), InOrder(series.Chunks()!.Select(ChunkText.Of)));
        }

        return read;
    }

    /// <summary>Chunks of a folder are read only when their series are.</summary>
    async Task CheckAsync(SelectHints hints, Dictionary<string, List<ChunkText>> expected, bool local)
    {
        var read = await ReadAsync(hints, series => Assert.Equal(local, series is BlockSeries));
        Assert.Equal(expected.Keys.Order(), read.Keys.Order());
        foreach (var (labels, chunks) in read)
        {
            Assert.Equal(expected[labels], chunks);
        }
    }

    sealed record ChunkText(long MinTime, long MaxTime, ChunkEncoding Encoding, string Data)
    {
        public static ChunkText Of(Chunk chunk) =>
            new(chunk.MinTime, chunk.MaxTime, chunk.Encoding, Convert.ToHexString(chunk.Data.Span));
    }
}
