using System.Buffers;
using System.Text;
using Observe.Tsdb.Model;
using MatchType = Observe.Tsdb.Model.MatchType;

namespace Observe.Tsdb.Index;

/// <summary>
/// Names and values of labels of the series that match, mostly without reading these: a value is there when its list has one of them. Where
/// few series match, they are read instead. Not thread-safe.
/// </summary>
public abstract class LabelSearch<TList>(ILabelIndex<TList> index) : IDisposable
{
    /// <summary>What it costs to open a list, and to read the labels of a series: as much as to look at so many references.</summary>
    const int ListCost = 50;
    const int SeriesCost = 70;

    /// <summary>So many of the series that match are read before lists are: they have most of the names, and of the values of a label with few.</summary>
    const int Probes = 128;

    /// <summary>A search among so many series or values is done sooner than another thread would begin with it; a longer one yields.</summary>
    const int FewItems = 4_096;

    uint[] _matching = ArrayPool<uint>.Shared.Rent(Probes);

    /// <summary>Series that are not there; rising.</summary>
    protected virtual ReadOnlyMemory<uint> Deleted => default;

    protected abstract Postings Open(TList list);

    /// <summary>As <see cref="Open"/>, for a list that is done with when the next one is opened.</summary>
    protected abstract Postings OpenOnce(TList list);

    /// <summary>As <see cref="Open"/>, for a reader of few of the references; what it finds need not be so.</summary>
    protected abstract Postings OpenFew(TList list);

    /// <param name="labels">Valid until the next call.</param>
    /// <returns>False when the series is gone.</returns>
    protected abstract bool TryRead(uint series, out Labels labels);

    /// <summary>Whether any series matches.</summary>
    public bool Any(IReadOnlyList<Matcher> matchers, CancellationToken cancellationToken)
    {
        foreach (var part in PostingsPlan<TList>.Of(index, matchers, cancellationToken).Parts())
        {
            for (var some = Postings.Without(part.EvaluateLazily(OpenFew, cancellationToken), Postings.Of(Deleted)); some.Next();)
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (TryRead(some.Current, out var labels) && Matcher.All(matchers, labels))
                {
                    return true;
                }
            }
        }

