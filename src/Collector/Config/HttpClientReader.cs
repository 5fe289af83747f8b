using Observe.Store.Yaml;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Collector.Config;

/// <summary>Reads the keys of <c>http_config</c>, which stand in a job itself.</summary>
sealed class HttpClientReader(string? directory)
{
    // Headers that the scraper sets itself, and headers that would break the request or leak credentials.
    static readonly HashSet<string> s_reservedHeaders = new(StringComparer.OrdinalIgnoreCase)
    {
        "Authorization", "Host", "Content-Encoding", "Content-Length", "Content-Type", "User-Agent", "Connection", "Keep-Alive",
        "Proxy-Authenticate", "Proxy-Authorization", "Www-Authenticate", "Accept-Encoding", "X-Prometheus-Remote-Write-Version",
        "X-Prometheus-Remote-Read-Version",
            "X-Prometheus-Scrape-Timeout-Seconds", "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-Sha256",
    };

    public HttpClientConfig Read(ConfigSection job)
    {
        var basic = ReadBasicAuth(job.Section("basic_auth"));
        var authorization = ReadAuthorization(job.Section("authorization"));
        var (token, tokenFile) = (job.Secret("bearer_token"), File(job, "bearer_token_file"));
        if (token is not null && tokenFile is not null)
        {
            job.Errors.Add(job.Key("bearer_token_file"), "at most one of bearer_token & bearer_token_file must be configured");
        }

        if (token is not null || tokenFile is not null)
        {
            if (authorization is not null)
            {
                job.Errors.Add(job.Key("authorization"), "authorization is not compatible with bearer_token & bearer_token_file");
            }

            authorization = new AuthorizationConfig("Bearer", token, tokenFile);
        }

        if (basic is not null && authorization is not null)
        {
            job.Errors.Add(
                job.Key("basic_auth"),
                "at most one of basic_auth, oauth2, authorization, bearer_token & bearer_token_file must be configured");
        }

        job.NotSupported("oauth2", "targets are reached with basic_auth, authorization or a client certificate");
        job.NotSupported("proxy_connect_header", "a proxy is spoken to without headers of its own");
        var proxy = ReadProxyUrl(job);
        var noProxy = job.Text("no_proxy") ?? "";
        var fromEnvironment = job.Bool("proxy_from_environment") ?? false;
        if (fromEnvironment && proxy is not null)
        {
            job.Errors.Add(job.Key("proxy_url"), "if proxy_from_environment is configured, proxy_url must not be configured");
        }

        if (noProxy.Length > 0 && proxy is null)
        {
            job.Errors.Add(job.Key("no_proxy"), "if no_proxy is configured, proxy_url must also be configured");
        }

        var tls = ReadTls(job.Section("tls_config"));
        if (tls.ServerName is not null && (proxy is not null || fromEnvironment))
        {
            job.Errors.Add(job.Key("tls_config"), "server_name is not supported yet together with a proxy");
        }

        return new HttpClientConfig
        {
            BasicAuth = basic,
            Authorization = authorization,
            Tls = tls,
            FollowRedirects = job.BoolOrTrue("follow_redirects"),
            EnableHttp2 = job.BoolOrTrue("enable_http2"),
            ProxyUrl = proxy,
            NoProxy = noProxy,
            ProxyFromEnvironment = fromEnvironment,
            HttpHeaders = ReadHeaders(job),
        };
    }

    BasicAuthConfig? ReadBasicAuth(ConfigSection? section)
    {
        if (section is null)
        {
            return null;
        }

        var auth = new BasicAuthConfig(
            section.Text("username") ?? "", File(section, "username_file"), section.Secret("password"), File(section, "password_file"));
        if (auth.Username.Length > 0 && auth.UsernameFile is not null)
        {
            section.Errors.Add(section.Key("username_file"), "at most one of basic_auth username & username_file must be configured");
        }

        if (auth.Password is not null && auth.PasswordFile is not null)
        {
            section.Errors.Add(section.Key("password_file"), "at most one of the basic_auth password & password_file must be configured");
        }

        section.Done();
        return auth;
    }

