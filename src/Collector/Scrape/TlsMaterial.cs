using System.Diagnostics.CodeAnalysis;
using System.IO.Hashing;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Observe.Collector.Config;

namespace Observe.Collector.Scrape;

/// <summary>The certificates and key of a <c>tls_config</c> as they stand at one moment, from the configuration or from files.</summary>
sealed class TlsMaterial
{
    readonly TlsConfig _config;
    readonly string? _ca;
    readonly string? _cert;
    readonly string? _key;

    TlsMaterial(TlsConfig config, string? ca, string? cert, string? key)
    {
        (_config, _ca, _cert, _key) = (config, ca, cert, key);
        Hash = XxHash3.HashToUInt64(Encoding.UTF8.GetBytes($"{ca}\0{cert}\0{key}"));
    }

    /// <summary>A hash of the content of all files.</summary>
    public ulong Hash { get; }

    /// <exception cref="IOException">A file cannot be read.</exception>
    public static TlsMaterial Read(TlsConfig config) => new(
        config,
        config.CaFile is null ? config.Ca : Encoding.Latin1.GetString(SecretFile.Read(config.CaFile)),
        config.CertFile is null ? config.Cert : Encoding.Latin1.GetString(SecretFile.Read(config.CertFile)),
        config.KeyFile is null ? config.Key?.Reveal() : Encoding.Latin1.GetString(SecretFile.Read(config.KeyFile)));

    public static bool HasFiles(TlsConfig config) => config.CaFile is not null || config.CertFile is not null || config.KeyFile is not null;

    /// <exception cref="CryptographicException">A certificate or key is not PEM, or they do not belong together.</exception>
    [SuppressMessage("Security", "CA5359", Justification = "insecure_skip_verify is the user's own choice")]
    public SslClientAuthenticationOptions Options()
    {
        var options = new SslClientAuthenticationOptions { EnabledSslProtocols = Protocols() };
        if (_config.InsecureSkipVerify)
        {
            options.RemoteCertificateValidationCallback = (_, _, _, _) => true;
        }
        else if (_ca is not null)
        {
            var policy =
                new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
            policy.CustomTrustStore.ImportFromPem(_ca);
            if (policy.CustomTrustStore.Count == 0)
            {
                throw new CryptographicException("the CA holds no certificate");
            }

            options.CertificateChainPolicy = policy;
        }

        if (_cert is not null)
        {
            var chain = new X509Certificate2Collection();
            chain.ImportFromPem(_cert);
            options.ClientCertificateContext = SslStreamCertificateContext.Create(
                X509Certificate2.CreateFromPem(_cert, _key), chain, offline: true);
        }

        return options;
    }

    SslProtocols Protocols()
    {
        var (min, max) = (_config.MinVersion ?? "TLS12", _config.MaxVersion ?? "TLS13");
        return (string.CompareOrdinal(min, "TLS12") <= 0 ? SslProtocols.Tls12 : SslProtocols.None)
            | (max == "TLS13" ? SslProtocols.Tls13 : SslProtocols.None);
    }
}
