using System.Security.Cryptography;
using Amazon.S3.Model;

namespace Observe.Store.Bucket;

/// <summary>
/// The bytes of an object. When the connection breaks or stalls, the rest of the same version is requested. At the end all of it is
/// compared with the MD5 that its ETag is, unless it was uploaded in parts or is encrypted with a key of its own.
/// </summary>
/// <param name="stall">How long no byte may come.</param>
sealed class S3ObjectStream(S3Bucket bucket, string key, GetObjectResponse response, TimeSpan stall) : ForwardStream
{
    const int MaxResumes = 5;
    static readonly TimeSpan s_longestStall = TimeSpan.FromSeconds(60);

    readonly TimeSpan _stall = stall < s_longestStall ? stall : s_longestStall;
    readonly string _etag = response.ETag;
    readonly long _length = response.ContentLength;
    IncrementalHash? _hash = IsMd5(response) ? IncrementalHash.CreateHash(HashAlgorithmName.MD5) : null;
    GetObjectResponse _response = response;
    long _position;
    int _resumes;

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        while (true)
        {
            try
            {
                var read = await ReadSomeAsync(buffer, cancellationToken);
                _position += read;
                _resumes = read > 0 ? 0 : _resumes;
                _hash?.AppendData(buffer.Span[..read]);
                if (_position == _length)
                {
                    CheckHash();
                }

                return read;
            }
            catch (Exception e) when (e is not (BucketException or OperationCanceledException))
            {
                // Any exception means that the connection is lost; not all of the SDK's are IOExceptions.
                if (++_resumes > MaxResumes)
                {
                    throw bucket.Explain("read", key, e);
                }
            }

            S3Answer.Close(_response);
            _response = await bucket.OpenAsync(key, _position, _etag, cancellationToken);
        }
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            S3Answer.Close(_response);
            _hash?.Dispose();
        }

        base.Dispose(disposing);
    }

    static bool IsMd5(GetObjectResponse response) =>
        response.ETag.Trim('"') is { Length: 32 } tag && tag.All(char.IsAsciiHexDigit)
        && string.IsNullOrEmpty(response.ServerSideEncryptionCustomerMethod?.Value)
        && response.ServerSideEncryptionMethod?.Value is null or "" or "AES256";

    void CheckHash()
    {
        if (_hash is { } hash)
        {
            _hash = null;
            var found = Convert.ToHexStringLower(hash.GetHashAndReset());
            hash.Dispose();
            if (!_etag.Trim('"').Equals(found, StringComparison.OrdinalIgnoreCase))
            {
                throw new BucketException(
                    $"{bucket.Name}: {key} came with other bytes than the server says it has: their MD5 is {found}, its ETag {_etag}")
                {
                    Failure = BucketFailure.Damaged,
                };
            }
        }
    }

    async ValueTask<int> ReadSomeAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        if (_position == _length)
        {
            return 0;
        }

        using var timer = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        timer.CancelAfter(_stall);
        try
        {
            var read = await _response.ResponseStream.ReadAsync(buffer[..(int)Math.Min(buffer.Length, _length - _position)], timer.Token);
            return read > 0 || buffer.IsEmpty
                ? read
                : throw new EndOfStreamException($"the object broke off after {_position} of {_length} bytes");
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new TimeoutException($"no byte within {_stall.TotalSeconds:0} s");
        }
    }
}
