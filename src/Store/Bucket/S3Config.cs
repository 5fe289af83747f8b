using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Observe.Store.Yaml;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Store.Bucket;

/// <summary>How an S3 bucket is reached: the keys of Thanos's <c>config</c> for <c>type: S3</c>.</summary>
public sealed record S3Config
{
    public const long DefaultPartSize = 64 << 20;

    public required string Bucket { get; init; }

    /// <summary>Host and port without a scheme; "" for Amazon's own of the region.</summary>
    public string Endpoint { get; init; } = "";

    public string Region { get; init; } = "";

    /// <summary>Plain HTTP.</summary>
    public bool Insecure { get; init; }

    /// <summary>
    /// With <see cref="SecretKey"/>; without both, credentials come from AWS_* variables, ~/.aws, a web identity or the instance.
    /// </summary>
    public string AccessKey { get; init; } = "";

    public Secret? SecretKey { get; init; }

    public Secret? SessionToken { get; init; }

    /// <summary>The bucket is part of the path, not of the host name; null: of the host name only at Amazon.</summary>
    public bool? PathStyle { get; init; }

    /// <summary>Lists with the first version of the call.</summary>
    public bool ListVersion1 { get; init; }

    /// <summary>Bytes; larger objects are uploaded in parts of this size.</summary>
    public long PartSize { get; init; } = DefaultPartSize;

    public bool DisableMultipart { get; init; }

    public bool SendContentMd5 { get; init; }

    /// <summary>Attempts after the first. Few, since callers try again too and an outage has to be reported within seconds.</summary>
    public int MaxRetries { get; init; } = 5;

    /// <summary>The first pause; each next one doubles, with jitter, up to 20 s.</summary>
    public TimeSpan RetryDelay { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>Headers and <c>x-amz-meta-</c> values of each object written.</summary>
    public IReadOnlyDictionary<string, string> UserMetadata { get; init; } = new Dictionary<string, string>();

    public S3Encryption? Encryption { get; init; }

    public S3HttpConfig Http { get; init; } = new();

    internal static S3Config Read(ConfigSection section)
    {
        var accessKey = section.Text("access_key") ?? "";
        var secretKey = SecretOf(section, "secret_key");
        if (accessKey.Length > 0 != secretKey is not null)
        {
            section.Errors.Add(
                section.Find(secretKey is null ? "access_key" : "secret_key"),
                "access_key and secret_key go together: one of them is missing");
        }

        var endpoint = section.Text("endpoint") ?? "";
        if (endpoint.Contains("://", StringComparison.Ordinal))
        {
            section.Errors.Add(
                section.Find("endpoint"),
                $"endpoint must be a host and port without a scheme, not {GoText.Quote(endpoint)}; insecure: true chooses plain HTTP");
        }

        var region = section.Text("region") ?? "";
        if (endpoint.Length == 0 && region.Length == 0)
        {
            section.Errors.Add(section.Find("endpoint") ?? section.Node, "endpoint or region is missing in config");
        }

        section.NotSupported("signature_version2", "requests are signed with version 4");
        section.NotSupported("sts_endpoint", "AWS_REGION chooses the regional endpoint");
        var trace = section.SectionOrEmpty("trace");
        trace.NotSupported("enable", "requests to the bucket are not traced one by one");
        trace.Done();
        _ = section.Bool("disable_dualstack");
        _ = section.Bool("aws_sdk_auth");
        var lookup = section.Choice("bucket_lookup_type", "auto", "virtual-hosted", "path");
        return new S3Config
        {
            Bucket = section.Required("bucket"),
            Endpoint = endpoint,
            Region = region,
            Insecure = section.Bool("insecure") ?? false,
            AccessKey = accessKey,
            SecretKey = secretKey,
            SessionToken = SecretOf(section, "session_token"),
            PathStyle = lookup switch { "path" => true, "virtual-hosted" => false, _ => null },
            ListVersion1 = section.Choice("list_objects_version", "v1", "v2") == "v1",
            PartSize = section.Count("part_size", 5 << 20, 5L << 30) ?? DefaultPartSize,
            DisableMultipart = section.Bool("disable_multipart") ?? false,
            SendContentMd5 = section.Bool("send_content_md5") ?? false,
            MaxRetries = (int)(section.Count("max_retries", 0, 100) ?? 5),
            UserMetadata = Pairs(section, "put_user_metadata"),
            Encryption = S3Encryption.Read(section.SectionOrEmpty("sse_config")),
            Http = S3HttpConfig.Read(section.SectionOrEmpty("http_config")),
        };
    }

    /// <summary>An empty text is no secret.</summary>
    static Secret? SecretOf(ConfigSection section, string key) => section.Text(key) is { Length: > 0 } text ? new Secret(text) : null;

    internal static Dictionary<string, string> Pairs(ConfigSection section, string key) =>
        section.Pairs(key).ToDictionary(p => p.Key.Text, p => p.Value);
}

/// <summary>Encryption by the server.</summary>
/// <param name="Type"><c>SSE-S3</c>, <c>SSE-KMS</c> or <c>SSE-C</c>.</param>
/// <param name="CustomerKeyFile">Of SSE-C: a file with the 32 bytes of the key.</param>
public sealed record S3Encryption(string Type, string KmsKeyId, IReadOnlyDictionary<string, string> KmsContext, string CustomerKeyFile)
{
    internal static S3Encryption? Read(ConfigSection section)
    {
        var type = section.Choice("type", "SSE-S3", "SSE-KMS", "SSE-C");
        var encryption = new S3Encryption(
            type ?? "",
            type == "SSE-KMS" ? section.Required("kms_key_id") : section.Text("kms_key_id") ?? "",
            S3Config.Pairs(section, "kms_encryption_context"),
            type == "SSE-C" ? section.Required("encryption_key") : section.Text("encryption_key") ?? "");
        section.Done();
        return type is null ? null : encryption;
    }
}

/// <summary>How connections are made: Thanos's <c>http_config</c>.</summary>
public sealed record S3HttpConfig
{
    public TimeSpan IdleConnTimeout { get; init; } = TimeSpan.FromSeconds(90);

