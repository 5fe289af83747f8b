using System.Runtime.CompilerServices;

namespace Observe.Query.Promql.Functions;

/// <summary>Loaded points, of which a contiguous part is visible.</summary>
sealed class WindowRun<T>
{
    (int First, int End) _kept;

    // Points that were replaced for a while, at most the first visible one and the last.
    (int Index, T Point)? _front;
    (int Index, T Point)? _back;

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

    /// <summary>
    /// Reserves place at the end; returns by how many places the loaded points moved to the front. The point before the visible part stays.
    /// </summary>
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

        var shift = Math.Max(0, First - 1);
        var kept = Loaded - shift;
        var capacity = Buffer.Length;
        while (kept + count > capacity / 2)
        {
            capacity *= 2;
        }

        (TimeBuffer, Buffer) = (Moved(TimeBuffer, shift, capacity), Moved(Buffer, shift, capacity));
        StartBuffer = StartBuffer.Length > 0 ? Moved(StartBuffer, shift, capacity) : StartBuffer;
        (First, End, Loaded) = (First - shift, End - shift, kept);
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

    /// <summary>The visible part with the points next to it, where they are no further away than a distance.</summary>
    public (int First, int End) Widened(long distance)
    {
        var (first, end) = (First, End);
        if (first > 0 && first < Loaded && TimeBuffer[first] - TimeBuffer[first - 1] <= distance)
        {
            first--;
        }

        if (end > 0 && end < Loaded && TimeBuffer[end] - TimeBuffer[end - 1] <= distance)
        {
            end++;
        }

        return (first, end);
    }

    /// <summary>Makes another part visible for a while; nothing of it has entered.</summary>
    public void Show((int First, int End) part) => (First, End) = part;

    /// <summary>Remembers what is visible, for <see cref="TakeWhole"/>.</summary>
    public void Keep() => (_kept, _front, _back) = ((First, End), null, null);

    /// <summary>Replaces a point until <see cref="TakeWhole"/>, two at most.</summary>
    public void Replace(int index, T point)
    {
        if (_front is null)
        {
            _front = (index, Buffer[index]);
        }
        else
        {
            _back = (index, Buffer[index]);
        }

        Buffer[index] = point;
    }

    public void TakeWhole()
    {
        if (_back is var (back, last))
        {
            Buffer[back] = last;
        }

        if (_front is var (front, first))
        {
            Buffer[front] = first;
        }

        (_front, _back) = (null, null);
        Show(_kept);
    }

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

    TItem[] Moved<TItem>(TItem[] items, int from, int capacity)
    {
        var target = capacity == items.Length ? items : new TItem[capacity];
        Array.Copy(items, from, target, 0, Loaded - from);
        return target;
    }
}
