using System.Net;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Observe.Testkit;
using Xunit;

namespace Observe.Query.Tests.HttpApi;

/// <summary>The same request to Prometheus and to Observe, over the same block: the same status, headers and bytes, but for order where it is free.</summary>
public sealed class PrometheusConformanceTests(PrometheusPair pair) : IClassFixture<PrometheusPair>
{
    const string T = "1700008000";
    const string Range = "start=1700007000&end=1700009000";

    [Theory]
    [InlineData("query?query=1%2B1&time=4")]
    [InlineData("query?query=http_requests_total&time=" + T)]
    [InlineData("query?query=http_requests_total&time=1700008000.123")]
    [InlineData("query?query=http_requests_total&time=2023-11-15T00:26:40.5Z")]
    [InlineData("query?query=http_requests_total%5B1m%5D&time=" + T)]
    [InlineData("query?query=special&time=" + T)]
    [InlineData("query?query=special%5B10m%5D&time=" + T)]
    [InlineData("query?query=temperature&time=" + T)]
    [InlineData("query?query=1e30&time=1.5")]
    [InlineData("query?query=-1e-7&time=-1.5")]
    [InlineData("query?query=NaN&time=0")]
    [InlineData("query?query=%22%3Ca%3E%20%26%20b%22&time=12.25")]
    [InlineData("query?query=vector(0)&time=" + T)]
    [InlineData("query?query=none&time=" + T)]
    [InlineData("query?query=sum(rate(http_requests_total%5B5m%5D))by(job)&time=" + T)]
    [InlineData("query?query=rate(http_requests_total%5B5m%5D)&time=" + T)]
    [InlineData("query?query=sort_desc(http_requests_total)&time=" + T)]
    [InlineData("query?query=topk(2,http_requests_total)&time=" + T)]
    [InlineData("query?query=histogram_quantile(0.9,rate(latency_seconds_bucket%5B5m%5D))&time=" + T)]
    [InlineData("query?query=http_requests_total&limit=2&time=" + T)]
    [InlineData("query?query=http_requests_total%20and%20ignoring(code)%20http_requests_total%7Bcode%3D%22500%22%7D&time=" + T)]
    [InlineData("query?query=rate(temperature%5B5m%5D)&time=" + T)]
    [InlineData("query_range?query=http_requests_total&step=60&" + Range)]
    [InlineData("query_range?query=special&step=1m&" + Range)]
    [InlineData("query_range?query=temperature&step=0.5&start=1700007000.25&end=1700007010")]
    [InlineData("query_range?query=1&step=100&" + Range)]
    [InlineData("query_range?query=sum(rate(http_requests_total%5B5m%5D))by(code)&step=30&" + Range)]
    [InlineData("query_range?query=http_requests_total%20%2F%20on()%20group_left%20sum(http_requests_total)&step=300&" + Range)]
    [InlineData("query_range?query=none&step=60&" + Range)]
    [InlineData("query_range?query=http_requests_total&step=60&limit=1&" + Range)]
    [InlineData("query_range?query=http_requests_total&step=1h&start=1700007000&end=1700007000")]
    [InlineData("query_range?query=avg_over_time(temperature%5B10m%3A1m%5D)&step=600&" + Range)]
    public Task Queries_are_answered_alike(string request) => Same(request);

