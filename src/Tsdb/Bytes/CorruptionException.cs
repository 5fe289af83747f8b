using System.Diagnostics.CodeAnalysis;

namespace Observe.Tsdb.Bytes;

/// <summary>Bytes that are not what their format says: names the file or object, the offset in it, and what is wrong.</summary>
public sealed class CorruptionException(string source, long offset, string what, Exception? inner = null)
    : IOException($"{source} at {offset}: {what}", inner)
{
    /// <summary>The file or object, as an operator would look for it.</summary>
    public string Where { get; } = source;

    public long Offset { get; } = offset;

    public string What { get; } = what;

    [DoesNotReturn]
    public static void Throw(string source, long offset, string what) => throw new CorruptionException(source, offset, what);

    [DoesNotReturn]
    public static void ThrowChecksum(string source, long offset) => throw new CorruptionException(source, offset, "checksum mismatch");
}
