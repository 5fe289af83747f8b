using Observe.Query.Promql.Functions;
using Observe.Query.Promql.Parsing;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Query.Tests.Promql.Functions;

public class RangeFunctionsTests
{
    [Theory]
    [InlineData("rate", "0:0 15:15 30:30 45:45", 60, 1.0)] // steady, extrapolated to the whole window
    [InlineData("increase", "0:0 15:15 30:30 45:45", 60, 60.0)]
    [InlineData("increase", "15:10 30:20 45:30", 60, 40.0)] // the zero point lies within the window
    [InlineData("increase", "15:10 30:5 45:15", 60, 30.0)] // a reset: 15 - 10 + 10
    [InlineData("delta", "0:4 30:2 60:0", 60, -4.0)]
    [InlineData("irate", "0:0 45:10 60:40", 60, 2.0)]
    [InlineData("irate", "45:50 60:30", 60, 2.0)]
    [InlineData("idelta", "45:50 60:30", 60, -20.0)]
    [InlineData("deriv", "0:0 30:30 60:60", 60, 1.0)]
    [InlineData("resets", "1:5 2:3 3:4 4:1", 60, 2.0)]
    [InlineData("changes", "1:5 2:5 3:NaN 4:NaN 5:1", 60, 2.0)]
    [InlineData("sum_over_time", "1:1e100 2:1 3:-1e100", 60, 1.0)]
    [InlineData("avg_over_time", "1:1.7976931348623157e308 2:1.7976931348623157e308", 60, double.MaxValue)]
    [InlineData("max_over_time", "1:NaN 2:3 3:5 4:4", 60, 5.0)]
    [InlineData("min_over_time", "1:NaN 2:NaN", 60, double.NaN)]
    [InlineData("stdvar_over_time", "1:2 2:4 3:4 4:4 5:5 6:5 7:7 8:9", 60, 4.0)]
    [InlineData("mad_over_time", "1:1 2:2 3:4 4:8 5:16", 60, 3.0)]
    [InlineData("ts_of_max_over_time", "1:5 2:7 3:7 4:1", 60, 3.0)]
    [InlineData("ts_of_min_over_time", "1:5 2:1 3:7 4:1", 60, 4.0)]
    [InlineData("last_over_time", "1:5 2:1", 60, 1.0)]
    [InlineData("first_over_time", "1:5 2:1", 60, 5.0)]
    [InlineData("count_over_time", "1:5 2:NaN", 60, 2.0)]
    public void A_function_of_floats(string function, string samples, long end, double expected)
    {
        var point = RangeFunctions.Find(FunctionTable.Find(function)!.Id)!(Window(samples, end));
        Assert.True(point.Exists);
        Assert.Equal(expected, point.Value, 1e-9);
    }

    [Theory]
    [InlineData("rate")]
    [InlineData("irate")]
    [InlineData("delta")]
    [InlineData("deriv")]
    public void One_sample_has_no_slope(string function) => Assert.False(RangeFunctions.Find(FunctionTable.Find(function)!.Id)!(Window("30:5", 60)).Exists);

    [Fact]
    public void A_counter_that_started_within_the_window_increases_from_zero()
    {
        var window = new Window { TracksStarts = true };
        var batch = new SampleBatch(1) { Count = 1, HasStartTimestamps = true };
        (batch.Timestamps[0], batch.Values[0], batch.StartTimestamps[0]) = (40_000, 6, 10_000);
        Prepare(window, batch, 60);
        Assert.Equal(6, RateFunctions.Increase(window).Value);
        Assert.Equal(0.1, RateFunctions.Rate(window).Value);
    }

    [Theory]
    [InlineData(0, 10, 20, false)] // none known
    [InlineData(15, 10, 20, true)] // started after the sample before
    [InlineData(5, 10, 20, false)] // started before it
    [InlineData(20, 10, 20, false)] // says nothing
    public void A_start_timestamp_tells_a_reset(long start, long previousTime, long time, bool expected) =>
        Assert.Equal(expected, StartTimes.IsReset(1, previousTime, start, time));

    [Fact]
    public void Floats_and_histograms_in_one_range_are_warned_of()
    {
        var window = Window("30:5 45:6", 60);
        window.Load(50_000, new Histogram { Count = 1 });
        window.Slide(0, 60_000);
        Assert.False(RateFunctions.Rate(window).Exists);
        var (warnings, _) = window.Site.Annotations.Format("rate(m[1m])");
        Assert.Equal("PromQL warning: encountered a mix of histograms and floats for metric name \"m\" (1:6)", Assert.Single(warnings));
    }

    [Fact]
    public void Every_function_over_a_range_in_the_language_is_there()
    {
        foreach (var function in FunctionTable.All.Where(f => f.IsOfRange))
        {
            Assert.True(RangeFunctions.Find(function.Id) is not null, function.Name);
        }
    }

    /// <summary>A window of a minute over samples "seconds:value".</summary>
    static Window Window(string samples, long end)
    {
        var points = samples.Split(' ').Select(s => s.Split(':')).ToList();
        var batch = new SampleBatch(points.Count) { Count = points.Count };
        for (var i = 0; i < points.Count; i++)
        {
            batch.Timestamps[i] = long.Parse(points[i][0], System.Globalization.CultureInfo.InvariantCulture) * 1000;
            batch.Values[i] = double.Parse(points[i][1], System.Globalization.CultureInfo.InvariantCulture);
        }

        return Prepare(new Window { TracksDrops = true }, batch, end);
    }

    static Window Prepare(Window window, SampleBatch batch, long end)
    {
        window.Clear();
        window.Labels = Labels.Of(("__name__", "m"));
        window.Site = new AnnotationSite(new Annotations(), 5, 6);
        window.RangeMs = 60_000;
        (window.RangeStart, window.RangeEnd, window.Time) = ((end * 1000) - 60_000, end * 1000, end * 1000);
        window.Load(batch);
        window.Slide(window.RangeStart - 1, window.RangeEnd);
        return window;
    }
}
