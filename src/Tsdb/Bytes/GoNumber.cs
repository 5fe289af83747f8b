using System.Buffers.Text;

namespace Observe.Tsdb.Bytes;

/// <summary>Numbers as Go's strconv.FormatFloat writes them with the fewest digits that read back, without allocating.</summary>
public static class GoNumber
{
    /// <summary>Bytes that a number has at most: one near the limits without an exponent.</summary>
    public const int MaxLength = 350;

    /// <summary>Writes format 'e' where an exponent is wanted, else 'f'; returns the number of bytes.</summary>
    /// <param name="room">At least <see cref="MaxLength"/> bytes.</param>
    /// <param name="jsonExponent">An exponent of one digit is written as one digit (e-7), as Go's JSON does; else as two (e-07).</param>
    public static int Format(double value, bool exponent, Span<byte> room, bool jsonExponent = false)
    {
        if (!double.IsFinite(value))
        {
            var text = double.IsNaN(value) ? "NaN"u8 : value > 0 ? "+Inf"u8 : "-Inf"u8;
            text.CopyTo(room);
            return text.Length;
        }

        var whole = (long)value;
        if (whole == value
            && whole is > -1_000_000_000_000_000 and < 1_000_000_000_000_000 && (whole != 0 || !double.IsNegative(value)) && !exponent)
        {
            Utf8Formatter.TryFormat(whole, room, out var size);
            return size;
        }

        var written = 0;
        if (double.IsNegative(value))
        {
            room[written++] = (byte)'-';
        }

        Span<byte> digits = stackalloc byte[20];
        var count = 1;
        var power = 0;
        if (value == 0)
        {
            digits[0] = (byte)'0';
        }
        else
        {
            var (significand, tens) = ShortestDecimal.Of(value);
            Utf8Formatter.TryFormat(significand, digits, out count);
            power = count - 1 + tens;
        }

        digits = digits[..count];
        return exponent ? Exponent(digits, power, room, written, jsonExponent) : Plain(digits, power, room, written);
    }

    static int Plain(ReadOnlySpan<byte> digits, int power, Span<byte> room, int written)
    {
        room = room[written..];
        if (power < 0)
        {
            "0."u8.CopyTo(room);
            room.Slice(2, -power - 1).Fill((byte)'0');
            digits.CopyTo(room[(1 - power)..]);
            return written + 1 - power + digits.Length;
        }

        if (power + 1 >= digits.Length)
        {
            digits.CopyTo(room);
            room[digits.Length..(power + 1)].Fill((byte)'0');
            return written + power + 1;
        }

        digits[..(power + 1)].CopyTo(room);
        room[power + 1] = (byte)'.';
        digits[(power + 1)..].CopyTo(room[(power + 2)..]);
        return written + digits.Length + 1;
    }

    static int Exponent(ReadOnlySpan<byte> digits, int power, Span<byte> room, int written, bool jsonExponent)
    {
        room[written++] = digits[0];
        if (digits.Length > 1)
        {
            room[written++] = (byte)'.';
            digits[1..].CopyTo(room[written..]);
            written += digits.Length - 1;
        }

        room[written++] = (byte)'e';
        room[written++] = power < 0 ? (byte)'-' : (byte)'+';
        var magnitude = Math.Abs(power);
        if (magnitude < 10 && !(jsonExponent && power < 0))
        {
            room[written++] = (byte)'0';
        }

        Utf8Formatter.TryFormat(magnitude, room[written..], out var size);
        return written + size;
    }
}
