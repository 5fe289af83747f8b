using System.Numerics;

namespace Observe.Query.Promql.Functions;

/// <summary>Large angles, by Payne and Hanek: multiplied by as many bits of 4/π as make a difference.</summary>
static partial class GoMath
{
    /// <summary>4/π in binary: the integral part, then 64 bits each.</summary>
    static ReadOnlySpan<ulong> FourOverPi =>
    [
        1, 0x45f306dc9c882a53,
        0xf84eafa3ea69bb81, 0xb6c52b3278872083, 0xfca2c757bd778ac3, 0x6e48dc74849ba5c0, 0x0c925dd413a32439, 0xfc3bd63962534e7d,
        0xd1046bea5d768909,
            0xd338e04d68befc82, 0x7323ac7306a673e9, 0x3908bf177bf25076, 0x3ff12fffbc0b301f, 0xde5e2316b414da3e, 0xda6cfd9e4f96136e,
        0x9e8c7ecd3cbfd45a, 0xea4f758fd7cbe2f6, 0x7a0e73ef14a525d4, 0xd7f6bf623f1aba10, 0xac06608df8f6d757,
    ];

    /// <param name="x">From 2^29.</param>
    static (int Octant, double Z) ReduceLarge(double x)
    {
        var bits = BitConverter.DoubleToUInt64Bits(x);
        var exponent = (int)(bits >> 52) - 1023 - 52;
        var fraction = (bits & ((1UL << 52) - 1)) | (1UL << 52);
        var (word, shift) = ((exponent + 61) / 64, (exponent + 61) % 64);

        // 192 bits of 4/π whose product with the fraction has its octant in the three highest bits.
        ulong Digit(int i) =>
            shift == 0 ? FourOverPi[word + i] : (FourOverPi[word + i] << shift) | (FourOverPi[word + i + 1] >> (64 - shift));
        var third = Math.BigMul(Digit(2), fraction, out _);
        var second = Math.BigMul(Digit(1), fraction, out var low);
        low += third;
        var high = (Digit(0) * fraction) + second + (low < third ? 1UL : 0);

        var octant = (int)(high >> 61);
        high = (high << 3) | (low >> 61);
        var zeros = BitOperations.LeadingZeroCount(high);
        var mantissa = zeros == 63 ? low : (high << (zeros + 1)) | (low >> (63 - zeros));
        var z = BitConverter.UInt64BitsToDouble((mantissa >> 12) | ((ulong)(1023 - zeros - 1) << 52));
        if ((octant & 1) == 1)
        {
            octant = (octant + 1) & 7;
            z--;
        }

        return (octant, z * (Math.PI / 4));
    }
}