        return false;
    }

    /// <summary>Names of labels of the series that match, sorted by bytes.</summary>
    /// <param name="most">There may be more.</param>
    public async ValueTask<IReadOnlyList<string>> NamesAsync(IReadOnlyList<Matcher> matchers, int most, CancellationToken cancellationToken)
    {
        var all = index.LabelNames();
        var plan = PostingsPlan<TList>.Of(index, matchers, cancellationToken);
        if (plan.IsAll && Deleted.IsEmpty)
        {
            return all.Count <= most ? all : [.. all.Take(most)];
        }

        var matching = ReadMatching(plan, cancellationToken);
        if (matching.Length > FewItems)
        {
            await Task.Yield();
        }

        var found = new HashSet<string>(StringComparer.Ordinal);
        var step = Math.Max(1, matching.Length / Probes);
        ReadNames(matching.Span, step, found, cancellationToken);
        if (step > 1)
        {
            var open = all.Where(name => !found.Contains(name)).ToList();
            if (Cost(open) > (long)matching.Length * SeriesCost)
            {
                ReadNames(matching.Span, 1, found, cancellationToken);
            }
            else
            {
                found.UnionWith(open.Where(name => Values(Utf8Order.Bytes(name), [], matching, null, 1, cancellationToken).Count > 0));
            }
        }

        var names = found.ToList();
        names.Sort(Utf8Order.Instance);
        return names.Count <= most ? names : names[..most];
    }

    /// <summary>Values of a label of the series that match, sorted by bytes.</summary>
    /// <inheritdoc cref="NamesAsync"/>
    public async ValueTask<IReadOnlyList<string>> ValuesAsync(
        string name, IReadOnlyList<Matcher> matchers, int most, CancellationToken cancellationToken)
    {
        var utf8 = Utf8Order.Bytes(name);
        var own = matchers.Where(m => m.Name == name).ToList();
        var size = index.Size(utf8);
        if (size.Values == 0)
        {
            return [];
        }

        var plan = PostingsPlan<TList>.Of(index, [.. matchers.Where(m => m.Name != name)], cancellationToken);
        if (plan.IsAll && Deleted.IsEmpty)
        {
            if (Math.Min(size.Values, most) > FewItems)
            {
                await Task.Yield();
            }

            return Values(utf8, own, matching: null, null, most, cancellationToken);
        }

        var (matching, known) = (ReadMatching(plan, cancellationToken), new SymbolTable());
        if (Math.Max(matching.Length, size.Values) > FewItems)
        {
            await Task.Yield();
        }

        if ((long)matching.Length * SeriesCost < size.References + (size.Values * ListCost))
        {
            ReadValues(utf8, own, matching.Span, 1, known, cancellationToken);
            return [.. known.Sorted().Take(most).Select(number => Encoding.UTF8.GetString(known[number]))];
        }

        if (size.Values <= Probes)
        {
            ReadValues(utf8, own, matching.Span, Math.Max(1, matching.Length / Probes), known, cancellationToken);
        }

        return Values(utf8, own, matching, known, most, cancellationToken);
    }

    public virtual void Dispose()
    {
        if (_matching.Length > 0)
        {
            ArrayPool<uint>.Shared.Return(_matching);
            _matching = [];
        }
    }

    /// <summary>Valid until this is disposed.</summary>
    ReadOnlyMemory<uint> ReadMatching(PostingsPlan<TList> plan, CancellationToken cancellationToken)
    {
        var count = Postings.Without(plan.Evaluate(Open, cancellationToken), Postings.Of(Deleted)).AppendRest(ref _matching, 0);
        return _matching.AsMemory(0, count);
    }

    long Cost(List<string> names) => names.Sum(name => index.Size(Utf8Order.Bytes(name)) is var size ? size.References + (size.Values * ListCost) : 0);

    /// <param name="matching">Null: a value is there whatever series have it.</param>
    /// <param name="known">Values that are known to be there.</param>
    List<string> Values(
        byte[] name, List<Matcher> own, ReadOnlyMemory<uint>? matching, SymbolTable? known, int most, CancellationToken cancellationToken)
    {
        var values = new List<string>();
        if (own.Find(m => m is { Type: MatchType.Equal, Value.Length: > 0 }) is { } equal)
        {
            var value = Utf8Order.Bytes(equal.Value);
            if (index.TryGet(name, value, out var list))
            {
                Add(value, list);
            }

            return values;
        }

        index.Visit(name, default, Add);
        if (!index.IsSorted)
        {
            values.Sort(Utf8Order.Instance);
        }

        return values.Count <= most ? values : values[..most];

        bool Add(ReadOnlySpan<byte> value, TList list)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (!value.IsEmpty && Matcher.All(own, value)
                && (matching is not { } some || known?.Find(value) >= 0 || Postings.Overlap(OpenOnce(list), some.Span)))
            {
                values.Add(Encoding.UTF8.GetString(value));
            }

            return !index.IsSorted || values.Count < most;
        }
    }

    void ReadValues(
        byte[] name, List<Matcher> own, ReadOnlySpan<uint> matching, int step, SymbolTable values, CancellationToken cancellationToken)
    {
        for (var i = 0; i < matching.Length; i += step)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (TryRead(matching[i], out var labels) && labels.TryGet(name, out var value) && Matcher.All(own, value))
            {
                values.FindOrAdd(value);
            }
        }
    }

    void ReadNames(ReadOnlySpan<uint> matching, int step, HashSet<string> names, CancellationToken cancellationToken)
    {
        // Most series have the names of the one before.
        var last = new List<byte[]>();
        for (var i = 0; i < matching.Length; i += step)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (!TryRead(matching[i], out var labels))
            {
                continue;
            }

            var at = 0;
            foreach (var label in labels)
            {
                if (at == last.Count || !label.Name.SequenceEqual(last[at]))
                {
                    last.RemoveRange(at, last.Count - at);
                    last.Add(label.Name.ToArray());
                    names.Add(label.NameText);
                }

                at++;
            }
        }
    }
}
