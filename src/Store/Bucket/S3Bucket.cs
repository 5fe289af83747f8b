using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json.Nodes;
using Amazon;
using Amazon.Runtime;
using Amazon.S3;
using Amazon.S3.Model;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Store.Bucket;

/// <summary>
/// A bucket of an S3 server. What may fail for a moment is tried again; an object that breaks off while it is read is read on from there,
/// in the same version. Conditional writes need a server that honours If-None-Match and If-Match on PUT.
/// </summary>
public sealed class S3Bucket : IBucket
{
    const long MaxPut = 5L << 30;
    const int MaxParts = 10_000;

    readonly S3Config _config;
    readonly S3Retries _retries;
    readonly HttpClient _http;
    readonly AmazonS3Client _client;
    readonly string _customerKey = "";

    /// <summary>Sends nothing yet.</summary>
    /// <exception cref="BucketException">A file that the configuration names can't be read.</exception>
    public S3Bucket(S3Config config, TimeProvider time)
    {
        _config = config;
        _retries = new S3Retries(config, time);
        _http = config.Http.Connect();
        if (config.Encryption is { Type: "SSE-C" } encryption)
        {
            _customerKey = CustomerKey(encryption.CustomerKeyFile);
        }

        var client = new AmazonS3Config
        {
            MaxErrorRetry = 0,
            MaxStaleConnectionRetries = 0,
            ThrottleRetries = false,
            Timeout = Timeout.InfiniteTimeSpan,
            RequestChecksumCalculation = RequestChecksumCalculation.WHEN_REQUIRED,
            ResponseChecksumValidation = ResponseChecksumValidation.WHEN_REQUIRED,
            ForcePathStyle = config.PathStyle
                ?? !(config.Endpoint.Length == 0 || config.Endpoint.EndsWith(".amazonaws.com", StringComparison.OrdinalIgnoreCase)),
            HttpClientFactory = new OneHttpClient(_http),
        };
        if (config.Endpoint.Length > 0)
        {
            client.ServiceURL = (config.Insecure ? "http://" : "https://") + config.Endpoint;
            client.AuthenticationRegion = config.Region.Length > 0 ? config.Region : RegionOf(config.Endpoint);
        }
        else
        {
            client.RegionEndpoint = RegionEndpoint.GetBySystemName(config.Region);
            client.UseHttp = config.Insecure;
        }

        _client = config.SecretKey is null ? new AmazonS3Client(client)
            : config.SessionToken is { } token
                ? new AmazonS3Client(new SessionAWSCredentials(config.AccessKey, config.SecretKey.Reveal(), token.Reveal()), client)
                : new AmazonS3Client(new BasicAWSCredentials(config.AccessKey, config.SecretKey.Reveal()), client);
    }

    public string Name => "s3://" + _config.Bucket;

    public async Task<Stream> GetAsync(string key, CancellationToken cancellationToken)
    {
        ObjectKey.Check(key);
        return new S3ObjectStream(this, key, await OpenAsync(key, 0, null, cancellationToken), _config.Http.ResponseHeaderTimeout);
    }

    public async ValueTask<int> GetRangeAsync(string key, long offset, Memory<byte> destination, CancellationToken cancellationToken)
    {
        ObjectKey.Check(key);
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        if (destination.IsEmpty)
        {
            return 0;
        }

        try
        {
            return await _retries.RunAsync(
                destination.Length,
                async token =>
                {
                    var request = GetRequest(key);
                    request.ByteRange = new ByteRange(offset, offset + destination.Length - 1);
                    var response = await _client.GetObjectAsync(request, token);
                    try
                    {
                        var expected = S3Answer.RangeLength(response, offset, destination.Length);
                        await response.ResponseStream.ReadExactlyAsync(destination[..expected], token);
                        return expected;
                    }
                    finally
                    {
                        S3Answer.Close(response);
                    }
                },
                cancellationToken);
        }
        catch (Exception e) when (S3Failure.IsBeyondEnd(e))
        {
            return 0;
        }
        catch (Exception e) when (S3Failure.IsNotFound(e))
        {
            throw new ObjectNotFoundException(Name, key, e);
        }
        catch (Exception e) when (IsOurs(e))
        {
            throw Explain("read", key, e);
        }
    }

