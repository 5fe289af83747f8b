using System.IO.Compression;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Observe.Tsdb.Querying;

namespace Observe.Query.HttpApi;

/// <summary>One request and its answer, which is streamed: only a part of the text is in memory at a time.</summary>
sealed class ApiCall(HttpContext http, PrometheusApiOptions options, RequestParameters parameters) : IAsyncDisposable
{
    const int FlushBytes = 64 << 10;
    const int MaxAnnotations = 10;
    const int CompressFromBytes = 1024;
    Stream? _body;
    Utf8JsonWriter? _data;

    public HttpContext Http { get; } = http;

    public PrometheusApiOptions Options { get; } = options;

    public RequestParameters Parameters { get; } = parameters;

    public JsonText Json { get; } = new();

    public CancellationToken Cancelled => Http.RequestAborted;

    public long Now => Options.Time.GetUtcNow().ToUnixTimeMilliseconds();

    /// <summary>Begins a successful answer; the caller writes the data next.</summary>
    public JsonText Begin() => Json.Raw("{\"status\":\"success\",\"data\":"u8);

    /// <summary>Begins a successful answer whose data is written with this writer.</summary>
    public Utf8JsonWriter BeginData()
    {
        Begin();
        return _data = new Utf8JsonWriter(Json, ApiJson.Options);
    }

    /// <summary>Ends a successful answer.</summary>
    public ValueTask EndAsync() => EndAsync([], []);

    public ValueTask EndAsync(Coverage coverage) => EndAsync(coverage, coverage.Warnings(), coverage.Infos());

    /// <summary>Ends an answer with a coverage that warnings and infos tell of, among others.</summary>
    public ValueTask EndAsync(Coverage coverage, IReadOnlyList<string> warnings, IReadOnlyList<string> infos)
    {
        if (coverage.IsPartial)
        {
            Options.Metrics?.CountIncomplete();
        }

        return EndAsync(warnings, infos);
    }

    public ValueTask EndAsync(IReadOnlyList<string> warnings, IReadOnlyList<string> infos)
    {
        _data?.Flush();
        Annotations("warnings"u8, warnings, "PromQL warning:", "warning");
        Annotations("infos"u8, infos, "PromQL info:", "info");
        Json.Raw("}"u8);
        if (warnings.Count > 0 && !Http.Response.HasStarted)
        {
            Http.Response.Headers.CacheControl = "no-store";
        }

        return FinishAsync();
    }

    /// <summary>
    /// Answers with an error instead of the answer that was begun. Where a part of that was sent already the connection is aborted, so that
    /// no client takes the answer for complete.
    /// </summary>
    public async ValueTask FailAsync(ApiException error)
    {
        if (Http.Response.HasStarted)
        {
            Http.Abort();
            return;
        }

        Json.Clear();
        Json.Raw("{\"status\":\"error\",\"errorType\":"u8).Text(error.Type).Raw(",\"error\":"u8).Text(error.Message).Raw("}"u8);
        Http.Response.StatusCode = error.Status;
        await FinishAsync();
    }

    /// <summary>Sends the text that was written so far, once it is long enough.</summary>
    /// <param name="noStore">The answer will have warnings, so that it must not be cached.</param>
    public async ValueTask FlushAsync(bool noStore = false)
    {
        _data?.Flush();
        if (Json.Length < FlushBytes)
        {
            return;
        }

        if (_body is null && noStore)
        {
            Http.Response.Headers.CacheControl = "no-store";
        }

        await SendAsync();

        // A long answer to a fast client would be written without ever waiting, so that other requests get the thread in between.
        await Task.Yield();
    }

    public async ValueTask DisposeAsync()
    {
        Json.Dispose();
        if (_body is not null && _body != Http.Response.Body)
        {
            await _body.DisposeAsync();
        }
    }

    async ValueTask FinishAsync()
    {
        if (_body is null && Json.Length < CompressFromBytes)
        {
            Headers();
            Http.Response.ContentLength = Json.Length;
            _body = Http.Response.Body;
        }

        await SendAsync();
        if (_body != Http.Response.Body)
        {
            await _body!.DisposeAsync();
            _body = Http.Response.Body;
        }
    }

    async ValueTask SendAsync()
    {
        if (_body is null)
        {
            Headers();
            _body = Http.Response.Body;
            if (AcceptsGzip(Http.Request))
            {
                Http.Response.Headers.ContentEncoding = "gzip";
                _body = new GZipStream(_body, CompressionLevel.Fastest, leaveOpen: true);
            }
        }

        await _body.WriteAsync(Json.Written, Cancelled);
        Json.Clear();
    }

    void Headers()
    {
        Http.Response.ContentType = "application/json";
        Http.Response.Headers.Append("Vary", "Accept-Encoding");
    }

    /// <summary>
    /// Of PromQL's own warnings and infos the first ten are given, as in Prometheus; those about missing data are always given.
    /// </summary>
    void Annotations(ReadOnlySpan<byte> name, IReadOnlyList<string> texts, string own, string kind)
    {
        if (texts.Count == 0)
        {
            return;
        }

        var given = new List<string>();
        var (kept, omitted) = (0, 0);
        foreach (var text in texts)
        {
            if (!text.StartsWith(own, StringComparison.Ordinal))
            {
                given.Add(text);
            }
            else if (kept < MaxAnnotations)
            {
                given.Add(text);
                kept++;
            }
            else
            {
                omitted++;
            }
        }

        if (omitted > 0)
        {
            given.Add($"{omitted} more {kind} annotations omitted");
        }

        Json.Key(name).TextList(given);
    }

    internal static bool AcceptsGzip(HttpRequest request)
    {
        foreach (var header in request.Headers.AcceptEncoding)
        {
            foreach (var range in (header ?? "").AsSpan().Split(','))
            {
                var coding = header.AsSpan()[range].Trim();
                var parameters = coding.IndexOf(';');
                if (coding[..(parameters < 0 ? coding.Length : parameters)].TrimEnd().Equals("gzip", StringComparison.OrdinalIgnoreCase))
                {
                    return parameters < 0 || coding[(parameters + 1)..].Trim() is not ("q=0" or "q=0.0" or "q=0.00" or "q=0.000");
                }
            }
        }

        return false;
    }
}
