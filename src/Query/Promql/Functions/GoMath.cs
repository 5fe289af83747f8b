namespace Observe.Query.Promql.Functions;

/// <summary>
/// Elementary functions with the rounding of Go's library on amd64, so that results agree with Prometheus to the last digit. The C
/// library behind <see cref="Math"/> is off by a unit in the last place here and there, in other places than Go's.
/// </summary>
/// <remarks>
/// The approximations are those of FreeBSD's msun (log, exp2), of Cephes (trigonometry, tanh), and of Hart and Cheney (sinh) and of SLEEF
/// (exp).
/// </remarks>
static partial class GoMath
{
    const double Ln2High = 6.93147180369123816490e-01;
    const double Ln2Low = 1.90821492927058770002e-10;
    const double LargestReduced = 1 << 29;

    // 1/7!, 1/6! … 1/1!, as 1/8! is the first.
    static ReadOnlySpan<double> ExpSeries =>
    [
        1.9841269841269841270e-4,
        1.3888888888888888889e-3, 8.3333333333333333333e-3, 4.1666666666666666667e-2, 1.6666666666666666667e-1, 0.5, 1.0,
    ];

    /// <summary>An infinity wins over NaN.</summary>
    public static double Max(double x, double y) =>
        double.IsPositiveInfinity(x) || double.IsPositiveInfinity(y) ? double.PositiveInfinity : Math.Max(x, y);

    /// <summary>An infinity wins over NaN.</summary>
    public static double Min(double x, double y) =>
        double.IsNegativeInfinity(x) || double.IsNegativeInfinity(y) ? double.NegativeInfinity : Math.Min(x, y);

    public static double Log(double x)
    {
        if (double.IsNaN(x) || double.IsPositiveInfinity(x))
        {
            return x;
        }

        if (x <= 0)
        {
            return x == 0 ? double.NegativeInfinity : double.NaN;
        }

        var (fraction, exponent) = Split(x);
        if (fraction < 0.70710678118654752440)
        {
            fraction *= 2;
            exponent--;
        }

        var f = fraction - 1;
        double k = exponent;
        var s = f / (2 + f);
        var s2 = s * s;
        var s4 = s2 * s2;
        var odd = s2 * (6.666666666666735130e-01
            + (s4 * (2.857142874366239149e-01 + (s4 * (1.818357216161805012e-01 + (s4 * 1.479819860511658591e-01))))));
        var even = s4 * (3.999999999940941908e-01 + (s4 * (2.222219843214978396e-01 + (s4 * 1.531383769920937332e-01))));
        var half = 0.5 * f * f;
        return (k * Ln2High) - ((half - ((s * (half + (odd + even))) + (k * Ln2Low))) - f);
    }

    public static double Log2(double x)
    {
        if (!(x > 0) || double.IsInfinity(x))
        {
            return Log(x);
        }

        // Exact for powers of two.
        var (fraction, exponent) = Split(x);
        return fraction == 0.5 ? exponent - 1 : (Log(fraction) * 1.44269504088896340735992468100189214) + exponent;
    }

    public static double Log10(double x) => Log(x) * 0.43429448190325182765112891891660508229439700580366656611445378;

    public static double Exp(double x)
    {
        if (double.IsNaN(x) || double.IsPositiveInfinity(x))
        {
            return x;
        }

        if (x > 7.09782712893384e+02)
        {
            return double.PositiveInfinity;
        }

        if (x < -7.45133219101941108420e+02)
        {
            return 0;
        }

        // e^x = 2^n e^r, and e^r - 1 from that of r/16, four times doubled; fused as Go's code for amd64 is.
        // What would be 2^1024 times a fraction counts as too large there.
        var n = Math.Round(x * 1.4426950408889634073599246810018920, MidpointRounding.ToEven);
        if (n >= 1024)
        {
            return double.PositiveInfinity;
        }

        var r = Math.FusedMultiplyAdd(-n, 0.69314718055966295651160180568695068359375, x);
        r = Math.FusedMultiplyAdd(-n, 0.28235290563031577122588448175013436025525412068e-12, r) * 0.0625;
        var sum = 2.4801587301587301587e-5;
        foreach (var coefficient in ExpSeries)
        {
            sum = Math.FusedMultiplyAdd(sum, r, coefficient);
        }

        var e = r * sum;
        for (var i = 0; i < 3; i++)
        {
            e *= e + 2;
        }

        return Math.ScaleB(Math.FusedMultiplyAdd(e, e + 2, 1), (int)n);
    }

