using Observe.Tsdb.Model;

namespace Observe.Collector.Config;

/// <summary>
/// How a target is connected to: Prometheus's <c>http_config</c>. Paths are absolute, or relative to the working directory.
/// </summary>
public sealed record HttpClientConfig
{
    public BasicAuthConfig? BasicAuth { get; init; }

    /// <summary>The settings of <c>authorization</c>, or of <c>bearer_token</c> and <c>bearer_token_file</c>.</summary>
    public AuthorizationConfig? Authorization { get; init; }

    public TlsConfig Tls { get; init; } = new();

    public bool FollowRedirects { get; init; } = true;

    public bool EnableHttp2 { get; init; } = true;

    public Uri? ProxyUrl { get; init; }

    /// <summary>Hosts, suffixes and networks that are not reached through the proxy, separated by commas.</summary>
    public string NoProxy { get; init; } = "";

    public bool ProxyFromEnvironment { get; init; }

    public IReadOnlyList<HttpHeaderConfig> HttpHeaders { get; init; } = [];
}

public sealed record BasicAuthConfig(string Username, string? UsernameFile, Secret? Password, string? PasswordFile);

/// <param name="Type">The scheme of the Authorization header: Bearer unless set.</param>
public sealed record AuthorizationConfig(string Type, Secret? Credentials, string? CredentialsFile);

/// <summary>Each of CA, certificate and key comes inline as PEM or from a file, which is read again when it changes.</summary>
public sealed record TlsConfig
{
    public string? Ca { get; init; }

    public string? CaFile { get; init; }

    public string? Cert { get; init; }

    public string? CertFile { get; init; }

    public Secret? Key { get; init; }

    public string? KeyFile { get; init; }

    /// <summary>The name that the server's certificate must bear, and that is sent as SNI; the target's host when null.</summary>
    public string? ServerName { get; init; }

    public bool InsecureSkipVerify { get; init; }

    /// <summary>TLS10 to TLS13; TLS12 is the lowest version that is ever used.</summary>
    public string? MinVersion { get; init; }

    /// <summary>TLS12 or TLS13.</summary>
    public string? MaxVersion { get; init; }

    public bool IsDefault => this == s_default;

    static readonly TlsConfig s_default = new();
}

/// <summary>A header sent with each scrape, with values, secret values and values read from files.</summary>
public sealed record HttpHeaderConfig(
    string Name, IReadOnlyList<string> Values, IReadOnlyList<Secret> Secrets, IReadOnlyList<string> Files);
