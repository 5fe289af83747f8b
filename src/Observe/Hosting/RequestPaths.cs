using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Observe.Hosting;

/// <summary>What becomes of a request's path before an endpoint is looked for: what Go's servers do, as Prometheus's clients expect.</summary>
static class RequestPaths
{
    /// <summary>Bytes of path and query together, as in Go.</summary>
    public const int MaxTarget = 1 << 20;

    /// <param name="routePrefix">What all paths begin with, slashes around it or not; gRPC has no prefix.</param>
    public static void UseRequestPaths(this WebApplication app, string routePrefix)
    {
        var prefix = new PathString(routePrefix.Trim('/') is { Length: > 0 } name ? "/" + name : "");
        app.Use((http, next) => HttpProtocol.IsHttp2(http.Request.Protocol) ? next(http) : HandleAsync(http, prefix, next));
        if (prefix.HasValue)
        {
            app.UsePathBase(prefix);
        }
    }

    static Task HandleAsync(HttpContext http, PathString prefix, RequestDelegate next)
    {
        var request = http.Request;
        if (http.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget.Length > MaxTarget)
        {
            return TextAsync(
                http, StatusCodes.Status414UriTooLong, $"the URL is longer than {MaxTarget} bytes; send the parameters as a form, with POST");
        }

        var path = request.Path.Value ?? "";
        var isDotted = HasDots(http.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget);
        if (isDotted || path.Contains("//", StringComparison.Ordinal))
        {
            // The server has taken out dots already.
            var cleaned = new PathString("/" + string.Join('/', path.Split('/', StringSplitOptions.RemoveEmptyEntries)));
            return MovedAsync(http, path.EndsWith('/') && !isDotted ? cleaned.Add("/") : cleaned);
        }

        if (!prefix.HasValue || request.Path.StartsWithSegments(prefix))
        {
            return path.EndsWith('/') && path.Length > (prefix.Value?.Length ?? 0) + 1
                ? MovedAsync(http, new PathString(path[..^1]))
                : next(http);
        }

        return path is "" or "/"
            ? RedirectAsync(http, StatusCodes.Status302Found, "Found", prefix.ToUriComponent())
            : TextAsync(http, StatusCodes.Status404NotFound, "404 page not found");
    }

    static bool HasDots(string target)
    {
        var path = target.AsSpan(0, target.IndexOf('?') is var end and >= 0 ? end : target.Length);
        if (path.IndexOf('.') < 0 && !path.Contains("%2e", StringComparison.OrdinalIgnoreCase))
        {
            return false;
        }

        foreach (var segment in path.Split('/'))
        {
            if (Uri.UnescapeDataString(path[segment]) is "." or "..")
            {
                return true;
            }
        }

        return false;
    }

    static Task MovedAsync(HttpContext http, PathString path) => RedirectAsync(
        http, StatusCodes.Status301MovedPermanently, "Moved Permanently", path.ToUriComponent() + http.Request.QueryString);

    static Task RedirectAsync(HttpContext http, int status, string reason, string location)
    {
        http.Response.StatusCode = status;
        http.Response.Headers.Location = location;
        var isGet = HttpMethods.IsGet(http.Request.Method);
        http.Response.ContentType = isGet || HttpMethods.IsHead(http.Request.Method) ? "text/html; charset=utf-8" : null;
        return isGet
            ? http.Response.WriteAsync($"<a href=\"{WebUtility.HtmlEncode(location)}\">{reason}</a>.\n\n", http.RequestAborted)
            : Task.CompletedTask;
    }

    static Task TextAsync(HttpContext http, int status, string text)
    {
        http.Response.StatusCode = status;
        http.Response.ContentType = "text/plain; charset=utf-8";
        return http.Response.WriteAsync(text + "\n", http.RequestAborted);
    }
}
