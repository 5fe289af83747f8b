using System.Globalization;
using System.Text.Json;
using Observe.Benchmarks.QueryBench;

namespace Observe.Benchmarks.Live;

/// <summary>The samples of <c>up</c> that a server answers with, and how old each was when it was found first.</summary>
/// <param name="keep">So far it looks back each time.</param>
/// <param name="name">Of the collector, where series do not say so.</param>
sealed class SeenSamples(PeerProcess server, TimeSpan keep, string name = "")
{
    static readonly TimeSpan s_pause = TimeSpan.FromMilliseconds(500);
    readonly Dictionary<string, SortedDictionary<long, double>> _ages = [];

    /// <summary>Asks again and again.</summary>
    public async Task FollowAsync(TimeSpan time, CancellationToken cancellationToken)
    {
        var end = time == Timeout.InfiniteTimeSpan ? DateTimeOffset.MaxValue : TimeProvider.System.GetUtcNow() + time;
        while (TimeProvider.System.GetUtcNow() < end && !cancellationToken.IsCancellationRequested)
        {
            var found = await ReadAsync(TimeProvider.System.GetUtcNow(), keep);
            var now = TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds();
            foreach (var (collector, timestamp) in found.Keys)
            {
                if (!_ages.TryGetValue(collector, out var ages))
                {
                    _ages.Add(collector, ages = []);
                }

                ages.TryAdd(timestamp, (now - timestamp) / 1000.0);
            }

            await Task.Delay(s_pause, CancellationToken.None);
        }
    }

    /// <summary>How old a sample was when it was found first, in seconds; null where it was not found.</summary>
    public double? AgeOf((string Collector, long Time) sample) =>
        _ages.TryGetValue(sample.Collector, out var ages) && ages.TryGetValue(sample.Time, out var age) ? age : null;

    /// <summary>The newest sample of a collector before a moment; 0 where there is none.</summary>
    public long NewestBefore(string collector, long moment) =>
        _ages.TryGetValue(collector, out var ages) ? ages.Keys.Where(time => time <= moment).DefaultIfEmpty(0).Max() : 0;

    /// <summary>How often each sample of a span comes.</summary>
    public async Task<Dictionary<(string Collector, long Time), int>> ReadAsync(DateTimeOffset end, TimeSpan span)
    {
        var path = string.Create(
            CultureInfo.InvariantCulture,
            $"/api/v1/query?dedup=false&time={end.ToUnixTimeMilliseconds() / 1000.0:F3}&query=up%5B{span.TotalMilliseconds:F0}ms%5D");
        using var answer = JsonDocument.Parse((await server.GetAsync(path)).Answer);
        var found = new Dictionary<(string, long), int>();
        foreach (var series in answer.RootElement.GetProperty("data").GetProperty("result").EnumerateArray())
        {
            var collector = series.GetProperty("metric").TryGetProperty("collector", out var label) ? label.GetString()! : name;
            foreach (var sample in series.GetProperty("values").EnumerateArray())
            {
                var key = (collector, (long)Math.Round(sample[0].GetDouble() * 1000));
                found[key] = found.GetValueOrDefault(key) + 1;
            }
        }

        return found;
    }
}
