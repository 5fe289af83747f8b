using System.IO.Hashing;

namespace Observe.Tsdb.Model;

/// <summary>The hash of labels that Prometheus computes.</summary>
public static class LabelsHash
{
    /// <summary>
    /// XXH64 of all names and values in order, each after its length: one byte, or 255 and three bytes, low first. It decides which series
    /// <c>limit_ratio</c> keeps, so it has to be the same.
    /// </summary>
    public static ulong PrometheusHash(this Labels labels)
    {
        var hash = new XxHash64();
        foreach (var label in labels)
        {
            Append(hash, label.Name);
            Append(hash, label.Value);
        }

        return hash.GetCurrentHashAsUInt64();
    }

    static void Append(XxHash64 hash, ReadOnlySpan<byte> text)
    {
        if (text.Length < 255)
        {
            hash.Append([(byte)text.Length]);
        }
        else
        {
            hash.Append([255, (byte)text.Length, (byte)(text.Length >> 8), (byte)(text.Length >> 16)]);
        }

        hash.Append(text);
    }
}
