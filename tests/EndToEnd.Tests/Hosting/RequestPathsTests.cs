using System.Net.Sockets;
using System.Text;
using Observe.Testkit;
using Xunit;

namespace Observe.EndToEnd.Tests.Hosting;

/// <summary>Which paths a server answers and where others are sent, held against a real Prometheus.</summary>
public sealed class RequestPathsTests : IDisposable
{
    readonly string _folder = Checkout.NewFolder("paths");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Repeated_slashes_are_redirected_as_Prometheus_does()
    {
        await using var prometheus = await PrometheusServer.StartAsync(_folder);
        await using var host = await RunningHost.StartAsync(_ => []);
        await host.Ready;
        foreach (var (method, path) in new[]
        {
            ("GET", "//-/healthy"), ("GET", "/-//healthy?a=1&b=%22<x>"), ("GET", "///-/healthy//"), ("GET", "//nothing/%C3%A4 b/"), ("GET", "//"),
            ("GET", "/./-/healthy?a=1"), ("GET", "/-/x/../healthy"), ("GET", "/-/%2e/healthy"), ("GET", "/../-/healthy"), ("GET", "/-/healthy/."),
            ("GET", "/-/healthy/?a=1"), ("GET", "/metrics/"),
            ("HEAD", "//-/healthy"), ("POST", "//-/healthy"), ("GET", "//evil.example/x"),
        })
        {
            Assert.Equal(
                $"{method} {path}\n{await AskAsync(prometheus.Url, method, path)}", $"{method} {path}\n{await AskAsync(host.Http.BaseAddress!, method, path)}");
        }
    }

    [Fact]
    public async Task With_a_route_prefix_nothing_is_answered_without_it_as_in_Prometheus()
    {
        await using var prometheus = await PrometheusServer.StartAsync(_folder, flags: ["--web.route-prefix=/pre/fix/"]);
        await using var host = await RunningHost.StartAsync(_ => [], "--web.route-prefix=/pre/fix/");
        host.Http.BaseAddress = new Uri(host.Http.BaseAddress!, "/pre/fix/");
        await host.Ready;
        foreach (var path in (string[])["/", "/-/healthy", "/metrics", "/pre", "/pre/-/healthy", "/pre/fixed/-/healthy", "/api/v1/query?query=1", "//pre/fix/x"])
        {
            Assert.Equal($"{path}\n{await AskAsync(prometheus.Url, "GET", path)}", $"{path}\n{await AskAsync(host.Http.BaseAddress!, "GET", path)}");
        }

        Assert.StartsWith("200", await AskAsync(host.Http.BaseAddress!, "GET", "/pre/fix/-/healthy"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_url_of_a_mebibyte_is_answered_and_a_longer_one_is_told_to_be_a_form()
    {
        await using var host = await RunningHost.StartAsync(_ => []);
        await host.Ready;
        var path = "/-/healthy?x=";
        Assert.StartsWith(
            "200", await AskAsync(host.Http.BaseAddress!, "GET", path + new string('x', (1 << 20) - path.Length)), StringComparison.Ordinal);
        var answer = await AskAsync(host.Http.BaseAddress!, "GET", path + new string('x', 1 << 20));
        Assert.StartsWith("414", answer, StringComparison.Ordinal);
        Assert.Contains("POST", answer, StringComparison.Ordinal);
    }

    /// <summary>Status, place and text of an answer; the request goes out as it is, without what HttpClient does to a path.</summary>
    static async Task<string> AskAsync(Uri server, string method, string path)
    {
        using var client = new TcpClient();
        await client.ConnectAsync(server.Host, server.Port);
        await using var stream = client.GetStream();
        await stream.WriteAsync(Encoding.UTF8.GetBytes(
            $"{method} {path.Replace(" ", "%20", StringComparison.Ordinal)} HTTP/1.0\r\nHost: x\r\nContent-Length: 0\r\n\r\n"));
        var lines = (await new StreamReader(stream).ReadToEndAsync()).Split("\r\n");
        var end = Array.IndexOf(lines, "");
        var headers = lines.Take(end).Where(line =>
            line.StartsWith("Location:", StringComparison.OrdinalIgnoreCase) || line.StartsWith("Content-Type:", StringComparison.OrdinalIgnoreCase));
        return string.Join('\n', [lines[0].Split(' ')[1], .. headers.Order(StringComparer.Ordinal), string.Join('|', lines.Skip(end + 1))]);
    }
}