    [Theory]
    [InlineData("query?query=up%7B")]
    [InlineData("query?query=")]
    [InlineData("query")]
    [InlineData("query?query=up&time=yesterday")]
    [InlineData("query?query=up&timeout=soon")]
    [InlineData("query?query=up&limit=-1")]
    [InlineData("query?query=up&limit=ten")]
    [InlineData("query?query=up&limit=99999999999999999999")]
    [InlineData("query?query=up&lookback_delta=x")]
    [InlineData("query?query=rate(up)")]
    [InlineData("query?query=foo(up)")]
    [InlineData("query?query=up%20%2B")]
    [InlineData("query?query=sum(up)by(a%3C)")]
    [InlineData("query?query=http_requests_total%20%2B%20on(job)%20sum(http_requests_total)by(job)&time=" + T)]
    [InlineData("query?query=label_replace(up%2C%22a%22%2C%22%241%22%2C%22b%22%2C%22(%22)&time=" + T)]
    [InlineData("query_range?query=up&step=60&end=1")]
    [InlineData("query_range?query=up&step=60&start=1")]
    [InlineData("query_range?query=up&step=60&start=2&end=1")]
    [InlineData("query_range?query=up&step=0&" + Range)]
    [InlineData("query_range?query=up&step=-1&" + Range)]
    [InlineData("query_range?query=up&step=x&" + Range)]
    [InlineData("query_range?query=up&step=1e300&" + Range)]
    [InlineData("query_range?query=up&step=1&start=0&end=11001")]
    [InlineData("query_range?query=up%5B5m%5D&step=60&" + Range)]
    [InlineData("query_range?query=%22text%22&step=60&" + Range)]
    [InlineData("series")]
    [InlineData("series?match[]=%7B")]
    [InlineData("series?match[]=%7Ba%3D%22%22%7D")]
    [InlineData("series?match[]=up&start=x")]
    [InlineData("series?match[]=up&limit=x")]
    [InlineData("labels?match[]=%7B")]
    [InlineData("labels?match[]=%7B__name__%3D~%22.*%22%7D")]
    [InlineData("labels?end=x")]
    [InlineData("label/job/values?match[]=1")]
    [InlineData("query_exemplars?query=up%7B&start=1&end=2")]
    [InlineData("query_exemplars?query=up&start=2&end=1")]
    [InlineData("query_exemplars?query=up&start=x&end=1")]
    [InlineData("format_query?query=up%7B")]
    [InlineData("parse_query?query=sum(")]
    [InlineData("metadata?limit=x")]
    [InlineData("rules?type=x")]
    [InlineData("targets/metadata?limit=x")]
    [InlineData("targets/metadata?match_target=%7B")]
    [InlineData("nothing")]
    [InlineData("label/a/b/values")]
    [InlineData("label/U__/values")]
    [InlineData("query?query=%ff")]
    [InlineData("query?query=up%ff")]
    [InlineData("query?query={a=%22%ff%22}")]
    [InlineData("query?query=%22%C3%28%22")]
    [InlineData("query?query=%22%ed%a0%80%22")]
    [InlineData("query?query=%zz")]
    [InlineData("query?query=1;a=2")]
    [InlineData("query?query=1&time=%ff")]
    [InlineData("query?query=1&timeout=%ff")]
    [InlineData("query_range?query=1&start=%ff&end=1&step=1")]
    [InlineData("query_range?query=1&start=0&end=1&step=%ff")]
    [InlineData("series?match[]=up%ff")]
    [InlineData("series?match[]={%22%ff%22=%22a%22}")]
    [InlineData("series?match[]=up&limit=%ff")]
    [InlineData("labels?match[]={a=%22%ff%22}")]
    [InlineData("labels?start=%ff")]
    [InlineData("label/%ff/values")]
    [InlineData("label/a%ffb/values")]
    [InlineData("format_query?query=%22%ff%22")]
    [InlineData("parse_query?query={a=%22%ff%22}")]
    public Task Faults_are_told_alike(string request) => Same(request);