    public async Task<ObjectAttributes?> AttributesAsync(string key, CancellationToken cancellationToken)
    {
        ObjectKey.Check(key);
        try
        {
            var head = await HeadAsync(key, cancellationToken);
            return new ObjectAttributes(head.ContentLength, head.LastModified ?? default(DateTimeOffset), head.ETag ?? "");
        }
        catch (Exception e) when (S3Failure.IsNotFound(e))
        {
            return null;
        }
        catch (Exception e) when (IsOurs(e))
        {
            throw Explain("read the attributes of", key, e);
        }
    }

    public async IAsyncEnumerable<BucketEntry> ListAsync(
        string prefix, bool recursive, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        ObjectKey.CheckPrefix(prefix);
        string? next = null;
        do
        {
            (var entries, next) = await PageAsync(prefix, recursive, next, cancellationToken);
            foreach (var entry in entries)
            {
                yield return entry;
            }
        }
        while (next is not null);
    }

    public async Task<PutResult> PutAsync(string key, Stream content, PutCondition condition, CancellationToken cancellationToken)
    {
        ObjectKey.Check(key);
        try
        {
            // Servers honour conditions on a single PUT only, so a conditional object is never split.
            var conditional = condition != PutCondition.None;
            if (content.Length > MaxPut && (conditional || _config.DisableMultipart))
            {
                throw new BucketException($"{Name}: can't write {key}: {content.Length} bytes are more than the {MaxPut} of one request")
                {
                    Failure = BucketFailure.Refused,
                };
            }

            if (conditional || _config.DisableMultipart || content.Length <= _config.PartSize)
            {
                return await PutWholeAsync(key, content, condition, cancellationToken);
            }

            await new S3Multipart(_client, _config, _retries).UploadAsync(
                Started(key), content, Math.Max(_config.PartSize, (content.Length / MaxParts) + 1), _customerKey, cancellationToken);
            return PutResult.Written;
        }
        catch (Exception e) when (IsOurs(e))
        {
            throw Explain("write", key, e);
        }
    }

    public async Task DeleteAsync(string key, CancellationToken cancellationToken)
    {
        ObjectKey.Check(key);
        try
        {
            var request = new DeleteObjectRequest { BucketName = _config.Bucket, Key = key };
            await _retries.RunAsync(0, async token => S3Answer.Checked(await _client.DeleteObjectAsync(request, token)), cancellationToken);
        }
        catch (Exception e) when (S3Failure.IsNotFound(e))
        {
        }
        catch (Exception e) when (IsOurs(e))
        {
            throw Explain("delete", key, e);
        }
    }

    public ValueTask DisposeAsync()
    {
        _client.Dispose();
        _http.Dispose();
        return ValueTask.CompletedTask;
    }

    /// <param name="etag">The version to go on with; null for any.</param>
    internal async Task<GetObjectResponse> OpenAsync(string key, long offset, string? etag, CancellationToken cancellationToken)
    {
        try
        {
            var request = GetRequest(key);
            request.EtagToMatch = etag;
            if (offset > 0)
            {
                request.ByteRange = new ByteRange(offset, long.MaxValue - 1);
            }

            return await _retries.RunAsync(
                0, async token => S3Answer.Checked(await _client.GetObjectAsync(request, token), offset), cancellationToken);
        }
        catch (Exception e) when (S3Failure.IsNotFound(e))
        {
            throw new ObjectNotFoundException(Name, key, e);
        }
        catch (Exception e) when (S3Failure.IsConditionFailed(e))
        {
            throw new BucketException($"{Name}: object {key} was replaced while it was read", e) { Failure = BucketFailure.Changed };
        }
        catch (Exception e) when (IsOurs(e))
        {
            throw Explain("read", key, e);
        }
    }

    internal Exception Explain(string what, string key, Exception e) => S3Failure.Explain(_config, Name, what, key, e);

    /// <summary>For exception filters: not for what is translated already, nor for a cancellation by the caller.</summary>
    static bool IsOurs(Exception e) => e is not (BucketException or OperationCanceledException or ResourceExhaustedException);

