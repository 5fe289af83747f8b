using System.Numerics;

namespace Observe.Tsdb.Bytes;

/// <summary>The decimal with the fewest digits that reads back as a double; of several, the one that is nearest to it.</summary>
/// <remarks>
/// After R. Giulietti, "The Schubfach way to render doubles" (2020): of the numbers d·10^k and d·10^(k+1), with k the largest for which the
/// interval that rounds to the double holds a multiple of 10^k, one lies in it, and products with 128 bits of a power of ten tell which.
/// </remarks>
static class ShortestDecimal
{
    const int SmallestPower = -324;
    const int LargestPower = 324;

    // Powers of ten as they are needed: those of the values at hand are few. Null for one that was not needed yet.
    static readonly PowerOfTen?[] s_powers = new PowerOfTen?[LargestPower - SmallestPower + 1];

    /// <summary>The 128 leading bits of a power of ten, rounded up.</summary>
    sealed record PowerOfTen(ulong High, ulong Low);

    /// <param name="value">Finite and not 0; its sign is not looked at.</param>
    /// <returns>
    /// The significand, which has no zero at its end and up to 17 digits, and the power of ten that it is to be multiplied with.
    /// </returns>
    public static (ulong Significand, int Power) Of(double value)
    {
        var bits = BitConverter.DoubleToUInt64Bits(value);
        var fraction = bits & ((1UL << 52) - 1);
        var biased = (int)(bits >> 52) & 0x7ff;
        var (c, q) = biased == 0 ? (fraction, -1074) : (fraction | (1UL << 52), biased - 1075);
        var (digits, power) = Shortest(c, q, lowerIsNearer: fraction == 0 && biased > 1);
        while (true)
        {
            var (tenth, last) = Math.DivRem(digits, 10UL);
            if (last != 0)
            {
                return (digits, power);
            }

            (digits, power) = (tenth, power + 1);
        }
    }

    // The value is c * 2^q. Everything is multiplied by four, so that the ends of the interval, halfway to the neighbours, are whole
    // numbers.
    static (ulong Digits, int Power) Shortest(ulong c, int q, bool lowerIsNearer)
    {
        var odd = c & 1;
        var k = ((q * 1_262_611) - (lowerIsNearer ? 524_031 : 0)) >> 22;
        var shift = q + FloorLog2OfTenTo(-k) + 1;
        var ten = s_powers[-k - SmallestPower] ?? Power(-k);
        var lower = ToOdd(ten, ((c * 4) - (lowerIsNearer ? 1UL : 2UL)) << shift) + odd;
        var middle = ToOdd(ten, (c * 4) << shift);
        var upper = ToOdd(ten, ((c * 4) + 2) << shift) - odd;

        var s = middle / 4;
        if (s >= 10)
        {
            var tenth = s / 10;
            var below = lower <= tenth * 40;
            var above = (tenth * 40) + 40 <= upper;
            if (below != above)
            {
                return (tenth + (above ? 1UL : 0), k + 1);
            }
        }

        var down = lower <= s * 4;
        var up = (s * 4) + 4 <= upper;
        if (down != up)
        {
            return (s + (up ? 1UL : 0), k);
        }

        var half = (s * 4) + 2;
        return (s + (middle > half || (middle == half && (s & 1) == 1) ? 1UL : 0), k);
    }

    // The product without its 128 low bits; the last bit is set where they are not zero.
    static ulong ToOdd(PowerOfTen ten, ulong factor)
    {
        var carry = Math.BigMul(ten.Low, factor, out _);
        var high = Math.BigMul(ten.High, factor, out var low);
        var sum = low + carry;
        high += sum < low ? 1UL : 0;
        return high | (sum > 1 ? 1UL : 0);
    }

    static int FloorLog2OfTenTo(int power) => (power * 1_741_647) >> 19;

    static PowerOfTen Power(int power)
    {
        // 10^power * 2^bits lies between 2^127 and 2^128.
        var bits = 127 - FloorLog2OfTenTo(power);
        var (numerator, denominator) =
            (BigInteger.Pow(10, Math.Max(power, 0)) << Math.Max(bits, 0), BigInteger.Pow(10, Math.Max(-power, 0)) << Math.Max(-bits, 0));
        var rounded = (UInt128)((numerator + denominator - 1) / denominator);
        return s_powers[power - SmallestPower] = new PowerOfTen((ulong)(rounded >> 64), (ulong)rounded);
    }
}
