using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Observe.Collector.Config;
using Observe.Collector.Discovery;
using Observe.Collector.Scrape;
using Observe.Testkit;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Collector.Tests.Scrape;

public sealed class ScrapeClientTests : IAsyncDisposable
{
    readonly FakeExporter _exporter = FakeExporter.Start("up_metric 1\n");
    readonly string _folder = Checkout.NewFolder("client");

    public async ValueTask DisposeAsync()
    {
        await _exporter.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    static ScrapeConfig Config(string yaml = "") =>
        CollectorConfig.Parse($"scrape_configs:\n- job_name: j\n  {yaml.ReplaceLineEndings("\n  ")}", "x", clusterRequired: false).ScrapeConfigs[0];

    static Target TargetOf(ScrapeConfig config, string address) =>
        Target.Create(config, new TargetGroup("g", [Labels.Of(("__address__", address))], default), 0, out _)!;

    async Task<string> Fetch(string yaml = "", string? address = null) => await Fetch(Config(yaml), address ?? _exporter.Address);

    static async Task<string> Fetch(ScrapeConfig config, string address)
    {
        using var client = new ScrapeClient(config, TimeProvider.System, new BodyBudget(1L << 30));
        return await Fetch(client, config, address);
    }

    static async Task<string> Fetch(ScrapeClient client, ScrapeConfig config, string address)
    {
        var target = TargetOf(config, address);
        using var budget = new CancellationTokenSource(target.ScrapeTimeout);
        var answer = await client.FetchAsync(target, 0, budget.Token, CancellationToken.None);
        using (answer.Body)
        {
            return answer.Error ?? Encoding.UTF8.GetString(answer.Body!.Memory.Span);
        }
    }

    [Fact]
    public async Task A_request_looks_like_one_of_Prometheus()
    {
        Assert.Equal("up_metric 1\n", await Fetch("scrape_timeout: 2500ms\nparams: {a: ['b c']}"));
        var request = _exporter.Requests[0];
        Assert.Equal("/metrics?a=b+c", request.Target);
        Assert.Equal(
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            request.Headers["accept"]);
        Assert.Equal("gzip", request.Headers["accept-encoding"]);
        Assert.Equal("2.5", request.Headers["x-prometheus-scrape-timeout-seconds"]);
        Assert.StartsWith("observe/", request.Headers["user-agent"], StringComparison.Ordinal);
        Assert.Equal(_exporter.Address, request.Headers["host"]);
        Assert.False(request.Headers.ContainsKey("authorization"));
    }

    [Theory]
    [InlineData("scrape_protocols: [PrometheusText0.0.4]", "text/plain;version=0.0.4;q=0.6,*/*;q=0.5")]
    [InlineData("metric_name_validation_scheme: legacy\nscrape_protocols: [OpenMetricsText1.0.0]", "application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.6,*/*;q=0.5")]
    [InlineData("scrape_protocols: [PrometheusProto, PrometheusText0.0.4]", "text/plain;version=0.0.4;q=0.6,*/*;q=0.5")]
    public async Task Protocols_are_asked_for_in_their_order(string yaml, string accept)
    {
        await Fetch(yaml);
        Assert.Equal(accept, _exporter.Requests[0].Headers["accept"]);
    }

    [Fact]
    public async Task Gzip_is_asked_for_and_undone()
    {
        _exporter["/metrics"] = new FakeAnswer { Body = Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat("some_metric{a=\"b\"} 1\n", 10_000))), Gzip = true };
        Assert.Equal(210_000, (await Fetch()).Length);
        Assert.Equal(210_000, (await Fetch("enable_compression: false")).Length);
        Assert.Equal("identity", _exporter.Requests[1].Headers["accept-encoding"]);
    }

    [Fact]
    public async Task Connections_are_used_again()
    {
        var config = Config();
        using var client = new ScrapeClient(config, TimeProvider.System, new BodyBudget(1L << 30));
        for (var i = 0; i < 5; i++)
        {
            await Fetch(client, config, _exporter.Address);
        }

        Assert.Equal((1, 5), (_exporter.Connections, _exporter.Requests.Count));
    }

    [Theory]
    [InlineData(404, "server returned HTTP status 404 Status")]
    [InlineData(500, "server returned HTTP status 500 Status")]
    [InlineData(204, "server returned HTTP status 204 Status")]
    public async Task Only_200_is_an_exposition(int status, string expected)
    {
        _exporter["/metrics"] = new FakeAnswer { Status = status };
        Assert.Equal(expected, await Fetch());
    }

    [Fact]
    public async Task Nobody_listening_is_told_with_the_url()
    {
        var error = await Fetch(address: "127.0.0.1:1");
        Assert.StartsWith("Get \"http://127.0.0.1:1/metrics\": Connection refused", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(FakeFault.Silence)]
    [InlineData(FakeFault.Trickle)]
    public async Task Headers_and_body_share_one_budget_of_time(FakeFault fault)
    {
        _exporter["/metrics"] = new FakeAnswer { Body = new byte[1000], Fault = fault };
        var start = TimeProvider.System.GetTimestamp();
        Assert.Contains("the scrape timeout of 300ms is exceeded", await Fetch("scrape_timeout: 300ms"), StringComparison.Ordinal);
        Assert.InRange(TimeProvider.System.GetElapsedTime(start).TotalMilliseconds, 250, 3000);
    }

    [Fact]
    public async Task A_body_that_breaks_off_is_an_error()
    {
        _exporter["/metrics"] = new FakeAnswer { Body = Encoding.UTF8.GetBytes("a 1\nb 2\n"), Fault = FakeFault.Drop };
        Assert.Contains("prematurely", await Fetch(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(10)]
    [InlineData(40)]
    public async Task A_gzip_that_breaks_off_or_is_damaged_is_an_error(int cut)
    {
        var body = FakeExporter.Compress(Encoding.UTF8.GetBytes(string.Join('\n', Enumerable.Range(0, 500).Select(i => $"metric_{i} {i * 7919}"))));
        if (cut == 0)
        {
            body[body.Length / 2] ^= 0x55;
        }

        _exporter["/metrics"] = new FakeAnswer { Body = body[..^cut], IsCompressed = true };
        Assert.StartsWith("Get \"", await Fetch(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("body_size_limit: 10KB", 10_239, true)]
    [InlineData("body_size_limit: 10KB", 10_240, false)]
    [InlineData("body_size_limit: 0", 40_000_000, true)]
    [InlineData("", (32 << 20) - 1, true)]
    [InlineData("", 32 << 20, false)]
    public async Task A_body_must_stay_below_its_limit_once_uncompressed(string yaml, int size, bool fits)
    {
        var body = new byte[size];
        foreach (var gzip in new[] { false, true })
        {
            _exporter["/metrics"] = new FakeAnswer { Body = body, Gzip = gzip };
            var answer = await Fetch(yaml);
            Assert.Equal(fits ? size : "body size limit exceeded".Length, answer.Length);
        }
    }

    [Fact]
    public async Task An_endless_body_is_cut_at_the_limit()
    {
        _exporter["/metrics"] = new FakeAnswer { Body = new byte[100_000], Fault = FakeFault.Endless };
        Assert.Equal("body size limit exceeded", await Fetch("body_size_limit: 5MB"));
    }

    [Fact]
    public async Task A_gzip_bomb_costs_no_more_than_the_limit()
    {
        _exporter["/metrics"] = new FakeAnswer { Body = FakeExporter.Bomb(512), IsCompressed = true };
        Assert.Equal("body size limit exceeded", await Fetch());
    }

    [Theory]
    [InlineData("basic_auth: {username: u, password: 'p:w'}", "Basic dTpwOnc=")]
    [InlineData("bearer_token: t", "Bearer t")]
    [InlineData("authorization: {type: Custom, credentials: c}", "Custom c")]
    public async Task Credentials_are_sent(string yaml, string expected)
    {
        await Fetch(yaml);
        Assert.Equal(expected, _exporter.Requests[0].Headers["authorization"]);
    }

    [Fact]
    public async Task Files_with_credentials_are_read_for_each_scrape()
    {
        var path = Path.Combine(_folder, "token");
        var config = Config($"bearer_token_file: {path}\nhttp_headers: {{X-Tenant: {{values: [a], secrets: [b], files: ['{path}']}}}}");
        using var client = new ScrapeClient(config, TimeProvider.System, new BodyBudget(1L << 30));
        Assert.Contains("Could not find file", await Fetch(client, config, _exporter.Address), StringComparison.Ordinal);
        File.WriteAllText(path, "one\n");
        await Fetch(client, config, _exporter.Address);
        File.WriteAllText(path, "two\n");
        await Fetch(client, config, _exporter.Address);
        Assert.Equal(["Bearer one", "Bearer two"], _exporter.Requests.Select(r => r.Headers["authorization"]));
        Assert.Equal("a, b, two", _exporter.Requests[1].Headers["x-tenant"]);
    }

    [Fact]
    public async Task Redirects_are_followed_without_credentials_to_another_origin()
    {
        await using var other = FakeExporter.Start("other 1\n");
        _exporter["/metrics"] = new FakeAnswer { Status = 302, Headers = [("Location", "/again")] };
        _exporter["/again"] = new FakeAnswer { Status = 307, Headers = [("Location", $"http://{other.Address}/metrics")] };
        Assert.Equal("other 1\n", await Fetch("basic_auth: {username: u, password: p}\nhttp_headers: {X-Key: {secrets: [k]}}"));
        Assert.Equal([true, true], _exporter.Requests.Select(r => r.Headers.ContainsKey("authorization") && r.Headers.ContainsKey("x-key")));
        Assert.False(other.Requests[0].Headers.ContainsKey("authorization") || other.Requests[0].Headers.ContainsKey("x-key"));
        Assert.Equal("server returned HTTP status 302 Status", await Fetch("follow_redirects: false"));
    }

    [Theory]
    [InlineData("/metrics", "stopped after 10 redirects")]
    [InlineData("file:///etc/passwd", "which is not http")]
    public async Task A_redirect_that_leads_nowhere_is_an_error(string location, string expected)
    {
        _exporter["/metrics"] = new FakeAnswer { Status = 301, Headers = [("Location", location)] };
        Assert.Contains(expected, await Fetch(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_proxy_is_spoken_to_unless_the_target_is_excepted()
    {
        Assert.Equal("up_metric 1\n", await Fetch($"proxy_url: http://{_exporter.Address}", "no.such.host:80"));
        Assert.Equal("http://no.such.host/metrics", _exporter.Requests[0].Target);
        Assert.Equal("up_metric 1\n", await Fetch("proxy_url: http://127.0.0.1:1\nno_proxy: 127.0.0.0/8"));
        Assert.StartsWith("Get ", await Fetch("proxy_url: http://127.0.0.1:1\nno_proxy: 10.0.0.0/8"), StringComparison.Ordinal);
    }

    static X509Certificate2 Certificate(string name, X509Certificate2? issuer = null, params string[] hosts)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=" + name, key, HashAlgorithmName.SHA256);
        var (from, to) = (TimeProvider.System.GetUtcNow().AddHours(-1), TimeProvider.System.GetUtcNow().AddHours(1));
        if (issuer is null)
        {
            request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
            return request.CreateSelfSigned(from, to);
        }

        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Loopback);
        foreach (var host in hosts)
        {
            names.AddDnsName(host);
        }

        request.CertificateExtensions.Add(names.Build());
        using var issued = request.Create(issuer, from, issuer.NotAfter, RandomNumberGenerator.GetBytes(8));
        return issued.CopyWithPrivateKey(key);
    }

    string Pem(string file, string text)
    {
        File.WriteAllText(Path.Combine(_folder, file), text);
        return Path.Combine(_folder, file);
    }

    [Fact]
    public async Task Tls_trusts_the_given_ca_only_and_takes_a_client_certificate()
    {
        using var ca = Certificate("ca");
        using var otherCa = Certificate("other");
        using var server = Certificate("server", ca, "metrics.example");
        using var client = Certificate("client", ca);
        await using var exporter = FakeExporter.Start("tls 1\n", server, clientCertificate: true);
        var caFile = Pem("ca.pem", ca.ExportCertificatePem());
        var mine = $"cert_file: {Pem("c.pem", client.ExportCertificatePem())}, key_file: {Pem("k.pem", client.GetECDsaPrivateKey()!.ExportPkcs8PrivateKeyPem())}";

        Assert.Equal("tls 1\n", await Fetch($"scheme: https\ntls_config: {{ca_file: {caFile}, {mine}}}", exporter.Address));
        Assert.Equal("tls 1\n", await Fetch($"scheme: https\ntls_config: {{insecure_skip_verify: true, {mine}}}", exporter.Address));
        Assert.Equal("tls 1\n", await Fetch($"scheme: https\ntls_config: {{ca_file: {caFile}, server_name: metrics.example, {mine}}}", exporter.Address));
        Assert.Equal(exporter.Address, exporter.Requests[^1].Headers["host"]);
        Assert.Contains("certificate", await Fetch($"scheme: https\ntls_config: {{ca_file: {caFile}, server_name: other.example, {mine}}}", exporter.Address), StringComparison.Ordinal);
        Assert.Contains("certificate", await Fetch($"scheme: https\ntls_config: {{ca_file: {Pem("o.pem", otherCa.ExportCertificatePem())}, {mine}}}", exporter.Address), StringComparison.Ordinal);
        Assert.StartsWith("Get ", await Fetch($"scheme: https\ntls_config: {{ca_file: {caFile}}}", exporter.Address), StringComparison.Ordinal);
        Assert.StartsWith("Get ", await Fetch($"scheme: https\ntls_config: {{ca_file: {Pem("bad.pem", "nonsense")}}}", exporter.Address), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_changed_ca_file_is_read_again()
    {
        using var ca = Certificate("ca");
        using var otherCa = Certificate("other");
        using var server = Certificate("server", ca);
        await using var exporter = FakeExporter.Start("tls 1\n", server);
        var file = Pem("ca.pem", otherCa.ExportCertificatePem());
        var config = Config($"scheme: https\ntls_config: {{ca_file: {file}}}");
        var time = new Microsoft.Extensions.Time.Testing.FakeTimeProvider();
        using var client = new ScrapeClient(config, time, new BodyBudget(1L << 30));
        Assert.Contains("certificate", await Fetch(client, config, exporter.Address), StringComparison.Ordinal);
        Pem("ca.pem", ca.ExportCertificatePem());
        time.Advance(TimeSpan.FromSeconds(5));
        Assert.Equal("tls 1\n", await Fetch(client, config, exporter.Address));
    }

    [Theory]
    [InlineData("authorization: {credentials: \"a\\r\\nX-Evil: 1\"}")]
    [InlineData("authorization: {type: \"T\\nX-Evil: 1\", credentials: a}")]
    [InlineData("bearer_token: \"a\\nb\"")]
    [InlineData("bearer_token: \"a\\0b\"")]
    [InlineData("http_headers: {X-A: {values: [\"a\\rX-Evil: 1\"]}}")]
    [InlineData("http_headers: {X-A: {secrets: [\"a\\x7f\"]}}")]
    [InlineData("http_headers: {X-A: {files: [FILE]}}")]
    [InlineData("bearer_token_file: FILE")]
    public async Task A_value_that_would_end_its_header_is_not_sent(string yaml)
    {
        var file = Path.Combine(_folder, "secret");
        await File.WriteAllTextAsync(file, "a\r\nX-Evil: 1\r\n");
        Assert.Contains("invalid header field value for", await Fetch(yaml.Replace("FILE", file, StringComparison.Ordinal)), StringComparison.Ordinal);
        Assert.Empty(_exporter.Requests);
    }

    [Fact]
    public async Task Values_of_headers_are_bytes_of_any_encoding()
    {
        var file = Path.Combine(_folder, "latin");
        await File.WriteAllBytesAsync(file, [.. " \t"u8, 0xe9, 0xff, .. "\n"u8]);
        Assert.Equal("up_metric 1\n", await Fetch($"bearer_token: 'é'\nhttp_headers: {{X-A: {{values: ['ü\ta'], files: ['{file}']}}}}"));
        var headers = _exporter.Requests[0].Headers;
        Assert.Equal("Bearer Ã©", headers["authorization"]);
        Assert.Equal("Ã¼\ta, éÿ", headers["x-a"]);
    }

    [Fact]
    public async Task The_first_content_type_counts_and_headers_may_be_long()
    {
        _exporter["/metrics"] = new FakeAnswer
        {
            Body = Encoding.UTF8.GetBytes("m 1\n"),
            Headers = [("Content-Type", "text/html"), ("X-Long", new string('x', 500_000))],
        };
        var config = Config();
        using var client = new ScrapeClient(config, TimeProvider.System, new BodyBudget(1L << 30));
        using var budget = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        var answer = await client.FetchAsync(TargetOf(config, _exporter.Address), 0, budget.Token, CancellationToken.None);
        using (answer.Body)
        {
            Assert.Equal("text/plain; version=0.0.4; charset=utf-8", answer.ContentType);
        }
    }
}