    [Theory]
    [InlineData("labels")]
    [InlineData("labels?limit=2")]
    [InlineData("labels?match[]=http_requests_total")]
    [InlineData("labels?match[]=http_requests_total&match[]=temperature")]
    [InlineData("labels?start=1&end=2")]
    [InlineData("label/__name__/values")]
    [InlineData("label/__name__/values?limit=1")]
    [InlineData("label/room/values")]
    [InlineData("label/job/values?match[]=http_requests_total%7Bcode%3D%22500%22%7D")]
    [InlineData("label/job/values?match[]=temperature&match[]=latency_seconds_bucket")]
    [InlineData("label/none/values")]
    [InlineData("label/U__job/values")]
    [InlineData("label/U___6a_ob/values")]
    [InlineData("label/http.status/values")]
    [InlineData("label/a+b/values")]
    [InlineData("label/a%2Bb/values")]
    [InlineData("label/a%252Fb/values")]
    [InlineData("labels?%ff=1&%zz=2&a=%zz;b")]
    [InlineData("series?match[]=http_requests_total")]
    [InlineData("series?match[]=http_requests_total&limit=2")]
    [InlineData("series?match[]=temperature&match[]=%7Bjob%3D%22web%22%7D&match[]=temperature")]
    [InlineData("series?match[]=none")]
    [InlineData("series?match[]=temperature&start=1&end=2")]
    [InlineData("series?match[]=%7B__name__!%3D%22%22%7D&limit=5&" + Range)]
    [InlineData("metadata")]
    [InlineData("targets")]
    [InlineData("targets?state=active")]
    [InlineData("targets/metadata")]
    [InlineData("scrape_pools")]
    [InlineData("alerts")]
    [InlineData("rules")]
    [InlineData("alertmanagers")]
    [InlineData("query_exemplars?query=test&start=1600000000000&end=1600096955479")]
    [InlineData("format_query?query=sum(rate(up%7Ba%3D%22%3Cb%3E%22%7D%5B5m%5D))by(job)%2F2")]
    [InlineData("parse_query?query=sum(rate(up%7Ba%3D%22%3Cb%3E%22%7D%5B5m%5D))by(job)%2F2")]
    [InlineData("parse_query?query=a%20and%20on(x)%20b%20or%20-c%5B5m%3A1m%5D%20offset%201h%20%40%20start()")]
    public Task Lookups_are_answered_alike(string request) => Same(request);

    [Theory]
    [InlineData("query", "query=1%2B1&time=4")]
    [InlineData("query?query=2&time=5", "query=1&time=4")]
    [InlineData("query?time=5", "query=1")]
    [InlineData("query_range", "query=temperature&step=100&" + Range)]
    [InlineData("labels", "match[]=temperature")]
    [InlineData("series?match[]=temperature", "match[]=special&limit=20")]
    [InlineData("query_exemplars", "query=test&start=1&end=2")]
    [InlineData("format_query", "query=up")]
    [InlineData("parse_query", "query=up")]
    [InlineData("label/job/values", "limit=1")]
    [InlineData("metadata", "limit=1")]
    [InlineData("rules", "")]
    public Task Forms_are_answered_alike(string request, string form) => Same(request, "POST", form);

    [Theory]
    [InlineData("DELETE", "query")]
    [InlineData("PUT", "query")]
    [InlineData("HEAD", "query")]
    [InlineData("DELETE", "label/job/values")]
    public Task Other_methods_are_refused_alike(string method, string request) => Same(request, method);

    [Fact]
    public async Task A_compressed_answer_holds_the_same()
    {
        using var ask = new HttpRequestMessage(HttpMethod.Get, "api/v1/query_range?query=special&step=15&" + Range);
        ask.Headers.Add("Accept-Encoding", "gzip, deflate, br, zstd");
        using var answer = await pair.Observe.SendAsync(ask);
        Assert.Equal(["gzip"], answer.Content.Headers.ContentEncoding);
        await using var gzip = new System.IO.Compression.GZipStream(await answer.Content.ReadAsStreamAsync(), System.IO.Compression.CompressionMode.Decompress);
        Assert.Equal(await pair.Observe.GetStringAsync(ask.RequestUri), await new StreamReader(gzip).ReadToEndAsync());
    }

