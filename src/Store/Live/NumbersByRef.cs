namespace Observe.Store.Live;

/// <summary>
/// A number for each reference of a series, 0 at first: four bytes for one, since references of series that are scraped together lie together.
/// </summary>
sealed class NumbersByRef
{
    const int PageBits = 10;
    const int PageMask = (1 << PageBits) - 1;

    readonly Dictionary<ulong, int[]> _pages = [];
    readonly Stack<int[]> _free = new();
    ulong _number = ulong.MaxValue;
    int[] _page = [];

    /// <summary>The number of a reference, to be read and set.</summary>
    public ref int Of(ulong reference)
    {
        var number = reference >> PageBits;
        if (number != _number)
        {
            (_number, _page) = (number, PageOf(number));
        }

        return ref _page[reference & PageMask];
    }

    public void Clear()
    {
        // Of pages that are not wanted any more only as many are kept as were wanted this time.
        _free.Clear();
        foreach (var page in _pages.Values)
        {
            Array.Clear(page);
            _free.Push(page);
        }

        _pages.Clear();
        _number = ulong.MaxValue;
    }

    int[] PageOf(ulong number)
    {
        if (!_pages.TryGetValue(number, out var page))
        {
            _pages[number] = page = _free.TryPop(out var free) ? free : new int[1 << PageBits];
        }

        return page;
    }
}
