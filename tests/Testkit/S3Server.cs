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
/// A real S3 server that checks signatures, started once for all tests of a collection and stopped after them. Its script is
/// beside the checkout; where that or its programs are absent, a test that asks for a bucket is skipped.
/// </summary>
public sealed class S3Server : IAsyncLifetime
{
    public const string Collection = "s3";
    public const string AccessKey = "observe-tests";
    public const string SecretKey = "not-so-secret";

    const int Attempts = 3;
    readonly string? _script = Checkout.SharedPath("peers", "s3");
    string? _folder;
    int _buckets;
    string? _endpoint;
    AmazonS3Client? _client;

    /// <summary>Host and port, for who has a bucket of it.</summary>
    public string Endpoint => _endpoint!;

    /// <summary>A client of the server, for who has a bucket of it.</summary>
    public AmazonS3Client Client => _client!;

    public async ValueTask InitializeAsync()
    {
        if (_script is null || Checkout.Program("radosgw") is null)
        {
            return;
        }

        // It can't choose its port itself; where another program took the one that it is told, it is told another.
        for (var attempt = 1; _endpoint is null; attempt++)
        {
            _folder = Checkout.NewFolder("s3");
            var port = FreePort();
            var said = await RunAsync("start", _folder, port.ToString(CultureInfo.InvariantCulture), AccessKey, SecretKey);
            if (said.Contains("ready ", StringComparison.Ordinal))
            {
                _endpoint = $"127.0.0.1:{port}";
            }
            else
            {
                await StopAsync();
                if (attempt == Attempts)
                {
                    throw new InvalidOperationException($"the S3 server did not start: {said}");
                }
            }
        }

        _client = new AmazonS3Client(new BasicAWSCredentials(AccessKey, SecretKey), new AmazonS3Config
        {
            ServiceURL = "http://" + _endpoint,
            AuthenticationRegion = "us-east-1",
            ForcePathStyle = true,
            RequestChecksumCalculation = RequestChecksumCalculation.WHEN_REQUIRED,
            ResponseChecksumValidation = ResponseChecksumValidation.WHEN_REQUIRED,
        });
    }

    public async ValueTask DisposeAsync()
    {
        _client?.Dispose();
        await StopAsync();
    }

    /// <summary>The configuration of a new, empty bucket; skips the test where there is no server.</summary>
    public async Task<S3Config> NewBucketAsync()
    {
        Required.Shared("peers", "s3");
        Required.Program("radosgw", "bash .ci/peers --s3");
        var bucket = $"test-{Interlocked.Increment(ref _buckets)}";
        await _client!.PutBucketAsync(new PutBucketRequest { BucketName = bucket });
        return new S3Config
        {
            Bucket = bucket,
            Endpoint = _endpoint!,
            Insecure = true,
            AccessKey = AccessKey,
            SecretKey = new Secret(SecretKey),
            PartSize = 5 << 20,
        };
    }

    async Task StopAsync()
    {
        if (_folder is { } folder)
        {
            _folder = null;
            await RunAsync("stop", folder);
            Directory.Delete(folder, recursive: true);
        }
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