    [Theory]
    [InlineData("instant", "sum by (job) (rate(http_requests_total[5m]))", "--time=" + T)]
    [InlineData("instant", "http_requests_total{", "--time=" + T)]
    [InlineData("range", "temperature", "--start=1700007000", "--end=1700007600", "--step=1m")]
    [InlineData("series", "", "--match=http_requests_total", "--match=temperature", "--start=1700007000", "--end=1700009000")]
    [InlineData("labels", "job", "--start=1700007000", "--end=1700009000")]
    public async Task Promtool_prints_the_same(string command, string argument, params string[] flags)
    {
        var outputs = new List<(int, string)>();
        foreach (var server in (HttpClient[])[pair.Prometheus, pair.Observe])
        {
            string[] arguments = ["query", command, .. flags, server.BaseAddress!.ToString(), .. argument.Length > 0 ? new[] { argument } : []];
            var (exitCode, output) = await ChildProcess.RunAsync(Required.Peer("promtool"), arguments);
            outputs.Add((exitCode, string.Join('\n', output.Split('\n').Order(StringComparer.Ordinal))));
        }

        Assert.Equal(outputs[0], outputs[1]);
        Assert.True(outputs[0].Item2.Length > 5);
    }

    async Task Same(string request, string method = "GET", string? form = null)
    {
        var expected = await Ask(pair.Prometheus, request, method, form);
        var actual = await Ask(pair.Observe, request, method, form);
        // Prometheus 3.5 does not have these yet.
        actual.Text = Regex.Replace(actual.Text, "\"(anchored|smoothed)\":false,|\"[a-z]+Expr\":null,|\"fillValues\":[^}]+},", "");
        Assert.Equal(expected.Text, actual.Text);
        Assert.Equal((expected.Status, expected.Type, expected.Allow), (actual.Status, actual.Type, actual.Allow));
    }

    static async Task<(HttpStatusCode Status, string? Type, string Allow, string Text)> Ask(HttpClient client, string request, string method, string? form)
    {
        using var ask = new HttpRequestMessage(new HttpMethod(method), "api/v1/" + request);
        if (form is not null)
        {
            ask.Content = new StringContent(form, Encoding.UTF8, "application/x-www-form-urlencoded");
        }

        using var answer = await client.SendAsync(ask);
        var text = await answer.Content.ReadAsStringAsync();
        var free = answer.IsSuccessStatusCode && request.StartsWith("query?", StringComparison.Ordinal) && !request.Contains("sort", StringComparison.Ordinal)
            && !request.Contains("limit", StringComparison.Ordinal);
        return (answer.StatusCode, answer.Content.Headers.ContentType?.ToString(), string.Join(", ", answer.Content.Headers.Allow), free ? Sorted(text) : text);
    }

    /// <summary>The elements of a vector in the order of their text: Prometheus gives them in any order.</summary>
    static string Sorted(string text)
    {
        var answer = JsonNode.Parse(text)!;
        if (answer["data"]?["resultType"]?.GetValue<string>() != "vector")
        {
            return text;
        }

        // The text is cut up, not parsed and printed, so that each number stays as it was written.
        var start = text.IndexOf("\"result\":[", StringComparison.Ordinal) + 10;
        var spans = new List<string>();
        var reader = new Utf8JsonReader(Encoding.UTF8.GetBytes(text));
        var bytes = Encoding.UTF8.GetBytes(text);
        var (inResult, from, end) = (false, -1L, 0L);
        while (reader.Read())
        {
            if (reader.TokenType == JsonTokenType.PropertyName && reader.CurrentDepth == 2 && reader.ValueTextEquals("result"))
            {
                inResult = true;
            }
            else if (inResult && reader.CurrentDepth == 3 && reader.TokenType == JsonTokenType.StartObject)
            {
                from = reader.TokenStartIndex;
            }
            else if (inResult && reader.CurrentDepth == 3 && reader.TokenType == JsonTokenType.EndObject)
            {
                end = reader.TokenStartIndex + 1;
                spans.Add(Encoding.UTF8.GetString(bytes, (int)from, (int)(end - from)));
            }
        }

        return spans.Count == 0 ? text : text[..start] + string.Join(',', spans.Order(StringComparer.Ordinal)) + Encoding.UTF8.GetString(bytes, (int)end, bytes.Length - (int)end);
    }
}
