using System.Text.Json;
using Observe.Collector.Exposition;
using Observe.Testkit;
using Xunit;

namespace Observe.Collector.Tests.Exposition;

/// <summary>The vectors of the OpenMetrics specification, where they stand beside the checkout.</summary>
public sealed class OpenMetricsVectorTests
{
    [Fact]
    public void Every_vector_is_judged_as_its_author_says()
    {
        var wrong = new List<string>();
        foreach (var (name, body) in Vectors())
        {
            using var test = JsonDocument.Parse(File.ReadAllBytes(Required.Shared("openmetrics", name, "test.json")));
            var faults = ExpositionCheck.Run(body, ExpositionFormat.OpenMetrics);
            if (test.RootElement.GetProperty("shouldParse").GetBoolean() != (faults.Count == 0))
            {
                wrong.Add($"{name}: {string.Join("; ", faults)}");
            }
        }

        Assert.Equal([], wrong);
    }

    [Fact]
    public async Task A_scrape_takes_the_vectors_that_Prometheus_takes()
    {
        var vectors = Vectors().ToList();
        await using var exporter = FakeExporter.Start();
        foreach (var (name, body) in vectors)
        {
            exporter["/" + name] = new FakeAnswer { Body = body, ContentType = "application/openmetrics-text; version=1.0.0" };
        }

        var jobs = vectors.Select(v =>
            $$"""{"job_name": "{{v.Name}}", "metrics_path": "/{{v.Name}}", "static_configs": [{"targets": ["{{exporter.Address}}"]}]}""");
        var config = $$"""{"global": {"scrape_interval": "2s", "scrape_timeout": "2s"}, "scrape_configs": [{{string.Join(',', jobs)}}]}""";
        var folder = Checkout.NewFolder("vectors");
        await using (var prometheus = await PrometheusServer.StartAsync(folder, config))
        {
            await CompareAsync(prometheus, vectors);
        }

        Directory.Delete(folder, recursive: true);
    }

    static async Task CompareAsync(PrometheusServer prometheus, List<(string Name, byte[] Body)> vectors)
    {
        using var http = new HttpClient { BaseAddress = prometheus.Url };
        var judged = new Dictionary<string, bool>();
        while (judged.Count < vectors.Count)
        {
            using var targets = JsonDocument.Parse(await http.GetByteArrayAsync(new Uri("api/v1/targets?state=active", UriKind.Relative)));
            foreach (var target in targets.RootElement.GetProperty("data").GetProperty("activeTargets").EnumerateArray())
            {
                var health = target.GetProperty("health").GetString();
                if (health != "unknown")
                {
                    judged[target.GetProperty("scrapePool").GetString()!] = health == "up";
                }
            }
        }

        Assert.Equal(
            judged.Where(j => j.Value).Select(j => j.Key).Order(StringComparer.Ordinal),
            vectors.Where(v => Scrapes(v.Body)).Select(v => v.Name).Order(StringComparer.Ordinal));
    }

    static bool Scrapes(byte[] body)
    {
        try
        {
            Exposed.Samples(new OpenMetricsParser(body));
            return true;
        }
        catch (ExpositionException)
        {
            return false;
        }
    }

    static IEnumerable<(string Name, byte[] Body)> Vectors() =>
        Directory.GetDirectories(Required.Shared("openmetrics")).Order(StringComparer.Ordinal).Select(d => (Path.GetFileName(d), File.ReadAllBytes(Path.Combine(d, "metrics"))));
}
