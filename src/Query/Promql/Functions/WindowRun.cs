using System.Runtime.CompilerServices;

namespace Observe.Query.Promql.Functions;

/// <summary>Loaded points, of which a contiguous part is visible.</summary>
sealed class WindowRun<T>
{
    public int First { get; private set; }

    /// <summary>Where the visible part ends, exclusive.</summary>
    public int End { get; private set; }

    public int Loaded { get; set; }

    public int Entered { get; private set; }

    public int Count => End - First;

    public long Bytes => 8L * (TimeBuffer.Length + Buffer.Length + StartBuffer.Length);

    public long[] TimeBuffer { get; private set; } = new long[512];

    public T[] Buffer { get; private set; } = new T[512];

    public long[] StartBuffer { get; private set; } = [];

    public ReadOnlySpan<long> VisibleTimes => TimeBuffer.AsSpan(First, Count);

    public ReadOnlySpan<T> Visible => Buffer.AsSpan(First, Count);

    public ReadOnlySpan<long> VisibleStarts => StartBuffer.AsSpan(First, Count);

    public void Clear()
    {
        if (default(T) is null)
        {
            Array.Clear(Buffer, 0, Loaded);
        }

        First = Loaded = End = Entered = 0;
    }

    public void Add(long time, T point, long start, bool tracksStarts)
    {
        Reserve(1, tracksStarts);
        (TimeBuffer[Loaded], Buffer[Loaded]) = (time, point);
        if (tracksStarts)
        {
            StartBuffer[Loaded] = start;
        }

        Loaded++;
    }

    /// <summary>Reserves place at the end; returns by how many places the loaded points moved to the front.</summary>
    public int Reserve(int count, bool tracksStarts)
    {
        if (tracksStarts && StartBuffer.Length < Buffer.Length)
        {
            StartBuffer = new long[Buffer.Length];
        }

        if (Loaded + count <= Buffer.Length)
        {
            return 0;
        }

        var (kept, shift) = (Loaded - First, First);
        var capacity = Buffer.Length;
        while (kept + count > capacity / 2)
        {
            capacity *= 2;
        }

        (TimeBuffer, Buffer) = (Moved(TimeBuffer, capacity), Moved(Buffer, capacity));
        StartBuffer = StartBuffer.Length > 0 ? Moved(StartBuffer, capacity) : StartBuffer;
        (First, End, Loaded) = (0, End - shift, kept);
        return shift;
    }

    public void RemoveThrough(long until)
    {
        while (First < Loaded && TimeBuffer[First] <= until)
        {
            First++;
        }

        End = Math.Max(End, First);
    }

    /// <summary>Makes another part visible, which a loop outside this class has found.</summary>
    public void MoveTo(int first, int end) => (First, End, Entered) = (first, end, 0);

    public void Slide(long after, long to)
    {
        var (first, end) = (First, End);
        Entered = Advance(TimeBuffer.AsSpan(0, Loaded), after, to, ref first, ref end);
        (First, End) = (first, end);
    }

    /// <summary>
    /// Moves a visible part to the points after one time, up to another; returns how many of them were not visible before.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Advance(ReadOnlySpan<long> times, long after, long to, ref int first, ref int end)
    {
        while (first < times.Length && times[first] <= after)
        {
            first++;
        }

        end = Math.Max(end, first);
        var before = end;
        while (end < times.Length && times[end] <= to)
        {
            end++;
        }

        return end - before;
    }

    TItem[] Moved<TItem>(TItem[] items, int capacity)
    {
        var target = capacity == items.Length ? items : new TItem[capacity];
        Array.Copy(items, First, target, 0, Loaded - First);
        return target;
    }
}
