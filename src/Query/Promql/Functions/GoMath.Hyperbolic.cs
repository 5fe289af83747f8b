namespace Observe.Query.Promql.Functions;

/// <summary>Inverse hyperbolic functions, and the logarithm near 1 that they need; all from FreeBSD's msun.</summary>
static partial class GoMath
{
    const double Ln2 = 0.693147180559945309417232121458176568;
    const double NearZero = 1.0 / (1 << 28);
    const double Large = 1 << 28;

    public static double Asinh(double x)
    {
        if (!double.IsFinite(x))
        {
            return x;
        }

        var size = Math.Abs(x);
        var y = size switch
        {
            > Large => Log(size) + Ln2,
            > 2 => Log((2 * size) + (1 / (Math.Sqrt((size * size) + 1) + size))),
            < NearZero => size,
            _ => Log1p(size + (size * size / (1 + Math.Sqrt(1 + (size * size))))),
        };
        return double.IsNegative(x) ? -y : y;
    }

    public static double Acosh(double x)
    {
        var t = x - 1;
        return x switch
        {
            < 1 or double.NaN => double.NaN,
            1 => 0,
            >= Large => Log(x) + Ln2,
            > 2 => Log((2 * x) - (1 / (x + Math.Sqrt((x * x) - 1)))),
            _ => Log1p(t + Math.Sqrt((2 * t) + (t * t))),
        };
    }

    public static double Atanh(double x)
    {
        var size = Math.Abs(x);
        var y = size switch
        {
            > 1 or double.NaN => double.NaN,
            1 => double.PositiveInfinity,
            < NearZero => size,
            < 0.5 => 0.5 * Log1p(size + size + ((size + size) * size / (1 - size))),
            _ => 0.5 * Log1p((size + size) / (1 - size)),
        };
        return double.IsNegative(x) ? -y : y;
    }

    /// <summary>log(1 + x), exact where x is small.</summary>
    public static double Log1p(double x)
    {
        const ulong fractionBits = (1UL << 52) - 1;
        if (x is <= -1 or double.NaN or double.PositiveInfinity)
        {
            return x == -1 ? double.NegativeInfinity : double.IsPositiveInfinity(x) ? x : double.NaN;
        }

        var size = Math.Abs(x);
        if (size < 1.0 / (1 << 29))
        {
            return size < 1.0 / (1L << 54) ? x : x - (x * x * 0.5);
        }

        // 1 + x = 2^k (1 + f), with 1 + f between the roots of 1/2 and 2; the correction makes good what rounding 1 + x lost.
        var (k, f, correction, isTiny) = (0, x, 0.0, false);
        if (size >= 4.142135623730950488017e-01 || x <= -2.928932188134524755992e-01)
        {
            var u = size < 1L << 53 ? 1 + x : x;
            var bits = BitConverter.DoubleToUInt64Bits(u);
            k = (int)(bits >> 52) - 1023;
            if (size < 1L << 53)
            {
                correction = (k > 0 ? 1 - (u - x) : x - (u - 1)) / u;
            }

            var fraction = bits & fractionBits;
            var isBelowRoot = fraction < 0x0006a09e667f3bcd;
            k += isBelowRoot ? 0 : 1;
            f = BitConverter.UInt64BitsToDouble(fraction | (isBelowRoot ? 0x3ff0000000000000UL : 0x3fe0000000000000UL)) - 1;
            isTiny = (isBelowRoot ? fraction : (fractionBits + 1 - fraction) >> 2) == 0;
        }

        var half = 0.5 * f * f;
        if (isTiny)
        {
            var rest = half * (1 - (0.66666666666666666 * f));
            return f == 0
                ? (k * Ln2High) + (correction + (k * Ln2Low))
                : (k * Ln2High) - (rest - ((k * Ln2Low) + correction) - f);
        }

        var s = f / (2 + f);
        var z = s * s;
        var r = z * (6.666666666666735130e-01
            + (z * (3.999999999940941908e-01 + (z * (2.857142874366239149e-01 + (z * (2.222219843214978396e-01
            + (z * (1.818357216161805012e-01 + (z * (1.531383769920937332e-01 + (z * 1.479819860510658591e-01))))))))))));
        return k == 0
            ? f - (half - (s * (half + r)))
            : (k * Ln2High) - (half - ((s * (half + r)) + ((k * Ln2Low) + correction)) - f);
    }
}
