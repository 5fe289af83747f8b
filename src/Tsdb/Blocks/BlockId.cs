using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;

namespace Observe.Tsdb.Blocks;

/// <summary>
/// A ULID: 48 bits of Unix milliseconds, then 80 random bits; as text 26 characters of Crockford's base 32. Orders by time, as
/// bytes and as text alike.
/// </summary>
public readonly record struct BlockId(UInt128 Value) : IComparable<BlockId>
{
    public const int TextLength = 26;

    const string Alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

    /// <summary>When the id was made, Unix milliseconds.</summary>
    public long Timestamp => (long)(ulong)(Value >> 80);

    public static BlockId New(DateTimeOffset now, Random random)
    {
        Span<byte> entropy = stackalloc byte[16];
        random.NextBytes(entropy);
        var mask = (UInt128.One << 80) - 1;
        return new BlockId(((UInt128)(ulong)now.ToUnixTimeMilliseconds() << 80) | (BinaryPrimitives.ReadUInt128BigEndian(entropy) & mask));
    }

    /// <summary>Reads the 26 characters; lower case is accepted, the letters that Crockford leaves out are not.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out BlockId id)
    {
        id = default;
        if (text is null || text.Length != TextLength || text[0] > '7')
        {
            return false;
        }

        UInt128 value = 0;
        foreach (var c in text)
        {
            var digit = Alphabet.IndexOf(char.ToUpperInvariant(c), StringComparison.Ordinal);
            if (digit < 0)
            {
                return false;
            }

            value = (value << 5) | (uint)digit;
        }

        id = new BlockId(value);
        return true;
    }

    public static BlockId Parse(string text) =>
        TryParse(text, out var id) ? id : throw new FormatException($"{text} is not a block's ULID");

    public int CompareTo(BlockId other) => Value.CompareTo(other.Value);

    public static bool operator <(BlockId left, BlockId right) => left.Value < right.Value;

    public static bool operator >(BlockId left, BlockId right) => left.Value > right.Value;

    public static bool operator <=(BlockId left, BlockId right) => left.Value <= right.Value;

    public static bool operator >=(BlockId left, BlockId right) => left.Value >= right.Value;

    public override string ToString() => string.Create(TextLength, Value, static (text, value) =>
    {
        for (var i = text.Length - 1; i >= 0; i--)
        {
            text[i] = Alphabet[(int)(uint)(value & 31)];
            value >>= 5;
        }
    });
}
