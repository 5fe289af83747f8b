using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Amazon.Runtime;
using Amazon.S3;
using Amazon.S3.Model;
using Observe.Store.Bucket;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Testkit;

/// <summary>
/// A real S3 server that checks signatures, started once for all tests of a collection and stopped after them. Absent where its
/// script is not beside the checkout or its programs are not installed (<c>shared/peers/s3 install</c>).
/// </summary>
public sealed class S3Server : IAsyncLifetime
{
    public const string Collection = "s3";
    public const string AccessKey = "observe-tests";
    public const string SecretKey = "not-so-secret";

    readonly string? _script = Checkout.SharedPath("peers", "s3");
    string? _folder;
    int _buckets;

    /// <summary>Host and port; null where there is no server.</summary>
    public string? Endpoint { get; private set; }

    /// <summary>A client of the server; null where there is none.</summary>
    public AmazonS3Client? Client { get; private set; }

    public async Task InitializeAsync()
    {
        if (_script is null || !File.Exists("/usr/bin/radosgw"))
        {
            return;
        }

        _folder = Checkout.NewFolder("s3");
        var port = FreePort();
        var said = await RunAsync("start", _folder, port.ToString(CultureInfo.InvariantCulture), AccessKey, SecretKey);
        if (!said.Contains("ready ", StringComparison.Ordinal))
        {
            throw new InvalidOperationException($"the S3 server did not start: {said}");
        }

        Endpoint = $"127.0.0.1:{port}";
        Client = new AmazonS3Client(new BasicAWSCredentials(AccessKey, SecretKey), new AmazonS3Config
        {
            ServiceURL = "http://" + Endpoint,
            AuthenticationRegion = "us-east-1",
            ForcePathStyle = true,
            RequestChecksumCalculation = RequestChecksumCalculation.WHEN_REQUIRED,
            ResponseChecksumValidation = ResponseChecksumValidation.WHEN_REQUIRED,
        });
    }

    public async Task DisposeAsync()
    {
        Client?.Dispose();
        if (_folder is not null)
        {
            await RunAsync("stop", _folder);
            Directory.Delete(_folder, recursive: true);
        }
    }

    /// <summary>The configuration of a new, empty bucket; null where there is no server.</summary>
    public async Task<S3Config?> NewBucketAsync()
    {
        if (Client is null)
        {
            return null;
        }

        var bucket = $"test-{Interlocked.Increment(ref _buckets)}";
        await Client.PutBucketAsync(new PutBucketRequest { BucketName = bucket });
        return new S3Config
        {
            Bucket = bucket,
            Endpoint = Endpoint!,
            Insecure = true,
            AccessKey = AccessKey,
            SecretKey = new Secret(SecretKey),
            PartSize = 5 << 20,
        };
    }

    async Task<string> RunAsync(params string[] arguments)
    {
        var start = new ProcessStartInfo("/bin/bash") { RedirectStandardOutput = true, RedirectStandardError = true };
        start.ArgumentList.Add(_script!);
        foreach (var argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        using var process = Process.Start(start)!;
        var said = process.StandardOutput.ReadToEndAsync();
        var complained = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        return await said + await complained;
    }

    static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