    async Task<PutResult> PutWholeAsync(string key, Stream content, PutCondition condition, CancellationToken cancellationToken)
    {
        var id = Guid.NewGuid().ToString("N");
        try
        {
            await _retries.RunAsync(
                content.Length,
                async token =>
                {
                    var request = PutRequest(key, content, condition);
                    if (condition != PutCondition.None)
                    {
                        request.Metadata.Add(S3Multipart.WriteId, id);
                    }

                    return S3Answer.Checked((await _client.PutObjectAsync(request, token)).ETag);
                },
                cancellationToken);
            return PutResult.Written;
        }
        catch (Exception e) when (S3Failure.IsConditionFailed(e) || (condition.IfMatch is not null && S3Failure.IsNotFound(e)))
        {
            // An earlier attempt, ours or HttpClient's, may have written the object, and its answer was lost.
            return await WroteAsync(key, id, cancellationToken) ? PutResult.Written : PutResult.ConditionFailed;
        }
    }

    async Task<bool> WroteAsync(string key, string id, CancellationToken cancellationToken)
    {
        try
        {
            return (await HeadAsync(key, cancellationToken)).Metadata[S3Multipart.WriteId] == id;
        }
        catch (Exception e) when (S3Failure.IsNotFound(e))
        {
            return false;
        }
    }

    PutObjectRequest PutRequest(string key, Stream content, PutCondition condition)
    {
        content.Position = 0;
        var request = new PutObjectRequest
        {
            BucketName = _config.Bucket,
            Key = key,
            InputStream = content,
            AutoCloseStream = false,
            AutoResetStreamPosition = false,
            UseChunkEncoding = false,
            DisablePayloadSigning = !_config.Insecure,
            IfNoneMatch = condition.IfAbsent ? "*" : null,
            IfMatch = condition.IfMatch?.Trim('"'),
        };
        if (_config.SendContentMd5)
        {
            request.MD5Digest = S3Multipart.Md5(content, 0, content.Length);
        }

        AddMetadata(request.Metadata, c => request.StorageClass = c);
        switch (_config.Encryption)
        {
            case { Type: "SSE-S3" }:
                request.ServerSideEncryptionMethod = ServerSideEncryptionMethod.AES256;
                break;
            case { Type: "SSE-KMS" } kms:
                request.ServerSideEncryptionMethod = ServerSideEncryptionMethod.AWSKMS;
                request.ServerSideEncryptionKeyManagementServiceKeyId = kms.KmsKeyId;
                request.ServerSideEncryptionKeyManagementServiceEncryptionContext = KmsContext(kms);
                break;
            case { Type: "SSE-C" }:
                request.ServerSideEncryptionCustomerMethod = ServerSideEncryptionCustomerMethod.AES256;
                request.ServerSideEncryptionCustomerProvidedKey = _customerKey;
                break;
        }

        return request;
    }

    InitiateMultipartUploadRequest Started(string key)
    {
        var request = new InitiateMultipartUploadRequest { BucketName = _config.Bucket, Key = key };
        AddMetadata(request.Metadata, c => request.StorageClass = c);
        switch (_config.Encryption)
        {
            case { Type: "SSE-S3" }:
                request.ServerSideEncryptionMethod = ServerSideEncryptionMethod.AES256;
                break;
            case { Type: "SSE-KMS" } kms:
                request.ServerSideEncryptionMethod = ServerSideEncryptionMethod.AWSKMS;
                request.ServerSideEncryptionKeyManagementServiceKeyId = kms.KmsKeyId;
                request.ServerSideEncryptionKeyManagementServiceEncryptionContext = KmsContext(kms);
                break;
            case { Type: "SSE-C" }:
                request.ServerSideEncryptionCustomerMethod = ServerSideEncryptionCustomerMethod.AES256;
                request.ServerSideEncryptionCustomerProvidedKey = _customerKey;
                break;
        }

        return request;
    }

    void AddMetadata(MetadataCollection metadata, Action<S3StorageClass> setClass)
    {
        foreach (var (name, value) in _config.UserMetadata)
        {
            if (name.Equals("X-Amz-Storage-Class", StringComparison.OrdinalIgnoreCase))
            {
                setClass(new S3StorageClass(value));
            }
            else
            {
                metadata.Add(name, value);
            }
        }
    }

    GetObjectRequest GetRequest(string key)
    {
        var request = new GetObjectRequest { BucketName = _config.Bucket, Key = key };
        if (_customerKey.Length > 0)
        {
            request.ServerSideEncryptionCustomerMethod = ServerSideEncryptionCustomerMethod.AES256;
            request.ServerSideEncryptionCustomerProvidedKey = _customerKey;
        }

        return request;
    }

