using System.Globalization;
using Xunit;

namespace Observe.Collector.Tests.Scrape.Differential;

/// <summary>
/// Random answers of targets, scraped by a real Prometheus and by this scraper. SCRAPE_SEED and SCRAPE_BODIES make a campaign of it
/// (<c>make fuzz-scrape</c>).
/// </summary>
public class DifferentialScrapeTests(ITestOutputHelper output)
{
    /// <summary>Targets of one Prometheus; then there is a new one.</summary>
    const int Round = 2_000;

    [Fact]
    public async Task Random_bodies_are_stored_as_Prometheus_stores_them()
    {
        var (seed, bodies) = (Setting("SCRAPE_SEED", 1), Setting("SCRAPE_BODIES", 1_200));
        var failures = new List<string>();
        for (var (round, left) = (0, bodies / ScrapeCampaign.Answers); left > 0; round++, left -= Round)
        {
            var differences = await ScrapeCampaign.RunAsync(seed + round, Math.Min(left, Round));
            failures.AddRange(differences.Select(d => d.ToString()));
        }

        var report = string.Join('\n', failures);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{bodies} bodies, {failures.Count} targets differ"));
        Assert.True(failures.Count == 0, report);
    }

    static int Setting(string name, int standard) =>
        int.TryParse(Environment.GetEnvironmentVariable(name), CultureInfo.InvariantCulture, out var value) ? value : standard;
}
