using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Reflection;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Text;
using Observe.Collector.Config;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Collector.Scrape;

/// <summary>A target's answer, or the reason why there is none.</summary>
/// <param name="Body">null when there is an error; the receiver disposes it.</param>
/// <param name="TooLarge">The error is that the body is over the limit.</param>
readonly record struct ScrapeAnswer(ScrapeBody? Body, string? ContentType, string? Error, bool TooLarge = false);

/// <summary>The HTTP side of a scrape pool: one set of connections for all its targets. Thread-safe.</summary>
sealed class ScrapeClient : IDisposable
{
    const int MaxRedirects = 10;

    /// <summary>Bytes by which a compressed body may be longer than the body may be.</summary>
    const int MaxGzipOverhead = 64 << 10;

    /// <summary>Of an answer's headers.</summary>
    const int MaxHeaderKilobytes = 1024;

    /// <summary>An option of a request: ConnectAsync does the TLS handshake, not the handler.</summary>
    static readonly HttpRequestOptionsKey<bool> s_secured = new("secured");

    // How often files with certificates are checked; connections made before a change stay open until they are idle.
    static readonly TimeSpan s_fileCheck = TimeSpan.FromSeconds(5);

    static readonly string s_userAgent = "observe/"
        + (typeof(ScrapeClient).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "");

    readonly ScrapeConfig _config;
    readonly TimeProvider _time;
    readonly BodyBudget _bodies;
    readonly string _accept;
    readonly Lock _gate = new();

    HttpMessageInvoker? _handler;
    ulong _handlerHash;
    long _checked;

    public ScrapeClient(ScrapeConfig config, TimeProvider time, BodyBudget bodies)
    {
        (_config, _time, _bodies) = (config, time, bodies);
        _accept = Accept(config);
    }

    /// <summary>
    /// The Accept header: protocols in the order wanted, each weighing less than the one before. Protocols that no parser reads are left
    /// out.
    /// </summary>
    public static string Accept(ScrapeConfig config)
    {
        var accept = new StringBuilder();
        var weight = ScrapeProtocols.MediaTypes.Count + 1;
        foreach (var protocol in config.ScrapeProtocols.Where(p => p != ScrapeProtocols.PrometheusProto))
        {
            accept.Append(ScrapeProtocols.MediaTypes[protocol]);
            if (protocol is "PrometheusText1.0.0" or "OpenMetricsText1.0.0")
            {
                accept.Append(";escaping=").Append(config.MetricNameEscapingScheme);
            }

            accept.Append(CultureInfo.InvariantCulture, $";q=0.{weight--},");
        }

        return accept.Append(CultureInfo.InvariantCulture, $"*/*;q=0.{weight}").ToString();
    }

    /// <summary>
    /// Fetches a target's exposition. Connecting, TLS, redirects, headers and body all share the target's timeout; errors are returned, not
    /// thrown.
    /// </summary>
    /// <param name="expected">The length of the target's last body in bytes.</param>
    /// <param name="budget">Cancelled when the target's timeout is over, or the process ends.</param>
    /// <exception cref="OperationCanceledException">The token was cancelled, not the budget.</exception>
    public async ValueTask<ScrapeAnswer> FetchAsync(
        Target target, int expected, CancellationToken budget, CancellationToken cancellationToken)
    {
        try
        {
            using var response = await SendAsync(target, budget);
            if (response.StatusCode != HttpStatusCode.OK)
            {
                return new ScrapeAnswer(
                    null, null, $"server returned HTTP status {(int)response.StatusCode} {response.ReasonPhrase}".TrimEnd());
            }

            return await ReadAsync(response, expected, budget);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return Failed(target, $"the scrape timeout of {Duration.Format(target.ScrapeTimeout)} is exceeded (context deadline exceeded)");
        }
        catch (Exception e) when (
            e is HttpRequestException or IOException or SocketException or AuthenticationException or CryptographicException
            or InvalidDataException or UnauthorizedAccessException)
        {
            return Failed(target, Reason(e));
        }
    }

