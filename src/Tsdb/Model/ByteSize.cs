using System.Globalization;

namespace Observe.Tsdb.Model;

/// <summary>Sizes as Prometheus writes them: powers of 1024 whether the unit is KB or KiB.</summary>
public static class ByteSize
{
    static readonly (string Unit, long Bytes)[] s_units =
    [
        ("EiB", 1L << 60), ("PiB", 1L << 50), ("TiB", 1L << 40), ("GiB", 1L << 30), ("MiB", 1L << 20), ("KiB", 1L << 10),
        ("EB", 1L << 60), ("PB", 1L << 50), ("TB", 1L << 40), ("GB", 1L << 30), ("MB", 1L << 20), ("KB", 1L << 10), ("B", 1),
    ];

    public static bool TryParse(string text, out long bytes)
    {
        bytes = 0;
        if (text == "0")
        {
            return true;
        }

        double sum = 0;
        var rest = text.AsSpan();
        while (!rest.IsEmpty)
        {
            var digits = 0;
            while (digits < rest.Length && (char.IsAsciiDigit(rest[digits]) || rest[digits] == '.'))
            {
                digits++;
            }

            if (!double.TryParse(rest[..digits], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number))
            {
                return false;
            }

            rest = rest[digits..];
            var unit = Array.FindIndex(s_units, Starts(rest.ToString()));
            if (unit < 0)
            {
                return false;
            }

            sum += number * s_units[unit].Bytes;
            rest = rest[s_units[unit].Unit.Length..];
        }

        if (text.Length == 0 || sum >= long.MaxValue)
        {
            return false;
        }

        bytes = (long)sum;
        return true;
    }

    static Predicate<(string Unit, long Bytes)> Starts(string text) => unit => text.StartsWith(unit.Unit, StringComparison.Ordinal);

    /// <summary>In units that leave nothing over: <c>64MiB</c>, <c>1GiB512KiB</c>.</summary>
    public static string Format(long bytes)
    {
        if (bytes == 0)
        {
            return "0B";
        }

        var text = "";
        foreach (var (unit, size) in s_units.Where(u => u.Unit.Length != 2))
        {
            if (bytes / size > 0)
            {
                text += string.Create(CultureInfo.InvariantCulture, $"{bytes / size}{unit}");
                bytes %= size;
            }
        }

        return text;
    }
}
