using System.Net.Http.Headers;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;

namespace Observe.Hosting;

/// <summary>
/// What a cluster is by itself, whatever the configuration calls it: the UID of the namespace <c>kube-system</c>, which lives as long as the
/// cluster; outside of Kubernetes the machine.
/// </summary>
static class ClusterUid
{
    const int MaxAnswer = 1 << 20;
    const string Account = "/var/run/secrets/kubernetes.io/serviceaccount";
    static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(10);

    /// <summary>Null where neither can be known.</summary>
    /// <exception cref="IOException">The API server can't be asked, or does not say.</exception>
    public static async Task<string?> FindAsync(CancellationToken cancellationToken) =>
        Environment.GetEnvironmentVariable("KUBERNETES_SERVICE_HOST") is { Length: > 0 } host
            ? await OfKubernetesAsync(
                new Uri($"https://{(host.Contains(':', StringComparison.Ordinal) ? $"[{host}]" : host)}:"
                    + (Environment.GetEnvironmentVariable("KUBERNETES_SERVICE_PORT") is { Length: > 0 } port ? port : "443")),
                Account, cancellationToken)
            : OfMachine("/etc/machine-id", "/var/lib/dbus/machine-id");

    /// <param name="account">The folder of the service account: <c>token</c> and <c>ca.crt</c>.</param>
    /// <exception cref="IOException">The API server can't be asked, or does not say.</exception>
    public static async Task<string> OfKubernetesAsync(Uri server, string account, CancellationToken cancellationToken)
    {
        try
        {
            var trusted = new X509Certificate2Collection();
            trusted.ImportFromPemFile(Path.Combine(account, "ca.crt"));
            using var handler = new SocketsHttpHandler
            {
                SslOptions = new SslClientAuthenticationOptions
                {
                    CertificateChainPolicy = new X509ChainPolicy
                    {
                        TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck,
                    },
                },
            };
            handler.SslOptions.CertificateChainPolicy.CustomTrustStore.AddRange(trusted);
            using var client = new HttpClient(handler) { Timeout = s_timeout, MaxResponseContentBufferSize = MaxAnswer };
            using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(server, "/api/v1/namespaces/kube-system"));
            request.Headers.Authorization = new AuthenticationHeaderValue(
                "Bearer", (await File.ReadAllTextAsync(Path.Combine(account, "token"), cancellationToken)).Trim());
            using var response = await client.SendAsync(request, cancellationToken);
            response.EnsureSuccessStatusCode();
            using var answer = JsonDocument.Parse(await response.Content.ReadAsByteArrayAsync(cancellationToken));
            return answer.RootElement.TryGetProperty("metadata", out var metadata) && metadata.ValueKind == JsonValueKind.Object
                && metadata.TryGetProperty("uid", out var uid) && uid.ValueKind == JsonValueKind.String && uid.GetString() is { Length: > 0 } text
                ? $"kubernetes {text}"
                : throw new IOException("namespace kube-system has no UID");
        }
        catch (Exception e) when (!cancellationToken.IsCancellationRequested)
        {
            throw new IOException($"the API server at {server} does not tell the UID of namespace kube-system: {e.Message}", e);
        }
    }

    /// <summary>A hash of the machine's id, which itself is no one else's business; null where there is none.</summary>
    /// <param name="files">Where the id may stand, the first that has one counts.</param>
    public static string? OfMachine(params ReadOnlySpan<string> files)
    {
        foreach (var file in files)
        {
            if (File.Exists(file) && File.ReadAllText(file).Trim() is { Length: 32 } id && id.All(char.IsAsciiHexDigit))
            {
                return $"machine {Convert.ToHexStringLower(HMACSHA256.HashData(Encoding.UTF8.GetBytes(id), "observe"u8))[..32]}";
            }
        }

        return null;
    }
}
