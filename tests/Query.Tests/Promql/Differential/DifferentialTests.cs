using System.Globalization;
using System.Text.Json;
using Observe.Query.Promql;
using Observe.Query.Promql.Parsing;
using Observe.Store.Blocks;
using Observe.Store.Querying;
using Observe.Testkit;
using Xunit;
using Xunit.Abstractions;

namespace Observe.Query.Tests.Promql.Differential;

/// <summary>Random queries on a real Prometheus and on this engine, over the same block.</summary>
public class DifferentialTests(ITestOutputHelper output)
{
    const double Tolerance = 1e-12;

    [Fact]
    public async Task Random_queries_give_what_Prometheus_gives()
    {
        var (seed, count) = (Setting("FUZZ_SEED", 1), Setting("FUZZ_QUERIES", 300));
        var folder = Checkout.NewFolder("differential");
        try
        {
            var series = RandomSeries.Make(new Random(seed));
            var meta = new BlockMeta
            {
                Id = BlockId.New(DateTimeOffset.FromUnixTimeMilliseconds(RandomSeries.End), new Random(seed)),
                MinTime = RandomSeries.Start,
                MaxTime = RandomSeries.End + 1,
            };
            await WrittenBlock.WriteAsync(folder, meta, series);
            await using var prometheus = await PrometheusServer.StartAsync(folder);
            if (prometheus is null)
            {
                output.WriteLine("no prometheus at hand: nothing is compared");
                return;
            }

            using var block = Block.Open(Path.Combine(folder, meta.Id.ToString()));
            using var client = new HttpClient { BaseAddress = prometheus.Url };
            using var engine = new PromqlEngine(new EngineOptions());
            var failures = new List<string>();
            var (inexact, noted, errors, undecided, changed) = (0, 0, 0, 0, 0);
            for (var i = 0; i < count; i++)
            {
                var random = new Random((seed * 1_000_003) + i);
                var query = Environment.GetEnvironmentVariable("FUZZ_QUERY") is { } given ? given.Split(";;")[i] : new RandomQueries(random).Next();
                var (start, step) = (RandomSeries.Start + (random.Next(0, 40 * 60) * 1000L), random.Next(1, 20) * 15_000L);
                var end = random.Next(3) == 0 ? start : start + (step * random.Next(1, 30));
                var expected = await AskAsync(client, query, start, end, step);
                var actual = await AskAsync(engine, block, query, start, end, step);
                var where = string.Create(CultureInfo.InvariantCulture, $"seed {seed} query {i} [{start} {end} {step}]: {query}: ");
                errors += expected.Error is null ? 0 : 1;
                if (actual.Difference(expected, Tolerance) is { } difference)
                {
                    if (await IsUndecidedAsync(client, query, start, end, step, expected, actual))
                    {
                        undecided++;
                    }
                    else if (IsChanged(difference))
                    {
                        changed++;
                    }
                    else
                    {
                        failures.Add(where + difference);
                    }
                }
                else
                {
                    if (actual.Difference(expected, 0) is { } rounding)
                    {
                        inexact++;
                        output.WriteLine($"INEXACT {where}{rounding}");
                    }

                    if (actual.Error is null && !actual.Notes.SetEquals(expected.Notes))
                    {
                        noted++;
                        output.WriteLine($"NOTES {where}{string.Join(" | ", actual.Notes.Except(expected.Notes))} <> {string.Join(" | ", expected.Notes.Except(actual.Notes))}");
                    }
                }
            }

            failures.ForEach(output.WriteLine);
            output.WriteLine($"{count} queries: {failures.Count} differ, {inexact} within {Tolerance}, {noted} with other notes, {errors} errors, {undecided} undecided in Prometheus itself, {changed} changed since 3.5");
            Assert.Empty(failures);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>Prometheus evaluates some expressions in the random order of a Go map: ties in topk fall this way or that, and sums round so or so.</summary>
    static async Task<bool> IsUndecidedAsync(HttpClient client, string query, long start, long end, long step, Answer expected, Answer actual)
    {
        for (var i = 0; i < 20; i++)
        {
            var again = await AskAsync(client, query, start, end, step);
            if (again.Difference(expected, Tolerance) is not null || actual.Difference(again, Tolerance) is null)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Prometheus 3.5 looked for several matches among the comparisons that held; later versions among all.</summary>
    static bool IsChanged(string difference) => difference.StartsWith("error multiple matches for labels", StringComparison.Ordinal)
        && difference.EndsWith("expected none", StringComparison.Ordinal);

    static async Task<Answer> AskAsync(HttpClient client, string query, long start, long end, long step)
    {
        static string Seconds(long milliseconds) => (milliseconds / 1000.0).ToString(CultureInfo.InvariantCulture);
        var form = start == end
            ? new Dictionary<string, string> { ["query"] = query, ["time"] = Seconds(start) }
            : new Dictionary<string, string> { ["query"] = query, ["start"] = Seconds(start), ["end"] = Seconds(end), ["step"] = Seconds(step) };
        using var content = new FormUrlEncodedContent(form);
        using var response = await client.PostAsync(new Uri(start == end ? "api/v1/query" : "api/v1/query_range", UriKind.Relative), content);
        using var json = JsonDocument.Parse(await response.Content.ReadAsStringAsync());
        return Answer.Of(json.RootElement);
    }

    static async Task<Answer> AskAsync(PromqlEngine engine, Block block, string query, long start, long end, long step)
    {
        try
        {
            return Answer.Of(start == end
                ? await engine.InstantAsync(block, new InstantQuery(query, start), CancellationToken.None)
                : await engine.RangeAsync(block, new RangeQuery(query, start, end, step), CancellationToken.None));
        }
        catch (Exception e) when (e is ParseException or QueryException or LimitException)
        {
            return new Answer(e.Message, new(StringComparer.Ordinal), []);
        }
    }

    static int Setting(string name, int standard) =>
        int.TryParse(Environment.GetEnvironmentVariable(name), CultureInfo.InvariantCulture, out var value) ? value : standard;
}
