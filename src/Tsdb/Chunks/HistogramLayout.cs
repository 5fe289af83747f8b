using Observe.Tsdb.Bytes;
using Observe.Tsdb.Histograms;

namespace Observe.Tsdb.Chunks;

/// <summary>What all histograms of a chunk share: schema, zero threshold, which buckets there are, bounds of custom buckets.</summary>
sealed record HistogramLayout(
    int Schema, double ZeroThreshold, BucketSpan[] PositiveSpans, BucketSpan[] NegativeSpans, double[]? CustomValues)
{
    /// <summary>Schemas that other versions may write; above 8 they are read at 8.</summary>
    const int MinSchema = -9, MaxSchema = 52;

    public int PositiveCount { get; } = SpanLayout.Count(PositiveSpans);

    public int NegativeCount { get; } = SpanLayout.Count(NegativeSpans);

    public static HistogramLayout Of(Histogram histogram) => histogram.IsStale
        ? new HistogramLayout(0, 0, [], [], null)
        : new HistogramLayout(
            histogram.Schema, histogram.ZeroThreshold, histogram.PositiveSpans, histogram.NegativeSpans, histogram.CustomValues);

    public void Write(ref BitWriter bits)
    {
        WriteZeroThreshold(ref bits);
        Varbit.Write(ref bits, Schema);
        WriteSpans(ref bits, PositiveSpans);
        WriteSpans(ref bits, NegativeSpans);
        if (Schema == Histogram.CustomBucketsSchema)
        {
            Varbit.WriteUnsigned(ref bits, (ulong)(CustomValues?.Length ?? 0));
            foreach (var bound in CustomValues ?? [])
            {
                WriteBound(ref bits, bound);
            }
        }
    }

    /// <param name="bitsLeft">Bits in the chunk: no layout has more spans, buckets or bounds than that.</param>
    public static HistogramLayout Read(ref BitReader bits, long bitsLeft, string source, long origin)
    {
        var code = bits.Byte();
        var threshold = code switch { 0 => 0, 255 => bits.Double(), _ => Math.ScaleB(0.5, code - 243) };
        var schema = Varbit.Read(ref bits);
        if (schema is not Histogram.CustomBucketsSchema and (< MinSchema or > MaxSchema))
        {
            CorruptionException.Throw(source, origin, $"a histogram of the unknown schema {schema}");
        }

        var positive = ReadSpans(ref bits, bitsLeft, source, origin);
        var negative = ReadSpans(ref bits, bitsLeft, source, origin);
        double[]? custom = null;
        if (schema == Histogram.CustomBucketsSchema)
        {
            custom = new double[CheckedCount(Varbit.ReadUnsigned(ref bits), bitsLeft, source, origin)];
            for (var i = 0; i < custom.Length; i++)
            {
                var packed = Varbit.ReadUnsigned(ref bits);
                custom[i] = packed == 0 ? bits.Double() : (packed - 1) / 1000.0;
            }
        }

        return new HistogramLayout((int)schema, threshold, positive, negative, custom);
    }

    /// <summary>One byte for 0 and for powers of two from 2^-243 to 2^10, nine for others.</summary>
    void WriteZeroThreshold(ref BitWriter bits)
    {
        if (ZeroThreshold == 0)
        {
            bits.Byte(0);
            return;
        }

        if (double.IsPow2(ZeroThreshold))
        {
            var code = Math.ILogB(ZeroThreshold) + 1 + 243;
            if (code is >= 1 and <= 254)
            {
                bits.Byte((byte)code);
                return;
            }
        }

        bits.Byte(255);
        bits.Bits(BitConverter.DoubleToUInt64Bits(ZeroThreshold), 64);
    }

    /// <summary>Thousandths from 0 to 33554.430 as an integer and one more; 0 and eight bytes for other bounds.</summary>
    static void WriteBound(ref BitWriter bits, double bound)
    {
        var scaled = bound * 1000;
        var rounded = Math.Round(scaled, MidpointRounding.AwayFromZero);
        if (scaled is >= 0 and <= 33_554_430 && rounded / 1000 == bound)
        {
            Varbit.WriteUnsigned(ref bits, (ulong)rounded + 1);
            return;
        }

        bits.Bit(false);
        bits.Bits(BitConverter.DoubleToUInt64Bits(bound), 64);
    }

    static void WriteSpans(ref BitWriter bits, BucketSpan[] spans)
    {
        Varbit.WriteUnsigned(ref bits, (ulong)spans.Length);
        foreach (var span in spans)
        {
            Varbit.WriteUnsigned(ref bits, span.Length);
            Varbit.Write(ref bits, span.Offset);
        }
    }

    static BucketSpan[] ReadSpans(ref BitReader bits, long bitsLeft, string source, long origin)
    {
        var spans = new BucketSpan[CheckedCount(Varbit.ReadUnsigned(ref bits), bitsLeft, source, origin)];
        ulong buckets = 0;
        for (var i = 0; i < spans.Length; i++)
        {
            var length = Varbit.ReadUnsigned(ref bits);
            var offset = Varbit.Read(ref bits);
            buckets += Math.Min(length, uint.MaxValue);
            _ = CheckedCount(buckets, bitsLeft, source, origin);
            if (offset is < int.MinValue or > int.MaxValue || (i > 0 && offset < 0))
            {
                CorruptionException.Throw(source, origin, "a histogram span out of range");
            }

            spans[i] = new BucketSpan((int)offset, (uint)length);
        }

        return spans;
    }

    static int CheckedCount(ulong count, long bitsLeft, string source, long origin)
    {
        if (count > (ulong)bitsLeft)
        {
            CorruptionException.Throw(source, origin, "a histogram layout larger than its chunk");
        }

        return (int)count;
    }
}

