using Observe.Tsdb.Histograms;

namespace Observe.Query.Promql.Execution;

/// <summary>The kind of sample that a series has at a step.</summary>
enum Presence : byte
{
    Absent,
    Float,
    Histogram,
}

/// <summary>
/// One series over all steps of a grid. A column belongs to the code that rented it from a <see cref="Worker"/>; its histograms are shared
/// and never changed.
/// </summary>
sealed class Column(int steps)
{
    Histogram?[]? _histograms;

    public int Steps { get; } = steps;

    /// <summary>Meaningful where <see cref="Presence"/> says Float.</summary>
    public double[] Values { get; } = new double[steps];

    public Presence[] Presence { get; } = new Presence[steps];

    public int Floats { get; private set; }

    public int Histograms { get; private set; }

    public bool IsEmpty => Floats + Histograms == 0;

    /// <summary>The series has a float at each step, so that kernels need not look at <see cref="Presence"/>.</summary>
    public bool IsDense => Floats == Steps;

    /// <summary>Bytes that a column takes, without histograms.</summary>
    public static long BytesOf(int steps) => 128 + (9L * steps);

    public void Clear()
    {
        if (!IsEmpty)
        {
            Array.Clear(Presence);
        }

        if (Histograms > 0)
        {
            Array.Clear(_histograms!);
        }

        Floats = Histograms = 0;
    }

    /// <summary>The step must be absent so far.</summary>
    public void Set(int step, double value)
    {
        Values[step] = value;
        Presence[step] = Execution.Presence.Float;
        Floats++;
    }

    public void Set(int step, Histogram histogram)
    {
        _histograms ??= new Histogram?[Steps];
        _histograms[step] = histogram;
        Presence[step] = Execution.Presence.Histogram;
        Histograms++;
    }

    /// <summary>The histogram of a step whose <see cref="Presence"/> says so.</summary>
    public Histogram Histogram(int step) => _histograms![step]!;

    public void Remove(int step)
    {
        if (Presence[step] == Execution.Presence.Float)
        {
            Floats--;
        }
        else if (Presence[step] == Execution.Presence.Histogram)
        {
            Histograms--;
            _histograms![step] = null;
        }

        Presence[step] = Execution.Presence.Absent;
    }

    public void CopyStep(int step, Column from)
    {
        if (from.Presence[step] == Execution.Presence.Float)
        {
            Set(step, from.Values[step]);
        }
        else if (from.Presence[step] == Execution.Presence.Histogram)
        {
            Set(step, from.Histogram(step));
        }
    }

    /// <summary>Copies another column of as many steps into this one.</summary>
    public void CopyFrom(Column other)
    {
        Clear();
        if (other.Floats > 0)
        {
            other.Values.CopyTo(Values, 0);
        }

        other.Presence.CopyTo(Presence, 0);
        (Floats, Histograms) = (other.Floats, other.Histograms);
        if (Histograms > 0)
        {
            _histograms ??= new Histogram?[Steps];
            other._histograms!.CopyTo(_histograms, 0);
        }
    }

    /// <summary>Says that there is a float at each step; the caller fills <see cref="Values"/>.</summary>
    public void MarkDense()
    {
        Clear();
        Presence.AsSpan().Fill(Execution.Presence.Float);
        Floats = Steps;
    }

    /// <summary>Marks a step whose value was already written to <see cref="Values"/> by a kernel over the whole column.</summary>
    public void MarkFloat(int step)
    {
        Presence[step] = Execution.Presence.Float;
        Floats++;
    }

    /// <summary>Samples of the column, counted as Prometheus counts: a histogram counts for as many floats as it takes memory.</summary>
    public long SampleCount()
    {
        long count = Floats;
        for (var i = 0; Histograms > 0 && i < Steps; i++)
        {
            count += Presence[i] == Execution.Presence.Histogram ? SampleSize.Of(_histograms![i]!) : 0;
        }

        return count;
    }
}

/// <summary>How many float samples a histogram counts for.</summary>
static class SampleSize
{
    // A float point is 16 bytes in Prometheus; a histogram's point 8 bytes of time and its fields, spans and buckets.
    public static int Of(Histogram histogram)
    {
        var bytes = 8 + 168 + (8 * (histogram.PositiveSpans.Length + histogram.NegativeSpans.Length))
            + (8 * (histogram.PositiveBuckets.Length + histogram.NegativeBuckets.Length + (histogram.CustomValues?.Length ?? 0)));
        return bytes / 16;
    }
}
