using System.Net;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Xml;
using Amazon.Runtime;
using Observe.Tsdb.Bytes;

namespace Observe.Store.Bucket;

/// <summary>The answer is incomplete, contradicts itself or is not one of an S3 server; the next attempt may succeed.</summary>
sealed class S3AnswerException(string what) : IOException(what);

/// <summary>Makes a message of what the SDK throws, which says what was refused and what to check, and holds no secret.</summary>
static class S3Failure
{
    /// <summary>Whether the same request may succeed a moment later.</summary>
    public static bool IsTransient(Exception e) => e switch
    {
        AmazonServiceException s when s.StatusCode != 0 =>
            (s.StatusCode >= HttpStatusCode.InternalServerError && s.StatusCode != HttpStatusCode.NotImplemented)
            || s.StatusCode is HttpStatusCode.RequestTimeout or HttpStatusCode.TooManyRequests
            || s.ErrorCode is "SlowDown" or "RequestTimeout" or "RequestTimeoutException" or "InternalError" or "Throttling" or "ThrottlingException"
                or "ConditionalRequestConflict" or "OperationAborted" or "BadDigest" or "IncompleteBody" or "XAmzContentSHA256Mismatch" or "TemporaryRedirect",
        AmazonUnmarshallingException or XmlException => true,
        TimeoutException => true,
        _ when Inner<AuthenticationException>(e) is not null => false,
        HttpRequestException or IOException or SocketException => true,
        { InnerException: { } inner } => IsTransient(inner),
        _ => false,
    };

    public static bool IsNotFound(Exception e) =>
        e is AmazonServiceException { StatusCode: HttpStatusCode.NotFound, ErrorCode: not "NoSuchBucket" };

    public static bool IsConditionFailed(Exception e) => e is AmazonServiceException { StatusCode: HttpStatusCode.PreconditionFailed };

    public static bool IsBeyondEnd(Exception e) => e is AmazonServiceException { StatusCode: HttpStatusCode.RequestedRangeNotSatisfiable };

    /// <param name="what">The operation in words, as "read" or "list".</param>
    public static Exception Explain(S3Config config, string bucket, string what, string key, Exception e)
    {
        var of = key.Length == 0 ? "" : $" {key}";
        var message = $"{bucket}: can't {what}{of}: {Reason(config, e)}";
        return ResourceExhaustedException.IsCauseOf(e)
            ? new ResourceExhaustedException(message, e)
            : new BucketException(message, e) { Failure = Kind(e) };
    }

    static BucketFailure Kind(Exception e) =>
        Inner<S3AnswerException>(e) is not null
            || Inner<AmazonUnmarshallingException>(e) is not null || Inner<XmlException>(e) is not null ? BucketFailure.Damaged
        : IsTransient(e) || Inner<AuthenticationException>(e) is not null ? BucketFailure.Unavailable
        : e is AmazonServiceException { StatusCode: HttpStatusCode.NotFound } ? BucketFailure.NotFound
        : e is AmazonServiceException { StatusCode: HttpStatusCode.Forbidden or HttpStatusCode.Unauthorized } ? BucketFailure.Denied
        : BucketFailure.Refused;

    static string Reason(S3Config config, Exception e)
    {
        var endpoint = config.Endpoint.Length == 0 ? $"Amazon S3 in {config.Region}" : config.Endpoint;
        var identity = config.AccessKey.Length == 0 ? "the credentials of the environment" : $"access key id {config.AccessKey}";
        if (e is AmazonServiceException { StatusCode: not 0 } service)
        {
            var status = (int)service.StatusCode;
            return service.ErrorCode switch
            {
                "SignatureDoesNotMatch" =>
                    $"{endpoint} refused the signature: the secret key is not the one of {identity} (check secret_key, and region if the server has one)",
                "InvalidAccessKeyId" => $"{endpoint} does not know {identity} (check access_key)",
                "ExpiredToken" or "InvalidToken" or "TokenRefreshRequired" =>
                    $"{endpoint} refused the session token of {identity}: it has expired or is not valid",
                "RequestTimeTooSkewed" =>
                    $"{endpoint} refused the request's time: the clocks of this machine and of the server differ by too much",
                "AuthorizationHeaderMalformed" => $"{endpoint} refused the signature's region: {service.Message}",
                "NoSuchBucket" => $"there is no bucket {config.Bucket} at {endpoint}",
                "PermanentRedirect" =>
                    $"bucket {config.Bucket} is in another region than {config.Region} or at another endpoint than {endpoint}",
                _ when service.StatusCode == HttpStatusCode.Forbidden =>
                    $"{endpoint} refused {identity} (HTTP 403 {service.ErrorCode}): check the secret key and that it may use s3:ListBucket, GetObject, PutObject and DeleteObject on bucket {config.Bucket}",
                _ => $"{endpoint} answered HTTP {status} {service.ErrorCode}: {service.Message}",
            };
        }

        if (e is TimeoutException)
        {
            return $"{endpoint} does not answer: {e.Message}";
        }

        if (Inner<AuthenticationException>(e) is { } tls)
        {
            return $"the TLS connection to {endpoint} failed: {tls.Message}";
        }

        if (Inner<HttpRequestException>(e) is { } http)
        {
            return $"{endpoint} can't be reached: {http.InnerException?.Message ?? http.Message}";
        }

        if (Inner<IOException>(e) is { } io)
        {
            return $"the connection to {endpoint} broke: {io.Message}";
        }

        return config.AccessKey.Length == 0 && e is AmazonClientException or AmazonServiceException
            ? $"no credentials: none in the configuration, and the environment, ~/.aws, a web identity and the instance gave none ({e.Message})"
            : e.Message;
    }

    static T? Inner<T>(Exception? e)
        where T : Exception
    {
        for (; e is not null; e = e.InnerException)
        {
            if (e is T found)
            {
                return found;
            }
        }

        return null;
    }
}