    AuthorizationConfig? ReadAuthorization(ConfigSection? section)
    {
        if (section is null)
        {
            return null;
        }

        var type = section.Text("type")?.Trim() is { Length: > 0 } given ? given : "Bearer";
        if (type.Equals("basic", StringComparison.OrdinalIgnoreCase))
        {
            section.Errors.Add(section.Find("type"), "authorization type cannot be set to \"basic\", use \"basic_auth\" instead");
        }

        var auth = new AuthorizationConfig(type, section.Secret("credentials"), File(section, "credentials_file"));
        if (auth.Credentials is not null && auth.CredentialsFile is not null)
        {
            section.Errors.Add(
                section.Key("credentials_file"), "at most one of authorization credentials & credentials_file must be configured");
        }

        section.Done();
        return auth;
    }

    TlsConfig ReadTls(ConfigSection? section)
    {
        if (section is null)
        {
            return new TlsConfig();
        }

        var tls = new TlsConfig
        {
            Ca = section.Text("ca"),
            CaFile = File(section, "ca_file"),
            Cert = section.Text("cert"),
            CertFile = File(section, "cert_file"),
            Key = section.Secret("key"),
            KeyFile = File(section, "key_file"),
            ServerName = section.Text("server_name") is { Length: > 0 } server ? server : null,
            InsecureSkipVerify = section.Bool("insecure_skip_verify") ?? false,
            MinVersion = section.Choice("min_version", "TLS10", "TLS11", "TLS12", "TLS13"),
            MaxVersion = section.Choice("max_version", "TLS12", "TLS13"),
        };
        foreach (var (inline, file, name) in new[]
        {
            (tls.Ca, tls.CaFile, "ca"),
            (tls.Cert, tls.CertFile, "cert"),
            (tls.Key?.Reveal(), tls.KeyFile, "key"),
        })
        {
            if (inline is not null && file is not null)
            {
                section.Errors.Add(section.Key(name), $"at most one of {name} and {name}_file must be configured");
            }
        }

        var (cert, key) = (tls.Cert is not null || tls.CertFile is not null, tls.Key is not null || tls.KeyFile is not null);
        if (cert && !key)
        {
            section.Errors.Add(section.Node, "exactly one of key or key_file must be configured when a client certificate is configured");
        }
        else if (key && !cert)
        {
            section.Errors.Add(section.Node, "exactly one of cert or cert_file must be configured when a client key is configured");
        }

        if (string.CompareOrdinal(tls.MinVersion, tls.MaxVersion ?? "TLS13") > 0)
        {
            section.Errors.Add(
                section.Key("min_version"),
                "tls_config.max_version must be greater than or equal to tls_config.min_version if both are specified");
        }

        section.Done();
        return tls;
    }

    static Uri? ReadProxyUrl(ConfigSection job)
    {
        if (job.Text("proxy_url") is not { Length: > 0 } text)
        {
            return null;
        }

        if (Uri.TryCreate(text, UriKind.Absolute, out var url) && url.Scheme is "http" or "https" or "socks5")
        {
            return url;
        }

        job.Errors.Add(job.Find("proxy_url"), $"proxy_url must be an http, https or socks5 URL, not {GoText.Quote(text)}");
        return null;
    }

    List<HttpHeaderConfig> ReadHeaders(ConfigSection job)
    {
        var headers = new List<HttpHeaderConfig>();
        foreach (var (name, node) in job.Entries("http_headers"))
        {
            if (s_reservedHeaders.Contains(name.Text) || name.Text.Any(c => c is <= ' ' or >= '\x7f' or ':'))
            {
                job.Errors.Add(name, $"setting header {GoText.Quote(name.Text)} is not allowed");
            }

            var section = new ConfigSection(node, "http_headers", job.Errors);
            headers.Add(new HttpHeaderConfig(
                name.Text,
                section.Texts("values") ?? [],
                [.. (section.Texts("secrets") ?? []).Select(text => new Secret(text))],
                [.. (section.Texts("files") ?? []).Select(path => JobReader.Join(directory, path))]));
            section.Done();
        }

        return headers;
    }

    /// <summary>A path. A file that does not exist yet is no error, since the file is read when it is needed.</summary>
    string? File(ConfigSection section, string key)
    {
        if (section.Text(key) is not { Length: > 0 } path)
        {
            return null;
        }

        path = JobReader.Join(directory, path);
        if (!System.IO.File.Exists(path))
        {
            section.Errors.Warn(section.Key(key)!, $"{key}: there is no file {path}");
        }

        return path;
    }
}