    /// <summary>Time limit of an attempt, to which the time that its bytes may take is added.</summary>
    public TimeSpan ResponseHeaderTimeout { get; init; } = TimeSpan.FromMinutes(2);

    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(10);

    public TimeSpan ExpectContinueTimeout { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>0 for no bound.</summary>
    public int MaxConnsPerHost { get; init; }

    public bool InsecureSkipVerify { get; init; }

    public string CaFile { get; init; } = "";

    public string CertFile { get; init; } = "";

    public string KeyFile { get; init; } = "";

    public string ServerName { get; init; } = "";

    internal static S3HttpConfig Read(ConfigSection section)
    {
        var tls = section.SectionOrEmpty("tls_config");
        var config = new S3HttpConfig
        {
            IdleConnTimeout = section.Duration("idle_conn_timeout") ?? TimeSpan.FromSeconds(90),
            ResponseHeaderTimeout = section.Duration("response_header_timeout") ?? TimeSpan.FromMinutes(2),
            ConnectTimeout = section.Duration("tls_handshake_timeout") ?? TimeSpan.FromSeconds(10),
            ExpectContinueTimeout = section.Duration("expect_continue_timeout") ?? TimeSpan.FromSeconds(1),
            MaxConnsPerHost = (int)(section.Count("max_conns_per_host", 0, int.MaxValue) ?? 0),
            InsecureSkipVerify = (section.Bool("insecure_skip_verify") ?? false) | (tls.Bool("insecure_skip_verify") ?? false),
            CaFile = tls.Text("ca_file") ?? "",
            CertFile = tls.Text("cert_file") ?? "",
            KeyFile = tls.Text("key_file") ?? "",
            ServerName = tls.Text("server_name") ?? "",
        };
        if (config.CertFile.Length > 0 != config.KeyFile.Length > 0)
        {
            tls.Errors.Add(tls.Find(config.KeyFile.Length == 0
                ? "cert_file"
                : "key_file"), "cert_file and key_file go together: one of them is missing");
        }

        // These have no effect: .NET's pool has no such bounds, and bodies are not compressed.
        _ = section.Count("max_idle_conns");
        _ = section.Count("max_idle_conns_per_host");
        _ = section.Bool("disable_compression");
        tls.Done();
        section.Done();
        return config;
    }

    /// <exception cref="BucketException">A certificate or key can't be read.</exception>
    internal HttpClient Connect()
    {
        try
        {
            var handler = new SocketsHttpHandler
            {
                AllowAutoRedirect = false,
                UseCookies = false,
                ConnectTimeout = ConnectTimeout,
                Expect100ContinueTimeout = ExpectContinueTimeout,
                PooledConnectionIdleTimeout = IdleConnTimeout,
                PooledConnectionLifetime = TimeSpan.FromMinutes(15),
                MaxConnectionsPerServer = MaxConnsPerHost == 0 ? int.MaxValue : MaxConnsPerHost,
            };
            if (ServerName.Length > 0)
            {
                handler.SslOptions.TargetHost = ServerName;
            }

            if (CertFile.Length > 0)
            {
                handler.SslOptions.ClientCertificates = [X509Certificate2.CreateFromPemFile(CertFile, KeyFile)];
            }

            if (InsecureSkipVerify)
            {
                handler.SslOptions.RemoteCertificateValidationCallback = (_, _, _, _) => InsecureSkipVerify;
            }
            else if (CaFile.Length > 0)
            {
                var authorities = new X509Certificate2Collection();
                authorities.ImportFromPemFile(CaFile);
                handler.SslOptions.CertificateChainPolicy = new X509ChainPolicy
                {
                    TrustMode = X509ChainTrustMode.CustomRootTrust,
                    RevocationMode = X509RevocationMode.NoCheck,
                };
                handler.SslOptions.CertificateChainPolicy.CustomTrustStore.AddRange(authorities);
            }

            return new HttpClient(new ExpectContinueHandler(handler)) { Timeout = Timeout.InfiniteTimeSpan };
        }
        catch (Exception e) when (e is IOException or CryptographicException or UnauthorizedAccessException)
        {
            throw new BucketException($"a file of config.http_config.tls_config can't be used: {e.Message}", e);
        }
    }

    /// <summary>
    /// Waits for the server's consent before it sends a large body, and only a large one: after a refusal .NET sends a body of less than
    /// 1 KiB nevertheless, which the server takes for the next request of the connection.
    /// </summary>
    sealed class ExpectContinueHandler(HttpMessageHandler inner) : DelegatingHandler(inner)
    {
        const long MinSize = 1 << 20;

        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            request.Headers.ExpectContinue = request.Content?.Headers.ContentLength >= MinSize;
            return base.SendAsync(request, cancellationToken);
        }
    }
}