    Task<GetObjectMetadataResponse> HeadAsync(string key, CancellationToken cancellationToken)
    {
        var request = new GetObjectMetadataRequest { BucketName = _config.Bucket, Key = key };
        if (_customerKey.Length > 0)
        {
            request.ServerSideEncryptionCustomerMethod = ServerSideEncryptionCustomerMethod.AES256;
            request.ServerSideEncryptionCustomerProvidedKey = _customerKey;
        }

        return _retries.RunAsync(
            0,
            async token =>
            {
                var head = await _client.GetObjectMetadataAsync(request, token);
                S3Answer.Checked(head.ETag);
                return head;
            },
            cancellationToken);
    }

    async Task<(List<BucketEntry> Entries, string? Next)> PageAsync(
        string prefix, bool recursive, string? after, CancellationToken cancellationToken)
    {
        try
        {
            List<S3Object>? objects;
            List<string>? folders;
            string? next;
            var delimiter = recursive ? null : "/";
            if (_config.ListVersion1)
            {
                var request =
                    new ListObjectsRequest { BucketName = _config.Bucket, Prefix = prefix, Delimiter = delimiter, Marker = after };
                var response = await _retries.RunAsync(
                    0, async token =>
                    S3Answer.Checked(await _client.ListObjectsAsync(request, token), list => list.IsTruncated), cancellationToken);
                (objects, folders) = (response.S3Objects, response.CommonPrefixes);
                next = response.IsTruncated != true ? null : response.NextMarker ?? objects?.LastOrDefault()?.Key;
            }
            else
            {
                var request = new ListObjectsV2Request
                {
                    BucketName = _config.Bucket,
                    Prefix = prefix,
                    Delimiter = delimiter,
                    ContinuationToken = after
                };
                var response = await _retries.RunAsync(
                    0, async token =>
                    S3Answer.Checked(await _client.ListObjectsV2Async(request, token), list => list.IsTruncated), cancellationToken);
                (objects, folders) = (response.S3Objects, response.CommonPrefixes);
                next = response.IsTruncated == true ? response.NextContinuationToken : null;
            }

            var entries = new List<BucketEntry>();
            foreach (var found in objects ?? [])
            {
                // Consoles make objects whose key ends in a slash to show an empty folder; they are left out.
                if (!found.Key.EndsWith('/'))
                {
                    entries.Add(new BucketEntry(found.Key, found.Size ?? 0, found.LastModified ?? default(DateTimeOffset)));
                }
            }

            entries.AddRange((folders ?? []).Select(f => new BucketEntry(f, 0, default)));
            entries.Sort((a, b) => Utf8Order.Instance.Compare(a.Key, b.Key));
            return (entries, next);
        }
        catch (Exception e) when (IsOurs(e))
        {
            throw Explain("list", prefix, e);
        }
    }

    static string KmsContext(S3Encryption kms) => kms.KmsContext.Count == 0
        ? null!
        : Convert.ToBase64String(Encoding.UTF8.GetBytes(
            new JsonObject(kms.KmsContext.Select(pair => KeyValuePair.Create<string, JsonNode?>(pair.Key, pair.Value))).ToJsonString()));

    static string CustomerKey(string file)
    {
        try
        {
            var key = File.ReadAllBytes(file);
            return key.Length == 32
                ? Convert.ToBase64String(key)
                : throw new BucketException($"config.sse_config.encryption_key: {file} has {key.Length} bytes, not the 32 of a key");
        }
        catch (Exception e) when (e is (IOException and not BucketException) or UnauthorizedAccessException)
        {
            throw new BucketException($"config.sse_config.encryption_key: {e.Message}", e);
        }
    }

    /// <summary>The region in one of Amazon's own host names; other servers are content with their default.</summary>
    static string RegionOf(string endpoint)
    {
        var parts = endpoint.Split('.');
        return endpoint.EndsWith(".amazonaws.com", StringComparison.OrdinalIgnoreCase) && parts.Length >= 4 ? parts[^3] : "us-east-1";
    }

    sealed class OneHttpClient(HttpClient client) : HttpClientFactory
    {
        public override HttpClient CreateHttpClient(IClientConfig clientConfig) => client;

        public override bool UseSDKHttpClientCaching(IClientConfig clientConfig) => false;

        public override bool DisposeHttpClientsAfterUse(IClientConfig clientConfig) => false;
    }
}
