using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Observe.Query.Promql.Parsing;
using Observe.Testkit;
using Xunit;

namespace Observe.Query.Tests.Promql.Parsing;

/// <summary>
/// Expressions and broken ones, read by a real Prometheus and by us: the same tree and the same print, or the same error. What a
/// Prometheus 3.5 does not know of 3.14's language is left out. FUZZ_SEED and FUZZ_TEXTS make a campaign of it.
/// </summary>
public partial class ParserConformanceTests(ITestOutputHelper output)
{
    static readonly string[] s_expressions =
    [
        "sum by (job, \"a b\") (rate(http_requests_total{code=~\"5..\", env!=''}[5m] offset -1m)) / ignoring (x) group_left (y) foo @ 1.5",
        "histogram_quantile(0.99, sum without (pod) (rate(latency_bucket{le!=\"+Inf\"}[1h30m] @ end())))",
        "max_over_time((foo > bool 0x1F)[1h:5m] offset 10s) unless on () bar or vector(NaN) and 5m ^ -2 ^ .5",
        "label_replace({\"http.status\", a=`x\\n`}, 'dst', \"$1\", \"src\", \"(.*)\") atan2 -time() % 1_000",
        "topk(5, foo) + count_values(\"v\", bar) - quantile(1e-3, {__name__=~\"a|b\"}) * absent(baz) == scalar(x) != pi()",
        "(sum(a) by (b) # comment\n + min(c)) <= hour() >= round(d, 0.1)",
    ];

    static readonly string[] s_pieces =
    [
        "(", ")", "{", "}", "[", "]", ",", "\"", "'", "`", "=", "==", "!=", "=~", "!~", "<", ">=", "+", "-", "*", "/", "%", "^", "@", " offset ",
        " by ", " on ", " group_right ", " bool ", "sum", "topk", "rate", "foo", "5m", "1.5", "Inf", " and ", " unless ", "#", "\n", " ", ":",
        "\\", "é", "!", ";", "1m", "by (a)", "[5m]", "[5m:1m]", "{a=\"b\"}", "08", "1e", "\"\\xg\"", "0x",
    ];

    [Fact]
    public async Task Prometheus_and_we_read_alike()
    {
        var folder = Checkout.NewFolder("parser");
        try
        {
            await using var prometheus = await PrometheusServer.StartAsync(folder);
            using var client = new HttpClient { BaseAddress = prometheus.Url };
            var (compared, differences) = (0, new List<string>());
            foreach (var text in Texts())
            {
                var (theirs, ours) = (await AskAsync(client, text), Ours(text));
                if (IsNewer(text, theirs) || NewerAnswer().IsMatch(ours))
                {
                    continue;
                }

                compared++;
                if (theirs != ours)
                {
                    differences.Add($"{text}\n  Prometheus: {theirs}\n  Observe:    {ours}");
                }
            }

            output.WriteLine($"{compared} compared");
            Assert.True(differences.Count == 0, string.Join('\n', differences.Take(10)));
            Assert.True(compared >= 1_000);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    static int Setting(string name, int standard) =>
        int.TryParse(Environment.GetEnvironmentVariable(name), CultureInfo.InvariantCulture, out var value) ? value : standard;

    static IEnumerable<string> Texts()
    {
        var random = new Random(Setting("FUZZ_SEED", 20_26));
        var sources = s_expressions.ToList();
        if (Checkout.SharedPath("promqltest") is { } folder)
        {
            sources.AddRange(Directory.GetFiles(folder, "*.test").Order(StringComparer.Ordinal).SelectMany(File.ReadLines)
                .Select(l => EvalLine().Match(l)).Where(m => m.Success).Select(m => m.Groups[1].Value).Distinct().Where((_, i) => i % 4 == 0));
        }

        foreach (var text in sources)
        {
            yield return text;
        }

        for (var i = 0; i < Setting("FUZZ_TEXTS", 1_500); i++)
        {
            var words = Word().Matches(sources[random.Next(i % 2 == 0 ? s_expressions.Length : sources.Count)]).Select(m => m.Value).ToList();
            for (var change = random.Next(1, 4); change > 0 && words.Count > 0; change--)
            {
                var at = random.Next(words.Count);
                switch (random.Next(4))
                {
                    case 0:
                        words.RemoveAt(at);
                        break;
                    case 1:
                        words.Insert(at, s_pieces[random.Next(s_pieces.Length)]);
                        break;
                    case 2:
                        words[at] = s_pieces[random.Next(s_pieces.Length)];
                        break;
                    default:
                        words.RemoveRange(at, words.Count - at);
                        break;
                }
            }

            yield return string.Concat(words);
        }
    }

    static async Task<string> AskAsync(HttpClient client, string text)
    {
        var parsed = await PostAsync(client, "api/v1/parse_query", text);
        if (parsed["error"] is { } error)
        {
            return error.GetValue<string>().Replace("invalid parameter \"query\": ", "", StringComparison.Ordinal);
        }

        var formatted = await PostAsync(client, "api/v1/format_query", text);
        return $"{formatted["data"]} {Canonical(parsed["data"]!)}";
    }

    static async Task<JsonNode> PostAsync(HttpClient client, string path, string text)
    {
        using var form = new FormUrlEncodedContent([KeyValuePair.Create("query", text)]);
        using var response = await client.PostAsync(new Uri(path, UriKind.Relative), form);
        return JsonNode.Parse(await response.Content.ReadAsStringAsync())!;
    }

    static string Ours(string text)
    {
        try
        {
            var expr = PromqlParser.Parse(text, ParserOptions.Default);
            return $"{Printer.Pretty(expr)} {Canonical(JsonNode.Parse(AstJsonTests.Json(expr))!)}";
        }
        catch (ParseException e)
        {
            return e.Message;
        }
    }

    /// <summary>Without the keys that came after 3.5.</summary>
    static string Canonical(JsonNode node)
    {
        Strip(node);
        return node.ToJsonString();

        static void Strip(JsonNode? node)
        {
            if (node is JsonObject json)
            {
                foreach (var key in new[] { "anchored", "smoothed", "offsetExpr", "rangeExpr", "stepExpr", "fillValues" })
                {
                    json.Remove(key);
                }
            }

            foreach (var child in node is JsonObject o ? o.Select(p => p.Value) : node is JsonArray array ? array : [])
            {
                Strip(child);
            }
        }
    }

    static bool IsNewer(string text, string theirs) => NewerText().IsMatch(text) || NewerAnswer().IsMatch(theirs);

    [GeneratedRegex(@"^\s*eval(?:_\w+)? (?:instant at \S+|range from \S+ to \S+ step \S+)\s+(.*)$")]
    private static partial Regex EvalLine();

    [GeneratedRegex(@"\w+|\s+|[^\w\s]")]
    private static partial Regex Word();

    [GeneratedRegex(@"</|>/|@|\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*:|offset\s*[-+]?\s*\(|ignoring\s*\(\s*\)|[^\x00-\x7f]|\b(fill|fill_left|fill_right|anchored|smoothed|range|step|start|end|max_of|min_of|first_over_time|ts_of_first_over_time|histogram_quantiles|start_timestamp)\b", RegexOptions.IgnoreCase)]
    private static partial Regex NewerText();

    [GeneratedRegex("bool modifier can only|unexpected colon|unexpected error|in subquery|in offset|unclosed left bracket|duration expression|expected ':'")]
    private static partial Regex NewerAnswer();
}
