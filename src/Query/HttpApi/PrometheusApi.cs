using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Logging;
using Observe.Query.Fanout;
using Observe.Query.Promql;
using Observe.Query.Promql.Parsing;
using Observe.Tsdb.Querying;
using Observe.Tsdb.Regex;

namespace Observe.Query.HttpApi;

/// <summary>Prometheus's HTTP API with Thanos's parameters, under <c>api/v1</c>.</summary>
public static class PrometheusApi
{
    /// <summary>Maps all endpoints; call it on a group with a route prefix to have them elsewhere than at the root.</summary>
    /// <exception cref="FormatException">The origin's pattern is not valid.</exception>
    public static IEndpointRouteBuilder MapPrometheusApi(this IEndpointRouteBuilder endpoints, PrometheusApiOptions options)
    {
        var api = new ApiRoutes(endpoints, options);
        QueryEndpoints.Map(api);
        SeriesEndpoints.Map(api);
        StatusEndpoints.Map(api);
        BucketEndpoints.Map(api);
        api.MapRest();
        return endpoints;
    }
}

/// <summary>The parts that all endpoints share: methods, CORS, errors, metrics.</summary>
sealed partial class ApiRoutes
{
    const string Get = "GET, OPTIONS";
    const string GetOrPost = "GET, OPTIONS, POST";
    readonly IEndpointRouteBuilder _endpoints;
    readonly PrometheusApiOptions _options;
    readonly ILogger _logger;
    readonly LabelRegex? _origin;

    public ApiRoutes(IEndpointRouteBuilder endpoints, PrometheusApiOptions options)
    {
        (_endpoints, _options) = (endpoints, options);
        _logger = options.Logging.CreateLogger<ApiRoutes>();
        _origin = options.CorsOrigin is null ? null : new LabelRegex(options.CorsOrigin);
    }

    /// <param name="name">The endpoint's name in metrics.</param>
    public void Map(string path, string name, Func<ApiCall, Task> answer, bool post = false) =>
        _endpoints.Map("/api/v1/" + path, http => HandleAsync(http, name, post ? GetOrPost : Get, answer));

    /// <summary>Answers all other paths under <c>api/v1</c>.</summary>
    public void MapRest() => _endpoints.Map("/api/v1/{**rest}", async http =>
    {
        Cors(http);
        if (HttpMethods.IsOptions(http.Request.Method))
        {
            http.Response.StatusCode = StatusCodes.Status204NoContent;
            return;
        }

        http.Response.StatusCode = StatusCodes.Status404NotFound;
        http.Response.ContentType = "text/plain; charset=utf-8";
        await http.Response.WriteAsync("404 page not found\n", http.RequestAborted);
    });

    async Task HandleAsync(HttpContext http, string name, string methods, Func<ApiCall, Task> answer)
    {
        var method = http.Request.Method;
        Cors(http);
        if (HttpMethods.IsOptions(method))
        {
            http.Response.StatusCode = StatusCodes.Status204NoContent;
            return;
        }

        if (!HttpMethods.IsGet(method) && !(HttpMethods.IsPost(method) && methods == GetOrPost))
        {
            http.Response.StatusCode = StatusCodes.Status405MethodNotAllowed;
            http.Response.Headers.Allow = methods;
            http.Response.ContentType = "text/plain; charset=utf-8";
            await http.Response.WriteAsync("Method Not Allowed\n", http.RequestAborted);
            return;
        }

        var began = _options.Time.GetTimestamp();
        try
        {
            await AnswerAsync(http, answer);
        }
        finally
        {
            _options.Metrics?.Observe(name, method, http.Response.StatusCode, _options.Time.GetElapsedTime(began));
        }
    }

    async Task AnswerAsync(HttpContext http, Func<ApiCall, Task> answer)
    {
        RequestParameters? parameters = null;
        ApiException? error = null;
        try
        {
            parameters = await RequestParameters.ReadAsync(http.Request, _options.MaxBodyBytes, http.RequestAborted);
        }
        catch (ApiException e)
        {
            error = e;
        }

        await using var call = new ApiCall(http, _options, parameters!);
        try
        {
            if (error is null)
            {
                await answer(call);
            }
        }
        catch (Exception e)
        {
            error = Error(e, http);
            if (error.Status == StatusCodes.Status500InternalServerError)
            {
                LogInternal(http.Request.Path, e);
            }
        }

        if (error is not null)
        {
            if (http.RequestAborted.IsCancellationRequested)
            {
                http.Response.StatusCode = error.Status;
                return;
            }

            await call.FailAsync(error);
        }
    }

    /// <summary>The error of Prometheus's API that an exception stands for.</summary>
    static ApiException Error(Exception e, HttpContext http) => e switch
    {
        ApiException api => api,
        ParseException parse => ApiException.Parameter("query", parse.Message),
        QueryException { IsBadData: true } => ApiException.Parameter("query", e.Message),
        QueryException or LimitException => ApiException.Execution(e.Message),
        QueryTimeoutException => ApiException.Timeout(e.Message),
        OperationCanceledException when http.RequestAborted.IsCancellationRequested =>
            ApiException.Canceled("query was canceled in query execution"),
        OperationCanceledException => ApiException.Unavailable("the server is shutting down"),
        OutOfMemoryException => ApiException.Unavailable("there is not enough memory for the query at the moment"),
        PartialResponseException => ApiException.Unavailable(e.Message),
        _ => ApiException.Internal(e.Message),
    };

    void Cors(HttpContext http)
    {
        if (_origin is null)
        {
            return;
        }

        var headers = http.Response.Headers;
        headers.Append("Vary", "Origin");
        if (http.Request.Headers.Origin is not [{ Length: > 0 } origin])
        {
            return;
        }

        headers.AccessControlAllowHeaders = "Accept, Authorization, Content-Type, Origin";
        headers.AccessControlAllowMethods = "GET, POST, OPTIONS";
        headers.AccessControlExposeHeaders = "Date";
        if (_origin.Pattern == ".*")
        {
            headers.AccessControlAllowOrigin = "*";
        }
        else if (_origin.IsMatch(origin))
        {
            headers.AccessControlAllowOrigin = origin;
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "request failed path={Path}")]
    partial void LogInternal(string path, Exception exception);
}
