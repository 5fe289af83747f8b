using System.Globalization;
using System.Text.Json;
using Observe.Testkit;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Regex;
using Xunit;

namespace Observe.Tsdb.Tests.Regex;

/// <summary>Patterns, right and wrong, given to a real Prometheus (through label_replace and a selector) and to us: the same groups, the same errors.</summary>
public class LabelRegexConformanceTests(ITestOutputHelper output)
{
    static readonly string[] s_atoms =
    [
        "a", "b", "K", "s", "é", "日", "😀", "-", "\\.", "\n", ".", ".*", ".+", ".*?", "(.*)", "(.+)", "[a-c]", "[^a-z]", "\\d", "\\w", "\\s", "\\W", "\\pL",
        "\\p{Greek}", "\\P{Lu}", "[[:alpha:]]", "[\\d_]", "\\x41", "\\x{1F600}", "\\b", "\\B", "^", "$", "(a|ab)", "(?:b|)", "(?P<n>a|b)", "(a*)*", "(?i)k",
        "(?i:S)", "(?-s:.)", "(?U)a*", "\\QA.\\E",
    ];

    static readonly string[] s_quantifiers = ["", "", "", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{0,2}", "{1,}"];

    static readonly string[] s_faults = ["(", ")", "[", "*", "{2}{3}", "\\", "(?=", "\\8", "[b-a]", "{1001}", "(?P<x y>", "\\pX", "[[:foo:]]", "\\xg", "(?i"];

    static readonly string[] s_values = ["", "a", "b", "ab", "aab", "K", "k", "\u212a", "s", "ſ", "é", "日本", "😀", "a-b.c", "a\nb", "A.", "abcab 12", "aé b_", "sKs"];

    [Fact]
    public async Task Prometheus_and_we_match_alike()
    {
        var folder = Checkout.NewFolder("regex");
        try
        {
            await using var prometheus = await PrometheusServer.StartAsync(folder);
            using var client = new HttpClient { BaseAddress = prometheus.Url };
            var differences = new List<string>();
            var (random, refused) = (new Random(20_26), 0);
            for (var i = 0; i < 700; i++)
            {
                var pattern = Pattern(random);
                var (theirs, ours) = (await AskAsync(client, pattern), Ours(pattern));
                refused += ours.StartsWith("error", StringComparison.Ordinal) ? 1 : 0;
                if (theirs != ours)
                {
                    differences.Add($"{pattern}\n  Prometheus: {theirs}\n  Observe:    {ours}");
                }
            }

            output.WriteLine($"700 patterns with {s_values.Length} values each, {refused} of them refused");
            Assert.True(differences.Count == 0, string.Join('\n', differences.Take(10)));
            Assert.InRange(refused, 20, 350);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    static string Pattern(Random random)
    {
        var choices = Enumerable.Range(0, random.Next(1, 4)).Select(_ => string.Concat(
            Enumerable.Range(0, random.Next(0, 5)).Select(_ => s_atoms[random.Next(s_atoms.Length)] + s_quantifiers[random.Next(s_quantifiers.Length)])));
        var pattern = string.Join('|', choices);
        return random.Next(6) == 0 ? pattern.Insert(random.Next(pattern.Length + 1), s_faults[random.Next(s_faults.Length)]) : pattern;
    }

    const string Template = "<$0|$1|$2|$3|$n>";

    static string Ours(string pattern)
    {
        try
        {
            var regex = new LabelRegex(pattern);
            return string.Join(';', s_values.Select(v => regex.Expand(v, Template) ?? "-"));
        }
        catch (FormatException e)
        {
            return e.Message;
        }
    }

    static async Task<string> AskAsync(HttpClient client, string pattern)
    {
        var parsed = await PostAsync(client, "api/v1/parse_query", $"{{x=~{GoText.Quote(pattern)},y=\"z\"}}");
        if (parsed.TryGetProperty("error", out var error))
        {
            return error.GetString()!.Split("parse error: ")[^1];
        }

        var vectors = s_values.Select((v, i) => string.Create(
            CultureInfo.InvariantCulture, $"label_replace(label_replace(vector(1),\"src\",{GoText.Quote(v)},\"\",\"\"),\"i\",\"{i}\",\"\",\"\")"));
        var answer = await PostAsync(
            client, "api/v1/query", $"label_replace({string.Join(" or ", vectors)},\"dst\",{GoText.Quote(Template)},\"src\",{GoText.Quote(pattern)})");
        var results = Enumerable.Repeat("-", s_values.Length).ToArray();
        foreach (var series in answer.GetProperty("data").GetProperty("result").EnumerateArray())
        {
            var labels = series.GetProperty("metric");
            if (labels.TryGetProperty("dst", out var expanded))
            {
                results[int.Parse(labels.GetProperty("i").GetString()!, CultureInfo.InvariantCulture)] = expanded.GetString()!;
            }
        }

        return string.Join(';', results);
    }

    static async Task<JsonElement> PostAsync(HttpClient client, string path, string query)
    {
        using var form = new FormUrlEncodedContent([KeyValuePair.Create("query", query), KeyValuePair.Create("time", "0")]);
        using var response = await client.PostAsync(new Uri(path, UriKind.Relative), form);
        return JsonDocument.Parse(await response.Content.ReadAsStringAsync()).RootElement;
    }
}
