using System.Globalization;

namespace Observe.Benchmarks.Interference;

/// <summary>How much later than their schedule scrapes came. Milliseconds.</summary>
/// <param name="Missed">Scrapes that did not come at all, since one before them took until then.</param>
sealed record ScrapeLateness(int Count, int Missed, double Median, double P99, double Max)
{
    /// <summary>
    /// Each target is scraped at its own place in the interval, which is where its requests begin: behind the widest gap between the places
    /// at which they came.
    /// </summary>
    public static ScrapeLateness Of(IReadOnlyList<(string Target, double Time)> arrivals, double intervalMs)
    {
        var late = new List<double>();
        var missed = 0;
        foreach (var target in arrivals.GroupBy(a => a.Target))
        {
            var times = target.Select(a => a.Time).Order().ToList();
            var places = times.ConvertAll(time => time % intervalMs).Order().ToList();
            var (begin, widest) = (places[0], places[0] + intervalMs - places[^1]);
            for (var i = 1; i < places.Count; i++)
            {
                if (places[i] - places[i - 1] > widest)
                {
                    (begin, widest) = (places[i], places[i] - places[i - 1]);
                }
            }

            late.AddRange(times.Select(time => (((time - begin) % intervalMs) + intervalMs) % intervalMs));
            missed += Math.Max(0, (int)Math.Round((times[^1] - times[0]) / intervalMs) + 1 - times.Count);
        }

        late.Sort();
        return late.Count == 0 ? new ScrapeLateness(0, 0, 0, 0, 0) : new ScrapeLateness(late.Count, missed, late[late.Count / 2], late[late.Count * 99 / 100], late[^1]);
    }

    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"{Count,7} {Missed,7} {Median,8:F1} {P99,8:F1} {Max,8:F1}");
}
