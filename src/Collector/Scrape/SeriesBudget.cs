namespace Observe.Collector.Scrape;

/// <summary>
/// How many series a target has made within the last two hours, for as long as the head holds a series that is never seen again. Belongs to
/// one scrape loop; not thread-safe.
/// </summary>
sealed class SeriesBudget
{
    const int Spans = 8;
    const long SpanMs = 15 * 60_000;

    readonly long[] _made = new long[Spans];
    long _newest = long.MinValue;

    public long Made { get; private set; }

    /// <summary>Forgets what was made longer ago.</summary>
    /// <param name="now">Unix milliseconds.</param>
    public void Advance(long now)
    {
        var span = now / SpanMs;
        for (var passed = _newest == long.MinValue ? 0 : Math.Min(span - _newest, Spans); passed > 0; passed--)
        {
            ref var oldest = ref _made[(int)((span - passed + 1) % Spans)];
            Made -= oldest;
            oldest = 0;
        }

        _newest = Math.Max(_newest, span);
    }

    public void Add()
    {
        _made[(int)(_newest % Spans)]++;
        Made++;
    }
}