    async ValueTask<ScrapeAnswer> ReadAsync(HttpResponseMessage response, int expected, CancellationToken cancellationToken)
    {
        var gzip = First(response, "Content-Encoding") == "gzip";
        var limit = _config.BodySizeLimit;
        var announced = response.Content.Headers.ContentLength ?? 0;
        if (limit > 0 && !gzip && announced >= limit)
        {
            return TooLarge;
        }

        ScrapeBody? body;
        await using (var stream = await response.Content.ReadAsStreamAsync(cancellationToken))
        {
            body = await ScrapeBody.ReadAsync(
                stream,
                announced > 0 ? (int)Math.Min(announced + 1, Math.Max(1 << 20, expected)) : gzip ? expected / 8 : expected,
                gzip && limit > 0 ? limit + MaxGzipOverhead : limit,
                _bodies,
                cancellationToken);
        }

        if (gzip && body is not null)
        {
            body = await ScrapeBody.DecompressAsync(body, expected, limit, cancellationToken);
        }

        return body is null ? TooLarge : new ScrapeAnswer(body, First(response, "Content-Type"), null);
    }

    /// <summary>The first value of a header of the body, as it came; null where there is none.</summary>
    static string? First(HttpResponseMessage response, string header) =>
        response.Content.Headers.NonValidated.TryGetValues(header, out var values) ? values.FirstOrDefault() : null;

    static ScrapeAnswer TooLarge => new(null, null, "body size limit exceeded", TooLarge: true);

    static ScrapeAnswer Failed(Target target, string reason) => new(null, null, $"Get \"{target.Url}\": {reason}");

    static string Reason(Exception e)
    {
        var reason = e.Message;
        for (var inner = e.InnerException; inner is not null; inner = inner.InnerException)
        {
            if (!reason.Contains(inner.Message, StringComparison.Ordinal))
            {
                reason += ": " + inner.Message;
            }
        }

        return reason;
    }

    async ValueTask<HttpResponseMessage> SendAsync(Target target, CancellationToken cancellationToken)
    {
        var handler = Handler();
        var url = target.Uri!;
        for (var redirects = 0; ; redirects++)
        {
            using var request = Request(target, url);
            var response = await handler.SendAsync(request, cancellationToken);
            if (!_config.Http.FollowRedirects || !IsRedirect(response.StatusCode) || response.Headers.Location is not { } location)
            {
                return response;
            }

            response.Dispose();
            var next = location.IsAbsoluteUri ? location : new Uri(url, location);
            if (next.Scheme is not ("http" or "https"))
            {
                throw new HttpRequestException($"redirected to {GoText.Quote(next.ToString())}, which is not http");
            }

            if (redirects == MaxRedirects)
            {
                throw new HttpRequestException($"stopped after {MaxRedirects} redirects");
            }

            url = next;
        }
    }

    static bool IsRedirect(HttpStatusCode status) =>
        status is HttpStatusCode.MovedPermanently or HttpStatusCode.Found or HttpStatusCode.SeeOther
        or HttpStatusCode.TemporaryRedirect or HttpStatusCode.PermanentRedirect;

    HttpRequestMessage Request(Target target, Uri url)
    {
        var request = new HttpRequestMessage(HttpMethod.Get, url);
        if (url.Scheme == "https" && _config.Http.EnableHttp2)
        {
            request.Version = HttpVersion.Version20;
        }

        if (url.Scheme == "https" && _config.Http.Tls.ServerName is not null)
        {
            // ConnectAsync does the TLS handshake, so that the request's URL must not make the handler do a second one.
            request.Options.Set(s_secured, true);
            request.RequestUri = new UriBuilder(url) { Scheme = "http", Port = url.Port }.Uri;
            request.Headers.Host = url.Authority;
            request.Version = HttpVersion.Version11;
        }

        var headers = request.Headers;
        headers.TryAddWithoutValidation("Accept", _accept);
        headers.TryAddWithoutValidation("Accept-Encoding", _config.EnableCompression ? "gzip" : "identity");
        headers.TryAddWithoutValidation("User-Agent", s_userAgent);
        headers.TryAddWithoutValidation("X-Prometheus-Scrape-Timeout-Seconds", GoText.Float(target.ScrapeTimeout.TotalSeconds));
        if (MayHaveCredentials(target.Uri!, url))
        {
            Authorize(request);
        }

        return request;
    }

    /// <summary>Credentials follow a redirect on the same origin, or from http to https on the same host, and nowhere else.</summary>
    static bool MayHaveCredentials(Uri configured, Uri url) =>
        url.IdnHost.Equals(configured.IdnHost, StringComparison.OrdinalIgnoreCase)
        && ((url.Scheme == configured.Scheme && url.Port == configured.Port) || (configured.Scheme == "http" && url.Scheme == "https"));

