using System.Globalization;

namespace Observe.Tsdb.Bytes;

/// <summary>
/// A small JSON object on disk that carries its own checksum as its last field, <c>"checksum":"CRC-32C in eight digits"</c>. It is replaced
/// as a whole. A reader asks whether the bytes are those that were written before it believes what they say.
/// </summary>
public static class StateFile
{
    const int MaxBytes = 16 << 20;
    const int DigitCount = 8;

    static ReadOnlySpan<byte> Field => ",\"checksum\":\""u8;

    static ReadOnlySpan<byte> Ending => "\"}"u8;

    /// <param name="json">An object with at least one field.</param>
    /// <exception cref="IOException">The file is as it was.</exception>
    public static void Write(string path, ReadOnlySpan<byte> json)
    {
        using var file = new ByteWriter(json.Length + Field.Length + DigitCount + Ending.Length);
        file.Raw(json[..^1]);
        file.Raw(Field);
        Format(json, file.GetSpan(DigitCount));
        file.Advance(DigitCount);
        file.Raw(Ending);
        DurableFile.Write(path, file.Written);
    }

    /// <summary>The object as it was written, without its checksum; null when there is no file.</summary>
    /// <exception cref="CorruptionException">The bytes are not those that were written.</exception>
    /// <exception cref="IOException">The file can't be read at present.</exception>
    public static byte[]? Read(string path)
    {
        byte[] file;
        try
        {
            if (new FileInfo(path).Length > MaxBytes)
            {
                CorruptionException.Throw(path, 0, "is larger than any of its kind");
            }

            file = File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }

        var tail = Field.Length + DigitCount + Ending.Length;
        if (file.Length < tail + 1 || !file.AsSpan(^tail..).StartsWith(Field) || !file.AsSpan().EndsWith(Ending))
        {
            CorruptionException.Throw(path, Math.Max(0, file.Length - tail), "has no checksum");
        }

        byte[] json = [.. file.AsSpan(..^tail), (byte)'}'];
        Span<byte> checksum = stackalloc byte[DigitCount];
        Format(json, checksum);
        if (!file.AsSpan(^(DigitCount + Ending.Length)..^Ending.Length).SequenceEqual(checksum))
        {
            CorruptionException.ThrowChecksum(path, 0);
        }

        return json;
    }

    static void Format(ReadOnlySpan<byte> json, Span<byte> checksum) =>
        Crc32C.Of(json).TryFormat(checksum, out _, "x8", CultureInfo.InvariantCulture);
}
