using System.Net;
using System.Net.Http.Headers;
using Amazon.Runtime;
using Amazon.S3.Model;

namespace Observe.Store.Bucket;

/// <summary>
/// Checks answers against the requests. The SDK takes any 200 for success: also an error's document, the start of an object where a range
/// of it was asked for, and a list that is none.
/// </summary>
static class S3Answer
{
    /// <summary>Returns an ETag or id, which every answer of an S3 server has.</summary>
    /// <exception cref="S3AnswerException">There is none.</exception>
    public static string Checked(string? tag) =>
        string.IsNullOrEmpty(tag)
            ? throw new S3AnswerException("the answer says success and has nothing of it (an error inside, or another server)")
            : tag;

    /// <param name="isTruncated">A field that every list has.</param>
    public static T Checked<T>(T list, Func<T, bool?> isTruncated) =>
        isTruncated(list) is null ? throw new S3AnswerException("the answer says success and is no list") : list;

    /// <summary>An object from an offset on.</summary>
    public static GetObjectResponse Checked(GetObjectResponse response, long offset)
    {
        try
        {
            Checked(response.ETag);
            if (offset > 0)
            {
                RangeLength(response, offset, long.MaxValue);
            }

            return response;
        }
        catch
        {
            Close(response);
            throw;
        }
    }

    /// <summary>
    /// Disposes an object's answer. The SDK then compares what was read with the ETag and throws; the reader has done that already.
    /// </summary>
    public static void Close(GetObjectResponse response)
    {
        try
        {
            response.Dispose();
        }
        catch (AmazonClientException)
        {
        }
    }

    /// <summary>The answer to a deletion has no body.</summary>
    public static DeleteObjectResponse Checked(DeleteObjectResponse response) =>
        response.ContentLength > 0
            ? throw new S3AnswerException("the answer says success and has a body (an error inside, or another server)")
            : response;

    /// <summary>How many bytes of a range the answer has: fewer than were asked for only where the object ends.</summary>
    /// <exception cref="S3AnswerException">It is of another range, or does not fit itself.</exception>
    public static int RangeLength(GetObjectResponse response, long offset, int wanted) => (int)RangeLength(response, offset, (long)wanted);

    static long RangeLength(GetObjectResponse response, long offset, long wanted)
    {
        Checked(response.ETag);
        if (response.HttpStatusCode != HttpStatusCode.PartialContent
            || !ContentRangeHeaderValue.TryParse(response.ContentRange, out var range)
            || range is not { Unit: "bytes", From: { } from, To: { } to, Length: { } total }
            || from != offset || to - from + 1 != response.ContentLength || response.ContentLength != Math.Min(wanted, total - offset))
        {
            throw new S3AnswerException(
                $"bytes {offset} to {offset + wanted - 1} were asked for; the answer is {(int)response.HttpStatusCode}, {response.ContentLength} bytes, {response.ContentRange}");
        }

        return response.ContentLength;
    }
}