    void Authorize(HttpRequestMessage request)
    {
        var http = _config.Http;
        if (http.BasicAuth is { } basic)
        {
            var user = basic.UsernameFile is null ? Encoding.UTF8.GetBytes(basic.Username) : SecretFile.Read(basic.UsernameFile);
            var password = basic.PasswordFile is null
                ? Encoding.UTF8.GetBytes(basic.Password?.Reveal() ?? "")
                : SecretFile.Read(basic.PasswordFile);
            Add(request, "Authorization", Encoding.ASCII.GetBytes("Basic " + Convert.ToBase64String([.. user, (byte)':', .. password])));
        }
        else if (http.Authorization is { } authorization)
        {
            var credentials = authorization.CredentialsFile is null
                ? Encoding.UTF8.GetBytes(authorization.Credentials?.Reveal() ?? "")
                : SecretFile.Read(authorization.CredentialsFile);
            Add(request, "Authorization", [.. Encoding.UTF8.GetBytes(authorization.Type + " "), .. credentials]);
        }

        foreach (var header in http.HttpHeaders)
        {
            foreach (var value in header.Values.Concat(header.Secrets.Select(s => s.Reveal())).Select(Encoding.UTF8.GetBytes)
                .Concat(header.Files.Select(SecretFile.Read)))
            {
                Add(request, header.Name, value);
            }
        }
    }

    /// <summary>Adds a header whose value may be any bytes but control characters, which would end the header and begin another.</summary>
    /// <exception cref="HttpRequestException">There is a control character.</exception>
    static void Add(HttpRequestMessage request, string name, byte[] value)
    {
        if (value.Any(b => (b < ' ' && b != '\t') || b == 0x7f))
        {
            throw new HttpRequestException($"invalid header field value for {GoText.Quote(name)}");
        }

        request.Headers.TryAddWithoutValidation(name, Encoding.Latin1.GetString(value));
    }

    /// <summary>The current handler, which is created at first use and again when a certificate file has changed.</summary>
    HttpMessageInvoker Handler()
    {
        var tls = _config.Http.Tls;
        lock (_gate)
        {
            var due = _handler is null || (TlsMaterial.HasFiles(tls) && _time.GetElapsedTime(_checked) >= s_fileCheck);
            if (!due)
            {
                return _handler!;
            }

            _checked = _time.GetTimestamp();
            var material = TlsMaterial.Read(tls);
            if (_handler is null || material.Hash != _handlerHash)
            {
                // The old handler is not disposed, since that would abort requests that still use it; the garbage collector takes it.
                (_handler, _handlerHash) = (new HttpMessageInvoker(NewHandler(material)), material.Hash);
            }

            return _handler;
        }
    }

    [SuppressMessage("Usage", "CA2262", Justification = "a mebibyte is meant")]
    SocketsHttpHandler NewHandler(TlsMaterial material)
    {
        var http = _config.Http;
        var handler = new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            AutomaticDecompression = DecompressionMethods.None,
            UseCookies = false,
            ConnectTimeout = _config.ScrapeInterval,
            PooledConnectionIdleTimeout = TimeSpan.FromMinutes(5),
            MaxResponseHeadersLength = MaxHeaderKilobytes,
            MaxResponseDrainSize = 0,
            EnableMultipleHttp2Connections = true,
            RequestHeaderEncodingSelector = (_, _) => Encoding.Latin1,
            UseProxy = http.ProxyUrl is not null || http.ProxyFromEnvironment,
            ActivityHeadersPropagator = DistributedContextPropagator.CreateNoOutputPropagator(),
        };
        var tls = material.Options();
        if (http.Tls.ServerName is null)
        {
            handler.SslOptions = tls;
        }
        else
        {
            tls.TargetHost = http.Tls.ServerName;
            handler.ConnectCallback = (context, cancellationToken) => ConnectAsync(
                context.DnsEndPoint, context.InitialRequestMessage.Options.TryGetValue(s_secured, out _) ? tls : null, cancellationToken);
        }

        if (http.ProxyUrl is not null)
        {
            handler.Proxy = new TargetProxy(http.ProxyUrl, http.NoProxy);
        }

        return handler;
    }

    /// <summary>Connects with another name in the TLS handshake than the URL's, which the handler itself cannot do.</summary>
    static async ValueTask<Stream> ConnectAsync(
        DnsEndPoint endpoint, SslClientAuthenticationOptions? tls, CancellationToken cancellationToken)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(endpoint, cancellationToken);
            Stream stream = new NetworkStream(socket, ownsSocket: true);
            if (tls is not null)
            {
                var secured = new SslStream(stream);
                await secured.AuthenticateAsClientAsync(tls, cancellationToken);
                stream = secured;
            }

            return stream;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _handler?.Dispose();
        }
    }
}