    public static double Exp2(double x)
    {
        if (double.IsNaN(x) || double.IsPositiveInfinity(x))
        {
            return x;
        }

        if (x > 1.0239999999999999e+03)
        {
            return double.PositiveInfinity;
        }

        if (x < -1.0740e+03)
        {
            return 0;
        }

        var k = x > 0 ? (int)(x + 0.5) : x < 0 ? (int)(x - 0.5) : 0;
        var t = x - k;
        var high = t * Ln2High;
        var low = -t * Ln2Low;
        var r = high - low;
        var square = r * r;
        var c = r - (square * (1.66666666666666657415e-01 + (square * (-2.77777777770155933842e-03
            + (square * (6.61375632143793436117e-05
            + (square * (-1.65339022054652515390e-06 + (square * 4.13813679705723846039e-08)))))))));
        return Math.ScaleB(1 - ((low - ((r * c) / (2 - c))) - high), k);
    }

    public static double Pow(double x, double y)
    {
        // Where the result is exact or infinite, both agree.
        if (y == 0 || x == 0 || x == 1 || y == 1 || !double.IsFinite(x) || !double.IsFinite(y))
        {
            return Math.Pow(x, y);
        }

        if (Math.Abs(y) == 0.5)
        {
            return y > 0 ? Math.Sqrt(x) : 1 / Math.Sqrt(x);
        }

        var whole = Math.Truncate(Math.Abs(y));
        var rest = Math.Abs(y) - whole;
        if ((rest != 0 && x < 0) || whole >= 9223372036854775808.0)
        {
            return Math.Pow(x, y);
        }

        var (result, exponent) = (1.0, 0);
        if (rest != 0)
        {
            if (rest > 0.5)
            {
                rest--;
                whole++;
            }

            result = Exp(rest * Log(x));
        }

        var (fraction, power) = Split(x);
        for (var i = (long)whole; i != 0; i >>= 1)
        {
            if (power is < -(1 << 12) or > 1 << 12)
            {
                exponent += power;
                break;
            }

            if ((i & 1) == 1)
            {
                result *= fraction;
                exponent += power;
            }

            fraction *= fraction;
            power <<= 1;
            if (fraction < 0.5)
            {
                fraction += fraction;
                power--;
            }
        }

        return y < 0 ? Math.ScaleB(1 / result, -exponent) : Math.ScaleB(result, exponent);
    }

    public static double Sin(double x)
    {
        if (!double.IsFinite(x) || x == 0)
        {
            return x == 0 ? x : double.NaN;
        }

        var (octant, z) = Reduce(Math.Abs(x));
        var negative = x < 0 ^ octant > 3;
        octant &= 3;
        var y = octant is 1 or 2 ? CosOfReduced(z) : SinOfReduced(z);
        return negative ? -y : y;
    }

    public static double Cos(double x)
    {
        if (!double.IsFinite(x))
        {
            return double.NaN;
        }

        var (octant, z) = Reduce(Math.Abs(x));
        var negative = octant > 3;
        octant &= 3;
        negative ^= octant > 1;
        var y = octant is 1 or 2 ? SinOfReduced(z) : CosOfReduced(z);
        return negative ? -y : y;
    }

    public static double Tan(double x)
    {
        if (!double.IsFinite(x) || x == 0)
        {
            return x == 0 ? x : double.NaN;
        }

        var (octant, z) = Reduce(Math.Abs(x));
        var zz = z * z;
        var y = z;
        if (zz > 1e-14)
        {
            var above = (((-1.30936939181383734205e4 * zz) + 1.15351664838587416140e6) * zz) - 1.79565251976484877988e7;
            var below = ((((((zz + 1.36812963470692954678e4) * zz) - 1.32089234440210967447e6) * zz) + 2.50083801823357915839e7) * zz)
                - 5.38695755929454629881e7;
            y = z + (z * (zz * above / below));
        }

        if ((octant & 2) == 2)
        {
            y = -1 / y;
        }

        return x < 0 ? -y : y;
    }

    public static double Asin(double x)
    {
        var size = Math.Abs(x);
        if (x == 0 || !(size <= 1))
        {
            return Math.Asin(x);
        }

        var root = Math.Sqrt(1 - (size * size));
        var angle = size > 0.7 ? (Math.PI / 2) - AtanOfPositive(root / size) : AtanOfPositive(size / root);
        return x < 0 ? -angle : angle;
    }

    public static double Acos(double x) => (Math.PI / 2) - Asin(x);

    public static double Atan(double x) => x == 0 || double.IsNaN(x) ? x : x > 0 ? AtanOfPositive(x) : -AtanOfPositive(-x);

    public static double Atan2(double y, double x)
    {
        if (x == 0 || y == 0 || !double.IsFinite(x) || !double.IsFinite(y))
        {
            return Math.Atan2(y, x);
        }

        var angle = Atan(y / x);
        return x >= 0 ? angle : angle <= 0 ? angle + Math.PI : angle - Math.PI;
    }

