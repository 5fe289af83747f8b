using System.Text;
using CsCheck;
using Observe.Collector.Exposition;
using Observe.Collector.Scrape;
using Observe.Tsdb.Ingest;
using Xunit;

namespace Observe.Collector.Tests.Scrape;

public class ScrapeCacheTests
{
    readonly ScrapeCache _cache = new();
    readonly Dictionary<string, SeriesRef> _series = [];
    int _asked;

    /// <summary>One scrape of these lines; returns the series that went.</summary>
    string Scrape(string lines, bool fail = false, bool track = true)
    {
        _cache.Begin();
        foreach (var line in lines.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            // Some parsers ask before they scan a line, some do not.
            var known = (_asked++ % 3) > 0 ? _cache.Known(Encoding.UTF8.GetBytes(line + " 1\n")) : 0;
            Assert.True(known == 0 || known == line.Length);
            var index = _cache.Find(Encoding.UTF8.GetBytes(line), out var hash, out _);
            Assert.True(known == 0 || index >= 0);
            if (index < 0)
            {
                // Lines that differ only in their case are one series, as two lines can be after relabelling.
                if (!_series.TryGetValue(line.ToLowerInvariant(), out var series))
                {
                    series = _series[line.ToLowerInvariant()] = new SeriesRef((ulong)_series.Count + 1);
                }

                index = _cache.Add(hash, line.Length, series);
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
        _cache.Add(hash, 1, new SeriesRef(1));
        Assert.Equal(0, _cache.Find("a"u8, out _, out var again));
        Assert.True(again);
        _cache.Complete([]);
        _cache.Begin();
        _cache.Find("a"u8, out _, out again);
        Assert.False(again);
    }

    [Theory]
    [InlineData("m 1", 1)]
    [InlineData("m -1\n", 1)]
    [InlineData("m {a=\"b\"} 1", 0)]
    [InlineData("m  {a=\"b\"} 1", 0)]
    [InlineData("m \t{a=\"b\"} 1", 0)]
    [InlineData("m{a=\"b\"} 1", 0)]
    [InlineData("m\t1", 0)]
    [InlineData("mm 1", 0)]
    [InlineData("m ", 0)]
    [InlineData("m", 0)]
    [InlineData("n 1", 0)]
    public void A_line_is_known_by_its_bytes_and_by_what_ends_it(string line, int length)
    {
        Scrape("m");
        _cache.Begin();
        Assert.Equal(length, _cache.Known(Encoding.UTF8.GetBytes(line)));
    }

    /// <summary>What a parser makes of a page, up to its end or its fault.</summary>
    List<string> Read(string page, bool ask)
    {
        var read = new List<string>();
        var parser = new PrometheusTextParser(Encoding.Latin1.GetBytes(page)) { Known = ask ? _cache.Known : null };
        _cache.Begin();
        try
        {
            for (ExpositionEntry entry; (entry = parser.Next()) != ExpositionEntry.End;)
            {
                read.Add($"{entry} {parser.Value:R} {parser.Timestamp}");
                if (entry == ExpositionEntry.Sample)
                {
                    read.Add(Encoding.Latin1.GetString(parser.Series));
                    if (_cache.Find(parser.Series, out var hash, out _) < 0)
                    {
                        _cache.Add(hash, parser.Series.Length, new SeriesRef(1));
                    }
                }
            }

            _cache.Complete([]);
        }
        catch (ExpositionException e)
        {
            read.Add(e.Message);
            _cache.Abandon([]);
        }

        return read;
    }

    [Fact]
    public void A_line_that_is_known_reads_as_one_that_is_not()
    {
        const string Bytes = " \t{}\"\\,=#\n0a-_\u00e9\0";
        string[] lines = ["m 1\n", "m{a=\"b\"} 1 5\n", "m {a=\"b\"} 2\n", "m{a=\"}\",b=\"\\\"\"}  3\n", "{\"m\",a=\"b\"} 4\n", "m_a 0.5\n", "# TYPE m counter\n", "m{a=\"b\"}5\n"];
        for (var seed = 0; seed < (int.TryParse(Environment.GetEnvironmentVariable("KNOWN_PAGES"), out var pages) ? pages : 200); seed++)
        {
            var (random, asking, plain) = (new Random(seed), new ScrapeCacheTests(), new ScrapeCacheTests());
            var page = string.Concat(Enumerable.Range(0, random.Next(1, 6)).Select(_ => lines[random.Next(lines.Length)]));
            for (var scrape = 0; scrape < 6; scrape++)
            {
                Assert.True(plain.Read(page, ask: false).SequenceEqual(asking.Read(page, ask: true)), $"seed {seed}, scrape {scrape}: {page}");
                var at = random.Next(page.Length + 1);
                page = random.Next(4) switch
                {
                    0 => page,
                    1 => page.Insert(at, Bytes[random.Next(Bytes.Length)].ToString()),
                    2 => page.Insert(at, lines[random.Next(lines.Length)]),
                    _ => page.Remove(at, Math.Min(1, page.Length - at)),
                };
            }
        }
    }

    [Fact]
    public void A_page_that_shrinks_and_grows_keeps_its_series()
    {
        foreach (var lines in (int[])[1, 500, 20, 21, 90, 1000, 1000, 3, 0, 40])
        {
            Assert.DoesNotContain("s0", Scrape(string.Join(' ', Enumerable.Range(0, lines).Select(n => $"s{n}"))) is var stale && lines > 0 ? stale.Split(' ') : []);
            Assert.Equal(lines, _cache.Count);
        }
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
                _cache.Track(index < 0 ? _cache.Add(hash, line.Length, new SeriesRef(1)) : index);
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
