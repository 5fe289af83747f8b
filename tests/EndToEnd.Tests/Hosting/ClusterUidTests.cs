using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Observe.Hosting;
using Observe.Testkit;
using Xunit;

namespace Observe.EndToEnd.Tests.Hosting;

public sealed class ClusterUidTests : IDisposable
{
    readonly string _folder = Checkout.NewFolder("uid");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task In_Kubernetes_it_is_the_UID_of_kube_system()
    {
        using var certificate = Account("secret-token");
        await using var server = Start("""{"kind":"Namespace","metadata":{"name":"kube-system","uid":"7e0c"}}""", certificate);
        Assert.Equal("kubernetes 7e0c", await ClusterUid.OfKubernetesAsync(new Uri($"https://{server.Address}"), _folder, default));
        var request = server.Requests[^1];
        Assert.Equal("/api/v1/namespaces/kube-system", request.Target);
        Assert.Equal("Bearer secret-token", request.Headers["authorization"]);
    }

    [Theory]
    [InlineData("""{"kind":"Status","code":403}""", 403)]
    [InlineData("""{"kind":"Namespace","metadata":{"name":"kube-system"}}""", 200)]
    [InlineData("""{"kind":"Namespace","metadata":[]}""", 200)]
    [InlineData("[]", 200)]
    [InlineData("nonsense", 200)]
    [InlineData("", 200)]
    public async Task An_answer_without_it_is_one_clear_failure_without_the_token(string answer, int status)
    {
        using var certificate = Account("secret-token");
        await using var server = Start(new FakeAnswer { Body = Encoding.UTF8.GetBytes(answer), Status = status }, certificate);
        var error = await Assert.ThrowsAsync<IOException>(() => ClusterUid.OfKubernetesAsync(new Uri($"https://{server.Address}"), _folder, default));
        Assert.StartsWith($"the API server at https://{server.Address}/ does not tell the UID of namespace kube-system: ", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("secret-token", error.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_server_that_the_account_does_not_trust_gets_no_token()
    {
        using var trusted = Account("secret-token");
        using var other = Certificate();
        await using var server = Start("""{"metadata":{"uid":"7e0c"}}""", other);
        await Assert.ThrowsAsync<IOException>(() => ClusterUid.OfKubernetesAsync(new Uri($"https://{server.Address}"), _folder, default));
        Assert.Empty(server.Requests);
    }

    [Fact]
    public void Elsewhere_it_is_a_hash_of_the_machine()
    {
        var (id, none, odd) = (Path.Combine(_folder, "id"), Path.Combine(_folder, "none"), Path.Combine(_folder, "odd"));
        File.WriteAllText(id, "0123456789abcdef0123456789abcdef\n");
        File.WriteAllText(odd, "uninitialized\n");
        Assert.Equal(ClusterUid.OfMachine(id), ClusterUid.OfMachine(none, odd, id));
        Assert.Matches("^machine [0-9a-f]{32}$", ClusterUid.OfMachine(id));
        Assert.DoesNotContain("0123456789abcdef", ClusterUid.OfMachine(id), StringComparison.Ordinal);
        Assert.Null(ClusterUid.OfMachine(none, odd));
    }

    static FakeExporter Start(FakeAnswer answer, X509Certificate2 certificate)
    {
        var server = FakeExporter.Start(certificate: certificate);
        server["/api/v1/namespaces/kube-system"] = answer;
        return server;
    }

    X509Certificate2 Account(string token)
    {
        var certificate = Certificate();
        File.WriteAllText(Path.Combine(_folder, "token"), token + "\n");
        File.WriteAllText(Path.Combine(_folder, "ca.crt"), certificate.ExportCertificatePem());
        return certificate;
    }

    static X509Certificate2 Certificate()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=api", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        var now = TimeProvider.System.GetUtcNow();
        return request.CreateSelfSigned(now.AddHours(-1), now.AddHours(1));
    }
}
