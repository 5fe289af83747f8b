namespace Observe.Tsdb.Bytes;

/// <summary>The NaN that ends a series; every other NaN is a value.</summary>
public static class StaleMarker
{
    public const ulong Bits = 0x7ff0000000000002;

    /// <summary>The NaN of arithmetic, as Prometheus writes it.</summary>
    public const ulong NormalNaNBits = 0x7ff8000000000001;

    public static double Value => BitConverter.UInt64BitsToDouble(Bits);

    public static double NormalNaN => BitConverter.UInt64BitsToDouble(NormalNaNBits);

    public static bool IsStale(double value) => BitConverter.DoubleToUInt64Bits(value) == Bits;
}
