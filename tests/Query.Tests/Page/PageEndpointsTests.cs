using System.IO.Compression;
using System.Net;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Observe.Query.Page;
using Xunit;

namespace Observe.Query.Tests.Page;

public sealed class PageEndpointsTests : IAsyncDisposable
{
    const int MaxBundleBytes = 350 << 10;
    static readonly byte[] s_script = Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat("console.log('observe');\n", 200)));
    readonly List<WebApplication> _servers = [];
    readonly HttpClient _client = new(new SocketsHttpHandler { AllowAutoRedirect = false });

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        foreach (var server in _servers)
        {
            await server.DisposeAsync();
        }
    }

    [Fact]
    public async Task Without_a_bundle_the_root_says_how_to_get_one()
    {
        var url = await ServeAsync(new PageFiles([]));
        using var answer = await _client.GetAsync(new Uri(url, "/"));
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Equal("text/plain", answer.Content.Headers.ContentType!.MediaType);
        Assert.Contains("make ui", await answer.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/")]
    [InlineData("/query?g0.expr=up")]
    [InlineData("/graph")]
    [InlineData("/fleet")]
    [InlineData("/targets")]
    [InlineData("/blocks")]
    [InlineData("/alerts")]
    [InlineData("/rules")]
    [InlineData("/status")]
    public async Task Every_view_is_the_same_document_under_a_strict_policy(string path)
    {
        var url = await ServeAsync(Bundle());
        using var answer = await _client.GetAsync(new Uri(url, path));
        Assert.Equal("<!doctype html>", await answer.Content.ReadAsStringAsync());
        var policy = Assert.Single(answer.Headers.GetValues("Content-Security-Policy"));
        Assert.Contains("default-src 'none'", policy, StringComparison.Ordinal);
        Assert.DoesNotContain("unsafe", policy, StringComparison.Ordinal);
        Assert.Equal("nosniff", Assert.Single(answer.Headers.GetValues("X-Content-Type-Options")));
        Assert.True(answer.Headers.CacheControl!.NoCache);

        using var again = new HttpRequestMessage(HttpMethod.Get, new Uri(url, path));
        again.Headers.IfNoneMatch.Add(answer.Headers.ETag!);
        using var unchanged = await _client.SendAsync(again);
        Assert.Equal(HttpStatusCode.NotModified, unchanged.StatusCode);
    }

    [Fact]
    public async Task Hashed_files_are_kept_for_a_year_and_come_compressed_to_whom_that_suits()
    {
        var url = await ServeAsync(Bundle());
        using var plain = await _client.GetAsync(new Uri(url, "/assets/index-1a2b.js"));
        Assert.Equal(s_script, await plain.Content.ReadAsByteArrayAsync());
        Assert.Equal(TimeSpan.FromDays(365), plain.Headers.CacheControl!.MaxAge);
        Assert.Equal("text/javascript", plain.Content.Headers.ContentType!.MediaType);

        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(url, "/assets/index-1a2b.js"));
        request.Headers.AcceptEncoding.ParseAdd("gzip");
        using var packed = await _client.SendAsync(request);
        Assert.Equal("gzip", Assert.Single(packed.Content.Headers.ContentEncoding));
        using var unpacked = new GZipStream(await packed.Content.ReadAsStreamAsync(), CompressionMode.Decompress);
        using var content = new MemoryStream();
        await unpacked.CopyToAsync(content);
        Assert.Equal(s_script, content.ToArray());

        using var missing = await _client.GetAsync(new Uri(url, "/assets/..%2Findex.html"));
        Assert.Equal(HttpStatusCode.NotFound, missing.StatusCode);
    }

    [Fact]
    public async Task Under_a_prefix_the_document_stands_where_its_files_are_found()
    {
        var url = await ServeAsync(Bundle(), "/observe");
        using var bare = await _client.GetAsync(new Uri(url, "/observe?g0.expr=up"));
        Assert.Equal(HttpStatusCode.Found, bare.StatusCode);
        Assert.Equal("/observe/?g0.expr=up", bare.Headers.Location!.OriginalString);
        using var file = await _client.GetAsync(new Uri(url, "/observe/assets/index-1a2b.js"));
        Assert.Equal(HttpStatusCode.OK, file.StatusCode);
    }

    [Fact]
    public void The_bundle_is_small()
    {
        // Without Node.js there is none, and nothing to weigh.
        var assembly = typeof(PageEndpoints).Assembly;
        var files = PageFiles.Of(assembly);
        var sizes = assembly.GetManifestResourceNames().Where(n => n.StartsWith("page/", StringComparison.Ordinal))
            .Select(n => files.Find(n["page/".Length..])!).Sum(f => (f.Gzip ?? f.Content).Length);
        Assert.InRange(sizes, 0, MaxBundleBytes);
    }

    static PageFiles Bundle() => new([("index.html", () => "<!doctype html>"u8.ToArray()), ("assets/index-1a2b.js", () => s_script)]);

    async Task<Uri> ServeAsync(PageFiles files, string prefix = "")
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        var server = builder.Build();
        _servers.Add(server);
        if (prefix.Length > 0)
        {
            server.UsePathBase(prefix);
        }

        server.UseRouting();
        server.MapPage(files);
        await server.StartAsync();
        return new Uri(server.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single());
    }
}
