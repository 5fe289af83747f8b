using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Observe.Query.Page;

/// <summary>The page for people at <c>/</c>: one document for all its views, and the files that it loads.</summary>
public static class PageEndpoints
{
    /// <summary>The browser loads files of this server only, and no inline script or style.</summary>
    internal const string ContentSecurityPolicy =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

    const string Missing = """
        Observe is running; its API is at api/v1.
        The page that belongs here was not built with it. On a machine with Node.js:

            make ui && make build

        """;

    /// <summary>Paths of the page's views; <c>graph</c> is where links in Prometheus's alerts point.</summary>
    static readonly string[] s_views = ["", "query", "graph", "fleet", "targets", "blocks", "alerts", "rules", "status"];

    public static IEndpointRouteBuilder MapPage(this IEndpointRouteBuilder endpoints) =>
        endpoints.MapPage(PageFiles.Of(typeof(PageEndpoints).Assembly));

    internal static IEndpointRouteBuilder MapPage(this IEndpointRouteBuilder endpoints, PageFiles files)
    {
        foreach (var view in s_views)
        {
            endpoints.MapMethods("/" + view, ["GET", "HEAD"], http => ViewAsync(http, files.Index));
        }

        endpoints.MapMethods(
            "/assets/{name}", ["GET", "HEAD"], http => FileAsync(http, files.Find("assets/" + http.GetRouteValue("name"))));
        endpoints.MapMethods("/favicon.svg", ["GET", "HEAD"], http => FileAsync(http, files.Find("favicon.svg")));
        return endpoints;
    }

    static Task ViewAsync(HttpContext http, PageFile? index)
    {
        var request = http.Request;
        if (!request.Path.HasValue && request.PathBase.HasValue)
        {
            // Files are addressed relative to the document.
            http.Response.Redirect(request.PathBase + "/" + request.QueryString);
            return Task.CompletedTask;
        }

        if (index is not null)
        {
            return FileAsync(http, index);
        }

        Protect(http.Response.Headers);
        http.Response.ContentType = "text/plain; charset=utf-8";
        return http.Response.WriteAsync(Missing, http.RequestAborted);
    }

    static async Task FileAsync(HttpContext http, PageFile? file)
    {
        var (request, response) = (http.Request, http.Response);
        Protect(response.Headers);
        if (file is null)
        {
            response.StatusCode = StatusCodes.Status404NotFound;
            response.ContentType = "text/plain; charset=utf-8";
            await response.WriteAsync("404 page not found\n", http.RequestAborted);
            return;
        }

        response.Headers.CacheControl = file.IsHashed ? "public, max-age=31536000, immutable" : "no-cache";
        response.Headers.ETag = file.Tag;
        response.Headers.Vary = "Accept-Encoding";
        if (request.Headers.IfNoneMatch.ToString().Contains(file.Tag, StringComparison.Ordinal))
        {
            response.StatusCode = StatusCodes.Status304NotModified;
            return;
        }

        var content = file.Content;
        if (file.Gzip is not null && HttpApi.ApiCall.AcceptsGzip(request))
        {
            response.Headers.ContentEncoding = "gzip";
            content = file.Gzip;
        }

        response.ContentType = file.ContentType;
        response.ContentLength = content.Length;
        if (!HttpMethods.IsHead(request.Method))
        {
            await response.Body.WriteAsync(content, http.RequestAborted);
        }
    }

    static void Protect(IHeaderDictionary headers)
    {
        headers.ContentSecurityPolicy = ContentSecurityPolicy;
        headers.XContentTypeOptions = "nosniff";
        headers["Referrer-Policy"] = "same-origin";
        headers["Cross-Origin-Opener-Policy"] = "same-origin";
    }
}
