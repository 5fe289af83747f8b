using System.Security.Cryptography;
using Amazon.S3;
using Amazon.S3.Model;

namespace Observe.Store.Bucket;

/// <summary>
/// Uploads one large object in parts, one after the other. If it fails for good, the parts are deleted where the server can be reached.
/// </summary>
sealed class S3Multipart(IAmazonS3 client, S3Config config, S3Retries retries)
{
    /// <summary>Metadata that tells a writer its own object from another's.</summary>
    public const string WriteId = "observe-write";

    /// <param name="partSize">Bytes.</param>
    /// <param name="customerKey">Of SSE-C, else "".</param>
    public async Task UploadAsync(
        InitiateMultipartUploadRequest start, Stream content, long partSize, string customerKey, CancellationToken cancellationToken)
    {
        var (key, write) = (start.Key, Guid.NewGuid().ToString("N"));
        start.Metadata.Add(WriteId, write);
        var length = content.Length;
        var id = await retries.RunAsync(
            0, async token => S3Answer.Checked((await client.InitiateMultipartUploadAsync(start, token)).UploadId), cancellationToken);
        try
        {
            var parts = new List<PartETag>();
            for (long at = 0; at < length; at += partSize)
            {
                var (from, number) = (at, parts.Count + 1);
                var size = Math.Min(partSize, length - from);
                var etag = await retries.RunAsync(
                    size,
                    async token => S3Answer.Checked(
                        (await client.UploadPartAsync(PartRequest(key, id, content, from, size, number, customerKey), token)).ETag),
                    cancellationToken);
                parts.Add(new PartETag(number, etag));
            }

            await CompleteAsync(key, id, parts, write, cancellationToken);
        }
        catch
        {
            await AbortAsync(key, id);
            throw;
        }
    }

    /// <summary>Base64 of the MD5 of a part of a stream.</summary>
    public static string Md5(Stream content, long offset, long size)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.MD5);
        var buffer = new byte[81_920];
        content.Position = offset;
        while (size > 0)
        {
            var read = content.Read(buffer, 0, (int)Math.Min(buffer.Length, size));
            if (read == 0)
            {
                throw new EndOfStreamException();
            }

            hash.AppendData(buffer, 0, read);
            size -= read;
        }

        content.Position = offset;
        return Convert.ToBase64String(hash.GetHashAndReset());
    }

    UploadPartRequest PartRequest(string key, string id, Stream content, long offset, long size, int number, string customerKey)
    {
        content.Position = offset;
        var request = new UploadPartRequest
        {
            BucketName = config.Bucket,
            Key = key,
            UploadId = id,
            PartNumber = number,
            PartSize = size,
            InputStream = content,
            UseChunkEncoding = false,
            DisablePayloadSigning = !config.Insecure,
            IsLastPart = offset + size == content.Length,
        };
        if (config.SendContentMd5)
        {
            request.MD5Digest = Md5(content, offset, size);
        }

        if (customerKey.Length > 0)
        {
            request.ServerSideEncryptionCustomerMethod = ServerSideEncryptionCustomerMethod.AES256;
            request.ServerSideEncryptionCustomerProvidedKey = customerKey;
        }

        return request;
    }

    async Task CompleteAsync(string key, string id, List<PartETag> parts, string write, CancellationToken cancellationToken)
    {
        var request = new CompleteMultipartUploadRequest { BucketName = config.Bucket, Key = key, UploadId = id, PartETags = parts };
        try
        {
            await retries.RunAsync(
                0, async token => S3Answer.Checked((await client.CompleteMultipartUploadAsync(request, token)).ETag), cancellationToken);
        }
        catch (Exception e) when (S3Failure.IsNotFound(e))
        {
            // An earlier attempt whose answer was lost has completed the upload, or somebody aborted it.
            var head = await retries.RunAsync(
                0, token => client.GetObjectMetadataAsync(new GetObjectMetadataRequest { BucketName = config.Bucket, Key = key }, token),
                cancellationToken);
            if (head.Metadata[WriteId] != write)
            {
                throw;
            }
        }
    }

    async Task AbortAsync(string key, string id)
    {
        try
        {
            using var timer = new CancellationTokenSource(TimeSpan.FromSeconds(10));
            await client.AbortMultipartUploadAsync(
                new AbortMultipartUploadRequest { BucketName = config.Bucket, Key = key, UploadId = id }, timer.Token);
        }
        catch (Exception)
        {
            // The failure that led here is what counts; a rule of the bucket sweeps up what is left.
        }
    }
}
