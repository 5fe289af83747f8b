using System.Text;
using CsCheck;
using Observe.Collector.Scrape;
using Observe.Tsdb.Ingest;
using Xunit;

namespace Observe.Collector.Tests.Scrape;

public class ScrapeCacheTests
{
    readonly ScrapeCache _cache = new();
    readonly Dictionary<string, SeriesRef> _series = [];

    /// <summary>One scrape of these lines; returns the series that went.</summary>
    string Scrape(string lines, bool fail = false, bool track = true)
    {
        _cache.Begin();
        foreach (var line in lines.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            var index = _cache.Find(Encoding.UTF8.GetBytes(line), out var hash, out _);
            if (index < 0)
            {
                // Lines that differ only in their case are one series, as two lines can be after relabelling.
                if (!_series.TryGetValue(line.ToLowerInvariant(), out var series))
                {
                    series = _series[line.ToLowerInvariant()] = new SeriesRef((ulong)_series.Count + 1);
                }

                index = _cache.Add(hash, series);
            }

            Assert.Equal(_series[line.ToLowerInvariant()], _cache.Series(index));
            if (track)
            {
                _cache.Track(index);
            }
        }

        var stale = new List<SeriesRef>();
        if (fail)
        {
            _cache.Abandon(stale);
        }
        else
        {
            _cache.Complete(stale);
        }

        return string.Join(' ', stale.Select(s => _series.Single(x => x.Value == s).Key).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Series_that_do_not_come_again_are_stale_once()
    {
        Assert.Equal("", Scrape("a b c"));
        Assert.Equal("b", Scrape("a c d"));
        Assert.Equal("", Scrape("a c d"));
        Assert.Equal("a c d", Scrape(""));
        Assert.Equal("", Scrape(""));
    }

    [Fact]
    public void A_failed_scrape_makes_all_stale_and_a_second_one_none()
    {
        Scrape("a b");
        Assert.Equal("a b", Scrape("a x y", fail: true));
        Assert.Equal("", Scrape("a x y", fail: true));
        Assert.Equal("", Scrape("a"));
        Assert.Equal("a", Scrape("b"));
    }

    [Fact]
    public void A_failed_scrape_leaves_nothing_behind()
    {
        Scrape("a b");
        Scrape("a x y z", fail: true);
        Assert.Equal(2, _cache.Count);
    }

    [Fact]
    public void Two_lines_of_one_series_are_stale_when_both_went()
    {
        Scrape("a A b");
        Assert.Equal("", Scrape("A b"));
        Assert.Equal("a", Scrape("b"));
    }

    [Fact]
    public void What_is_not_tracked_never_goes_stale()
    {
        Scrape("a b", track: false);
        Assert.Equal("", Scrape("b"));
        Assert.Equal("b", Scrape(""));
    }

    [Fact]
    public void A_line_twice_in_a_scrape_is_known_as_such()
    {
        _cache.Begin();
        _cache.Find("a"u8, out var hash, out _);
        _cache.Add(hash, new SeriesRef(1));
        Assert.Equal(0, _cache.Find("a"u8, out _, out var again));
        Assert.True(again);
        _cache.Complete([]);
        _cache.Begin();
        _cache.Find("a"u8, out _, out again);
        Assert.False(again);
    }

    [Fact]
    public void Any_run_of_scrapes_is_as_a_set_says() =>
        Gen.Select(Gen.Int[0, 40].Array[0, 60], Gen.Int[0, 9]).List[1, 30].Sample(scrapes =>
        {
            var test = new ScrapeCacheTests();
            var live = new HashSet<string>();
            foreach (var (numbers, chance) in scrapes)
            {
                var fail = chance == 0;
                var came = numbers.Select(n => "s" + n).ToHashSet();
                var stale = test.Scrape(string.Join(' ', numbers.Select(n => "s" + n)), fail);
                Assert.Equal(string.Join(' ', (fail ? live : live.Except(came)).Order(StringComparer.Ordinal)), stale);
                live = fail ? [] : came;
            }
        });

    [Fact]
    public void A_scrape_like_the_last_one_allocates_nothing()
    {
        var lines = Enumerable.Range(0, 1000).Select(i => Encoding.UTF8.GetBytes($"metric_{i}{{label=\"value\"}}")).ToList();
        var stale = new List<SeriesRef>();
        void Run()
        {
            _cache.Begin();
            foreach (var line in lines)
            {
                var index = _cache.Find(line, out var hash, out _);
                _cache.Track(index < 0 ? _cache.Add(hash, new SeriesRef(1)) : index);
            }

            _cache.Complete(stale);
        }

        Run();
        Run();
        Run();
        var before = GC.GetAllocatedBytesForCurrentThread();
        Run();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }
}
