using System.Text;

namespace Observe.Store.Bucket;

/// <summary>What a key may be, for every kind of bucket: what S3 and a file system both take, and nothing that leaves the bucket.</summary>
static class ObjectKey
{
    /// <summary>UTF-8 bytes, S3's limit.</summary>
    public const int MaxSize = 1024;

    /// <exception cref="ArgumentException">
    /// Empty, absolute, too long, a folder, or with a part that is empty, <c>.</c> or <c>..</c>, a backslash or a control character.
    /// </exception>
    public static void Check(string key)
    {
        if (Fault(key) is { } fault)
        {
            throw new ArgumentException($"object key {Tsdb.Bytes.GoText.Quote(key)} {fault}", nameof(key));
        }
    }

    /// <summary>As <see cref="Check"/>, for what a listing starts with: nothing, or a folder with its slash.</summary>
    public static void CheckPrefix(string prefix)
    {
        if (PrefixFault(prefix) is { } fault)
        {
            throw new ArgumentException($"prefix {Tsdb.Bytes.GoText.Quote(prefix)} {fault}", nameof(prefix));
        }
    }

    /// <summary>What is wrong with a prefix, null when nothing is.</summary>
    public static string? PrefixFault(string prefix) =>
        prefix.Length == 0 ? null : prefix.EndsWith('/') ? Fault(prefix[..^1]) : "does not end in a slash";

    static string? Fault(string key)
    {
        if (key.Length == 0)
        {
            return "is empty";
        }

        if (Encoding.UTF8.GetByteCount(key) > MaxSize)
        {
            return $"is longer than {MaxSize} bytes";
        }

        foreach (var c in key)
        {
            if (c == '\\' || char.IsControl(c))
            {
                return "has a backslash or a control character";
            }
        }

        foreach (var part in key.AsSpan().Split('/'))
        {
            if (key.AsSpan(part) is "" or "." or "..")
            {
                return "has a part that is empty, . or ..";
            }
        }

        return null;
    }
}