    public static double Sinh(double x)
    {
        var size = Math.Abs(x);
        double y;
        if (size > 21)
        {
            y = Exp(size) * 0.5;
        }
        else if (size > 0.5)
        {
            var e = Exp(size);
            y = (e - (1 / e)) * 0.5;
        }
        else
        {
            var square = size * size;
            y = ((((((-0.2630563213397497062819489e+2 * square) - 0.2894211355989563807284660366e+4) * square) - 0.8991272022039509355398013511e+5)
                * square) - 0.6307673640497716991184787251e+6) * size;
            y /= ((((square - 0.173678953558233699533450911e+3) * square) + 0.1521517378790019070696485176e+5) * square)
                - 0.6307673640497716991212077277e+6;
        }

        return double.IsNegative(x) ? -y : y;
    }

    public static double Cosh(double x)
    {
        var size = Math.Abs(x);
        var e = Exp(size);
        return size > 21 ? e * 0.5 : (e + (1 / e)) * 0.5;
    }

    public static double Tanh(double x)
    {
        var size = Math.Abs(x);
        if (size > 0.5 * 8.8029691931113054295988e+01)
        {
            return x < 0 ? -1 : 1;
        }

        if (size >= 0.625)
        {
            var y = 1 - (2 / (Exp(2 * size) + 1));
            return x < 0 ? -y : y;
        }

        if (x == 0 || double.IsNaN(x))
        {
            return x;
        }

        var s = x * x;
        var above = (((-9.64399179425052238628e-1 * s) - 9.92877231001918586564e1) * s) - 1.61468768441708447952e3;
        var below = ((((s + 1.12811678491632931402e2) * s) + 2.23548839060100448583e3) * s) + 4.84406305325125486048e3;
        return x + (x * s * above / below);
    }

    static double AtanOfPositive(double x)
    {
        const double moreOfHalfPi = 6.123233995736765886130e-17;
        return x <= 0.66 ? AtanOfSmall(x)
            : x > 2.41421356237309504880 ? (Math.PI / 2) - AtanOfSmall(1 / x) + moreOfHalfPi
            : (Math.PI / 4) + AtanOfSmall((x - 1) / (x + 1)) + (0.5 * moreOfHalfPi);
    }

    static double AtanOfSmall(double x)
    {
        var z = x * x;
        var above = (((((((-8.750608600031904122785e-01 * z) - 1.615753718733365076637e+01) * z) - 7.500855792314704667340e+01) * z)
            - 1.228866684490136173410e+02) * z) - 6.485021904942025371773e+01;
        var below = ((((((((z + 2.485846490142306297962e+01) * z) + 1.650270098316988542046e+02) * z) + 4.328810604912902668951e+02) * z)
            + 4.853903996359136964868e+02) * z) + 1.945506571482613964425e+02;
        return (x * (z * above / below)) + x;
    }

    /// <summary>The octant of an angle from 0, and the angle from the middle of two octants, in three parts of pi/4.</summary>
    static (int Octant, double Angle) Reduce(double x)
    {
        if (x >= LargestReduced)
        {
            return ReduceLarge(x);
        }

        var octant = (long)(x * 1.27323954473516268615107010698140931);
        octant += octant & 1;
        double y = octant;
        return ((int)(octant & 7),
            x - (y * 7.85398125648498535156e-1) - (y * 3.77489470793079817668e-8) - (y * 2.69515142907905952645e-15));
    }

    static double SinOfReduced(double z)
    {
        var zz = z * z;
        return z + (
            z * zz * ((((((((((1.58962301576546568060e-10 * zz) - 2.50507477628578072866e-8) * zz) + 2.75573136213857245213e-6) * zz)
            - 1.98412698295895385996e-4) * zz) + 8.33333333332211858878e-3) * zz) - 1.66666666666666307295e-1));
    }

    static double CosOfReduced(double z)
    {
        var zz = z * z;
        return 1.0 - (0.5 * zz) + (zz * zz * ((((((((((-1.13585365213876817300e-11 * zz) + 2.08757008419747316778e-9) * zz)
            - 2.75573141792967388112e-7) * zz) + 2.48015872888517045348e-5) * zz) - 1.38888888888730564116e-3) * zz)
                + 4.16666666666665929218e-2));
    }

    /// <summary>A finite number as a fraction from 0.5 to below 1 times a power of two.</summary>
    static (double Fraction, int Exponent) Split(double x)
    {
        var exponent = 0;
        if (Math.Abs(x) < 2.2250738585072014e-308)
        {
            x *= 1L << 52;
            exponent = -52;
        }

        var bits = BitConverter.DoubleToInt64Bits(x);
        exponent += (int)((bits >> 52) & 0x7ff) - 1022;
        return (BitConverter.Int64BitsToDouble((bits & ~(0x7ffL << 52)) | (1022L << 52)), exponent);
    }
}
