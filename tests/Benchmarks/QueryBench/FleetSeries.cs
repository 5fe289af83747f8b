using System.Buffers;
using System.Buffers.Text;
using System.Globalization;
using System.Text;

namespace Observe.Benchmarks.QueryBench;

/// <summary>Numbers that are the same on every machine and run (SplitMix64).</summary>
struct Dice(ulong state)
{
    ulong _state = state;

    public static Dice Of(string text)
    {
        var hash = 14695981039346656037UL;
        foreach (var character in text)
        {
            hash = (hash ^ character) * 1099511628211UL;
        }

        return new Dice(hash);
    }

    public ulong Next()
    {
        var z = _state += 0x9E3779B97F4A7C15UL;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9UL;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBUL;
        return z ^ (z >> 31);
    }

    /// <summary>At least 0, below 1.</summary>
    public double Part() => (Next() >> 11) * (1.0 / (1UL << 53));

    public double Between(double from, double to) => from + (Part() * (to - from));
}

/// <summary>A target that is scraped every 15 s at an offset of its own, lives for a part of the time, and misses a scrape now and then.</summary>
sealed record ScrapedTarget(string Name, long FromMs, long ToMs)
{
    readonly ulong _hash = Dice.Of(Name).Next();

    public long Offset => (long)(_hash % FleetData.IntervalMs);

    public bool IsUp(long timestamp) =>
        timestamp >= FromMs && timestamp < ToMs && new Dice(_hash ^ (ulong)(timestamp / FleetData.IntervalMs)).Next() % 500 != 0;
}

/// <summary>One or more series whose values are made together, scrape by scrape.</summary>
abstract class FleetSeries(ScrapedTarget target, string seed)
{
    protected Dice Dice = Dice.Of(seed);

    public ScrapedTarget Target => target;

    /// <summary>Time passes by one interval; a line for each series.</summary>
    public abstract void Scrape(long timestamp, OpenMetricsFile file);
}

/// <summary>A counter that gains about <paramref name="rate"/> a second, and starts again from 0 as its container does.</summary>
/// <param name="digits">Behind the point.</param>
/// <param name="resets">How likely it starts again, an interval.</param>
sealed class CounterSeries(ScrapedTarget target, string series, double rate, int digits, double resets = 0) : FleetSeries(target, series)
{
    readonly byte[] _line = Encoding.UTF8.GetBytes(series);
    double _value = double.NaN;

    public override void Scrape(long timestamp, OpenMetricsFile file)
    {
        _value = double.IsNaN(_value) ? Dice.Between(0, rate * 1e6) : Dice.Part() < resets ? 0 : _value;
        _value += rate * FleetData.IntervalMs / 1000 * Dice.Between(0.6, 1.4);
        file.Line(_line, Math.Round(_value, digits), timestamp);
    }
}

/// <summary>A gauge that wanders between two values.</summary>
/// <param name="unit">Values are multiples of it.</param>
sealed class GaugeSeries(ScrapedTarget target, string series, double low, double high, double unit) : FleetSeries(target, series)
{
    readonly byte[] _line = Encoding.UTF8.GetBytes(series);
    double _value = double.NaN;

    public override void Scrape(long timestamp, OpenMetricsFile file)
    {
        _value = double.IsNaN(_value)
            ? Dice.Between(low, high)
            : Math.Clamp(_value + (Dice.Between(-0.02, 0.02) * (high - low)), low, high);
        file.Line(_line, Math.Round(_value / unit) * unit, timestamp);
    }
}

/// <summary>Always the same, but for a change of 1 now and then (<paramref name="changes"/> of the intervals).</summary>
sealed class StateSeries(ScrapedTarget target, string series, double value, double changes = 0) : FleetSeries(target, series)
{
    readonly byte[] _line = Encoding.UTF8.GetBytes(series);

    public override void Scrape(long timestamp, OpenMetricsFile file) =>
        file.Line(_line, changes > 0 && Dice.Part() < changes ? 1 - value : value, timestamp);
}

/// <summary>A classic histogram of request times: buckets, sum and count.</summary>
/// <param name="labels">Without braces.</param>
/// <param name="median">Seconds.</param>
sealed class LatencySeries(ScrapedTarget target, string name, string labels, double rate, double median) : FleetSeries(target, labels)
{
    static readonly double[] s_bounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

    readonly byte[][] _buckets =
        [.. s_bounds.Append(double.PositiveInfinity).Select(b => Encoding.UTF8.GetBytes($"{name}_bucket{{{labels},le=\"{Bound(b)}\"}}"))];

    readonly byte[] _sum = Encoding.UTF8.GetBytes($"{name}_sum{{{labels}}}");
    readonly byte[] _count = Encoding.UTF8.GetBytes($"{name}_count{{{labels}}}");
    readonly long[] _below = new long[s_bounds.Length + 1];
    double _seconds;

    public override void Scrape(long timestamp, OpenMetricsFile file)
    {
        var requests = Math.Floor(rate * FleetData.IntervalMs / 1000 * Dice.Between(0.5, 1.5));
        var (now, rounding) = (median * Dice.Between(0.8, 1.25), Dice.Part());
        for (var i = 0; i < _below.Length; i++)
        {
            var share = i == s_bounds.Length ? 1 : 1 / (1 + Math.Pow(now / s_bounds[i], 1.8));
            _below[i] += (long)Math.Floor(Math.Min((requests * share) + rounding, requests));
            file.Line(_buckets[i], _below[i], timestamp);
        }

        _seconds += requests * now * 1.3;
        file.Line(_sum, Math.Round(_seconds, 6), timestamp);
        file.Line(_count, _below[^1], timestamp);
    }

    static string Bound(double bound) => double.IsPositiveInfinity(bound) ? "+Inf" : bound.ToString(CultureInfo.InvariantCulture);
}

/// <summary>Lines of an OpenMetrics exposition with timestamps, written as they come.</summary>
sealed class OpenMetricsFile(string path) : IDisposable
{
    readonly FileStream _file = new(path, FileMode.Create, FileAccess.Write, FileShare.None, 1);
    readonly ArrayBufferWriter<byte> _buffer = new(1 << 20);

    public long Lines { get; private set; }

    public void Line(ReadOnlySpan<byte> series, double value, long timestamp)
    {
        var to = _buffer.GetSpan(series.Length + 64);
        series.CopyTo(to);
        var at = series.Length;
        to[at++] = (byte)' ';
        value.TryFormat(to[at..], out var written, "R", CultureInfo.InvariantCulture);
        at += written;
        to[at++] = (byte)' ';
        Utf8Formatter.TryFormat(timestamp / 1000, to[at..], out written);
        at += written;
        to[at++] = (byte)'.';
        Utf8Formatter.TryFormat(timestamp % 1000, to[at..], out written, new StandardFormat('D', 3));
        at += written;
        to[at++] = (byte)'\n';
        _buffer.Advance(at);
        Lines++;
        if (_buffer.WrittenCount > 900_000)
        {
            Flush();
        }
    }

    public void Dispose()
    {
        _buffer.Write("# EOF\n"u8);
        Flush();
        _file.Dispose();
    }

    void Flush()
    {
        _file.Write(_buffer.WrittenSpan);
        _buffer.ResetWrittenCount();
    }
}
