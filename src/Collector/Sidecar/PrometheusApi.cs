using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Observe.Tsdb.Model;

namespace Observe.Collector.Sidecar;

/// <summary>Asks a Prometheus over its HTTP API what it says of itself.</summary>
/// <remarks>Whatever goes wrong is an <see cref="IOException"/> that names the URL: it is away, or answers what a Prometheus does not.</remarks>
public sealed class PrometheusApi : IDisposable
{
    const int MaxAnswer = 256 << 20;

    static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(10);
    readonly HttpClient _http;
    readonly Uri _url;

    /// <param name="url">As <c>--web.external-url</c> has it, a path prefix included; a user and password in it are sent as basic authentication.</param>
    public PrometheusApi(Uri url)
    {
        _url = new UriBuilder(url) { UserName = "", Password = "", Path = url.AbsolutePath.TrimEnd('/') + "/" }.Uri;
        _http = new HttpClient { Timeout = s_timeout, MaxResponseContentBufferSize = MaxAnswer };
        if (url.UserInfo.Length > 0)
        {
            _http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue(
                "Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes(Uri.UnescapeDataString(url.UserInfo))));
        }
    }

    /// <summary>Without user and password.</summary>
    public Uri Url => _url;

    public void Dispose() => _http.Dispose();

    /// <summary>Labels, spans of blocks, version.</summary>
    public async Task<PrometheusDescription> DescribeAsync(CancellationToken cancellationToken)
    {
        using var config = await GetAsync("api/v1/status/config", cancellationToken);
        using var flags = await GetAsync("api/v1/status/flags", cancellationToken);
        using var build = await GetAsync("api/v1/status/buildinfo", cancellationToken);
        var (labels, hash) = PrometheusDescription.ReadConfig(Text(config, "yaml"));
        var range = DurationOf(flags, "storage.tsdb.min-block-duration");
        return new PrometheusDescription(
            labels, hash, Text(build, "version"), range > 0 ? range : PrometheusDescription.UsualBlockRangeMs,
            DurationOf(flags, "storage.tsdb.max-block-duration"));
    }

    /// <summary>How many of its targets are up, and how many are not.</summary>
    public async Task<(int Up, int Down)> CountTargetsAsync(CancellationToken cancellationToken)
    {
        using var targets = await GetAsync("api/v1/targets?state=active", cancellationToken);
        var (up, down) = (0, 0);
        foreach (var target in Elements(Data(targets), "activeTargets"))
        {
            var health = Text(target, "health");
            up += health == "up" ? 1 : 0;
            down += health == "down" ? 1 : 0;
        }

        return (up, down);
    }

    /// <summary>An answer of the API, successful; its <c>data</c> is there.</summary>
    /// <param name="path">Relative to the URL.</param>
    public async Task<JsonDocument> GetAsync(string path, CancellationToken cancellationToken)
    {
        try
        {
            using var response = await _http.GetAsync(new Uri(_url, path), cancellationToken);
            if (!response.IsSuccessStatusCode)
            {
                throw new IOException($"{new Uri(_url, path)} answers {(int)response.StatusCode} {response.ReasonPhrase}");
            }

            var json = JsonDocument.Parse(await response.Content.ReadAsByteArrayAsync(cancellationToken));
            if (json.RootElement.ValueKind != JsonValueKind.Object || !json.RootElement.TryGetProperty("data", out _))
            {
                json.Dispose();
                throw new IOException($"{new Uri(_url, path)} answers what no Prometheus does");
            }

            return json;
        }
        catch (Exception e) when (e is HttpRequestException or JsonException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            throw new IOException($"Prometheus at {_url} does not answer: {(e is OperationCanceledException ? $"not within {s_timeout.TotalSeconds} s" : e.Message)}", e);
        }
    }

    /// <summary>The data of an answer.</summary>
    public static JsonElement Data(JsonDocument answer) => answer.RootElement.GetProperty("data");

    /// <summary>The text of a field; "" where there is none.</summary>
    /// <exception cref="IOException">It has half of a pair of surrogates.</exception>
    public static string Text(JsonElement of, string field)
    {
        if (of.ValueKind != JsonValueKind.Object || !of.TryGetProperty(field, out var value) || value.ValueKind != JsonValueKind.String)
        {
            return "";
        }

        try
        {
            return value.GetString()!;
        }
        catch (InvalidOperationException e)
        {
            throw new IOException($"the field {field} of Prometheus's answer is no text: {e.Message}", e);
        }
    }

    /// <summary>The elements of a list; none where there is no list.</summary>
    public static IEnumerable<JsonElement> Elements(JsonElement of, string field) =>
        of.ValueKind == JsonValueKind.Object && of.TryGetProperty(field, out var value) && value.ValueKind == JsonValueKind.Array ? value.EnumerateArray() : [];

    static string Text(JsonDocument answer, string field) => Text(Data(answer), field);

    /// <returns>Milliseconds; 0 where it is not said.</returns>
    static long DurationOf(JsonDocument flags, string flag) => Duration.TryParse(Text(flags, flag), out var milliseconds, out _) ? milliseconds : 0;
}