/// <summary>Which buckets two lists of spans cover, and how counts move from one list to a larger one.</summary>
static class SpanLayout
{
    public static int Count(BucketSpan[] spans) => checked((int)BucketSpan.Covered(spans));

    /// <summary>The bucket indexes that spans cover, in order.</summary>
    public static int[] Indexes(BucketSpan[] spans)
    {
        var indexes = new int[Count(spans)];
        var (at, index) = (0, 0);
        foreach (var span in spans)
        {
            index += span.Offset;
            for (var i = 0U; i < span.Length; i++)
            {
                indexes[at++] = index++;
            }
        }

        return indexes;
    }

    /// <summary>Spans that cover what either covers; the first argument itself where it covers all.</summary>
    public static BucketSpan[] Union(BucketSpan[] spans, BucketSpan[] others)
    {
        if (spans.AsSpan().SequenceEqual(others))
        {
            return spans;
        }

        var (a, b) = (Indexes(spans), Indexes(others));
        var union = new List<BucketSpan>();
        var (i, j, next, total) = (0, 0, 0, 0);
        while (i < a.Length || j < b.Length)
        {
            var index = j == b.Length || (i < a.Length && a[i] <= b[j]) ? a[i] : b[j];
            i += i < a.Length && a[i] == index ? 1 : 0;
            j += j < b.Length && b[j] == index ? 1 : 0;
            total++;
            if (union.Count > 0 && index == next)
            {
                union[^1] = union[^1] with { Length = union[^1].Length + 1 };
            }
            else
            {
                union.Add(new BucketSpan(index - (union.Count == 0 ? 0 : next), 1));
            }

            next = index + 1;
        }

        return total == a.Length ? spans : [.. union];
    }

    /// <summary>Counts laid out anew for spans that cover all of the old ones; new buckets are 0.</summary>
    public static double[] Expand(double[] counts, BucketSpan[] from, BucketSpan[] to)
    {
        if (from.AsSpan().SequenceEqual(to))
        {
            return counts;
        }

        var (source, target) = (Indexes(from), Indexes(to));
        var expanded = new double[target.Length];
        var j = 0;
        for (var i = 0; i < source.Length; i++)
        {
            while (target[j] != source[i])
            {
                j++;
            }

            expanded[j] = counts[i];
        }

        return expanded;
    }
}
