using System.Numerics;

namespace Observe.Query.Promql.Functions;

/// <summary>
/// Pattern-defeating quicksort (Orson Peters) as Go's library has it. It is not stable: where elements are equal, or NaNs make the order
/// inconsistent, the same order comes out only by making the same comparisons and swaps.
/// </summary>
/// <param name="items">What is sorted, in place.</param>
/// <param name="less">Whether one item comes before another.</param>
readonly ref struct GoSort<T>(Span<T> items, Func<T, T, bool> less)
{
    const int MaxInsertion = 12;
    const int ShortestShifting = 50;
    const int ShortestNinther = 50;
    const int MaxSwaps = 12;

    enum Order
    {
        Unknown, Ascending, Descending,
    }

    readonly Span<T> _items = items;
    readonly Func<T, T, bool> _less = less;

    public static void Sort(Span<T> items, Func<T, T, bool> less) =>
        new GoSort<T>(items, less).Sort(0, items.Length, BitLength(items.Length));

    static int BitLength(int value) => 32 - BitOperations.LeadingZeroCount((uint)value);

    bool Less(int a, int b) => _less(_items[a], _items[b]);

    void Swap(int a, int b) => (_items[a], _items[b]) = (_items[b], _items[a]);

    void Sort(int from, int to, int badPivotsLeft)
    {
        var (isBalanced, isPartitioned) = (true, true);
        while (to - from > MaxInsertion)
        {
            if (badPivotsLeft == 0)
            {
                SortByHeap(from, to);
                return;
            }

            if (!isBalanced)
            {
                BreakPatterns(from, to);
                badPivotsLeft--;
            }

            var (pivot, order) = ChoosePivot(from, to);
            if (order == Order.Descending)
            {
                _items[from..to].Reverse();
                pivot = to - 1 - (pivot - from);
                order = Order.Ascending;
            }

            if (isBalanced && isPartitioned && order == Order.Ascending && InsertFew(from, to))
            {
                return;
            }

            if (from > 0 && !Less(from - 1, pivot))
            {
                from = PartitionEqual(from, to, pivot);
                continue;
            }

            (var middle, isPartitioned) = Partition(from, to, pivot);
            var (left, right) = (middle - from, to - middle);
            isBalanced = Math.Min(left, right) >= (to - from) / 8;
            if (left < right)
            {
                Sort(from, middle, badPivotsLeft);
                from = middle + 1;
            }
            else
            {
                Sort(middle + 1, to, badPivotsLeft);
                to = middle;
            }
        }

        for (var i = from + 1; i < to; i++)
        {
            for (var j = i; j > from && Less(j, j - 1); j--)
            {
                Swap(j, j - 1);
            }
        }
    }

    void SortByHeap(int from, int to)
    {
        var count = to - from;
        for (var i = (count - 1) / 2; i >= 0; i--)
        {
            SiftDown(from, i, count);
        }

        for (var i = count - 1; i >= 0; i--)
        {
            Swap(from, from + i);
            SiftDown(from, 0, i);
        }
    }

    void SiftDown(int first, int root, int count)
    {
        for (var child = (2 * root) + 1; child < count; child = (2 * root) + 1)
        {
            child += child + 1 < count && Less(first + child, first + child + 1) ? 1 : 0;
            if (!Less(first + root, first + child))
            {
                return;
            }

            Swap(first + root, first + child);
            root = child;
        }
    }

    /// <summary>Puts what is smaller than the pivot before it; and whether that was so already.</summary>
    (int Pivot, bool WasPartitioned) Partition(int from, int to, int pivot)
    {
        Swap(from, pivot);
        var (i, j) = (from + 1, to - 1);
        for (var swaps = 0; ; swaps++)
        {
            while (i <= j && Less(i, from))
            {
                i++;
            }

            while (i <= j && !Less(j, from))
            {
                j--;
            }

            if (i > j)
            {
                Swap(j, from);
                return (j, swaps == 0);
            }

            Swap(i++, j--);
        }
    }

    /// <summary>Puts what equals the pivot first, and returns where the rest begins.</summary>
    int PartitionEqual(int from, int to, int pivot)
    {
        Swap(from, pivot);
        var (i, j) = (from + 1, to - 1);
        while (true)
        {
            while (i <= j && !Less(from, i))
            {
                i++;
            }

            while (i <= j && Less(from, j))
            {
                j--;
            }

            if (i > j)
            {
                return i;
            }

            Swap(i++, j--);
        }
    }

    /// <summary>Sorts what is sorted but for a few elements; false where it is not.</summary>
    bool InsertFew(int from, int to)
    {
        var i = from + 1;
        for (var tries = 0; tries < 5; tries++)
        {
            while (i < to && !Less(i, i - 1))
            {
                i++;
            }

            if (i == to)
            {
                return true;
            }

            if (to - from < ShortestShifting)
            {
                return false;
            }

            Swap(i, i - 1);
            for (var j = i - 1; i - from >= 2 && j >= 1 && Less(j, j - 1); j--)
            {
                Swap(j, j - 1);
            }

            for (var j = i + 1; to - i >= 2 && j < to && Less(j, j - 1); j++)
            {
                Swap(j, j - 1);
            }
        }

        return false;
    }

    /// <summary>Scatters three elements, so that a bad pivot does not come again.</summary>
    void BreakPatterns(int from, int to)
    {
        var length = to - from;
        var random = (ulong)length;
        var mask = (1UL << BitLength(length)) - 1;
        var middle = from + (length / 4 * 2) - 1;
        for (var i = 0; i < 3; i++)
        {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            var other = (int)(random & mask);
            Swap(middle + i, from + (other >= length ? other - length : other));
        }
    }

    (int Pivot, Order Order) ChoosePivot(int from, int to)
    {
        var quarter = (to - from) / 4;
        var (a, b, c) = (from + quarter, from + (2 * quarter), from + (3 * quarter));
        var swaps = 0;
        if (to - from >= ShortestNinther)
        {
            a = Median(a - 1, a, a + 1, ref swaps);
            b = Median(b - 1, b, b + 1, ref swaps);
            c = Median(c - 1, c, c + 1, ref swaps);
        }

        var pivot = Median(a, b, c, ref swaps);
        return (pivot, swaps switch { 0 => Order.Ascending, MaxSwaps => Order.Descending, _ => Order.Unknown });
    }

    int Median(int a, int b, int c, ref int swaps)
    {
        InOrder(ref a, ref b, ref swaps);
        InOrder(ref b, ref c, ref swaps);
        InOrder(ref a, ref b, ref swaps);
        return b;
    }

    void InOrder(ref int a, ref int b, ref int swaps)
    {
        if (Less(b, a))
        {
            (a, b) = (b, a);
            swaps++;
        }
    }
}
