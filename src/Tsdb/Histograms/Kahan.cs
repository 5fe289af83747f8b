using System.Runtime.CompilerServices;

namespace Observe.Tsdb.Histograms;

/// <summary>Summation with Neumaier's compensation; the sum is <c>sum + compensation</c>. An infinite sum has no compensation.</summary>
public static class Kahan
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Add(double value, ref double sum, ref double compensation)
    {
        var total = sum + value;
        compensation = double.IsInfinity(total) ? 0
            : Math.Abs(sum) >= Math.Abs(value) ? compensation + ((sum - total) + value)
            : compensation + ((value - total) + sum);
        sum = total;
    }

    /// <summary>The same for what cannot be passed by reference.</summary>
    public static (double Sum, double Lost) Add(double value, double sum, double lost)
    {
        Add(value, ref sum, ref lost);
        return (sum, lost);
    }
}
