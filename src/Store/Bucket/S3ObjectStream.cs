using Amazon.S3.Model;

namespace Observe.Store.Bucket;

/// <summary>An object as it comes; when the connection breaks or stalls, the same version is asked for from there on.</summary>
sealed class S3ObjectStream(S3Bucket bucket, string key, GetObjectResponse response) : ForwardStream
{
    const int MaxResumes = 5;
    static readonly TimeSpan s_stall = TimeSpan.FromSeconds(60);

    readonly string? _etag = response.ETag;
    readonly long _length = response.ContentLength;
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
                return read;
            }
            catch (Exception e) when (S3Failure.IsTransient(e))
            {
                if (++_resumes > MaxResumes)
                {
                    throw bucket.Explain("read", key, e);
                }
            }

            _response.Dispose();
            _response = await bucket.OpenAsync(key, _position, _etag, cancellationToken);
        }
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _response.Dispose();
        }

        base.Dispose(disposing);
    }

    async ValueTask<int> ReadSomeAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        using var timer = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        timer.CancelAfter(s_stall);
        try
        {
            var read = await _response.ResponseStream.ReadAsync(buffer, timer.Token);
            return read > 0 || buffer.IsEmpty || _position == _length
                ? read
                : throw new EndOfStreamException($"the object broke off after {_position} of {_length} bytes");
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new TimeoutException($"no byte within {s_stall.TotalSeconds:0} s");
        }
    }
}
