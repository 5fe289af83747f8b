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

    /// <summary>What it costs to read the names of a series' labels alone.</summary>
    const int NamesCost = 20;

    /// <summary>So many of the series that match are read before lists are: they have most of the names, and of the values of a label with few.</summary>
    const int Probes = 128;

    /// <summary>After so many of them, and one more for each value found, without another value, the rest is not worth reading.</summary>
    const int IdleProbes = 8;

    /// <summary>A plan of so many lists is opened again for each value that was not found so, and followed for so many steps.</summary>
    const int FewLists = 8;
    const int MeetingSteps = 16;

    /// <summary>A search among so many series or values is done sooner than another thread would begin with it; a longer one yields.</summary>
    const int FewItems = 4_096;

    uint[] _matching = ArrayPool<uint>.Shared.Rent(Probes);

    /// <summary>Series that are not there; rising.</summary>
    protected virtual ReadOnlyMemory<uint> Deleted => default;

    /// <summary>No series has a higher reference.</summary>
    protected abstract uint Last { get; }

    protected abstract Postings Open(TList list);

    /// <summary>As <see cref="Open"/>, for a list that is done with when the next one is opened.</summary>
    protected abstract Postings OpenOnce(TList list);

    /// <summary>As <see cref="Open"/>, for a reader of few of the references; what it finds need not be so.</summary>
    protected abstract Postings OpenFew(TList list);

    /// <param name="labels">Valid until the next call.</param>
    /// <returns>False when the series is gone.</returns>
    protected abstract bool TryRead(uint series, out Labels labels);

    /// <summary>Adds the names of a series' labels to others.</summary>
    protected virtual void ReadNames(uint series, HashSet<string> names)
    {
        if (TryRead(series, out var labels))
        {
            foreach (var label in labels)
            {
                names.Add(label.NameText);
            }
        }
    }

    /// <summary>Whether any series matches.</summary>
    public bool Any(IReadOnlyList<Matcher> matchers, CancellationToken cancellationToken)
    {
        var plan = PostingsPlan<TList>.Of(index, matchers, cancellationToken);

        // That there is none is to be read in lists whose checksums are right.
        return plan.Parts().Any(part => IsThere(part.EvaluateLazily(OpenFew, cancellationToken)))
            || IsThere(plan.Evaluate(Open, cancellationToken));

        bool IsThere(Postings some)
        {
            for (var left = Postings.Without(some, Postings.Of(Deleted)); left.Next();)
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (TryRead(left.Current, out var labels) && Matcher.All(matchers, labels))
                {
                    return true;
                }
            }

            return false;
        }
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
            if (Cost(open) > (long)matching.Length * NamesCost)
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

        var known = new SymbolTable();
        if (size.Values <= Probes && plan.IsLazy && Probe(plan, matchers, utf8, size.Values, known, cancellationToken))
        {
            return Texts(known, most);
        }

        var matching = ReadMatching(plan, cancellationToken);
        if (Math.Max(matching.Length, size.Values) > FewItems)
        {
            await Task.Yield();
        }

        if ((long)matching.Length * SeriesCost < size.References + (size.Values * ListCost))
        {
            ReadValues(utf8, own, matching.Span, 1, known, cancellationToken);
            return Texts(known, most);
        }

        if (size.Values <= Probes && known.Count == 0)
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

    static List<string> Texts(SymbolTable values, int most) =>
        [.. values.Sorted().Take(most).Select(number => Encoding.UTF8.GetString(values[number]))];

    /// <summary>Reads some of the series that match, from all over the index.</summary>
    /// <param name="count">Of the values that the label has.</param>
    /// <param name="values">Gets those that were found.</param>
    /// <returns>Whether these are all.</returns>
    bool Probe(
        PostingsPlan<TList> plan, IReadOnlyList<Matcher> matchers, byte[] name, long count, SymbolTable values,
        CancellationToken cancellationToken)
    {
        var some = Postings.Without(plan.EvaluateLazily(OpenFew, cancellationToken), Postings.Of(Deleted));
        var (step, next, idle) = (Math.Max(1, Last / Probes), 1u, 0);
        while (idle < IdleProbes + values.Count && some.Seek(next))
        {
            cancellationToken.ThrowIfCancellationRequested();
            idle++;
            if (TryRead(some.Current, out var labels) && labels.TryGet(name, out var value) && Matcher.All(matchers, labels))
            {
                var before = values.Count;
                values.FindOrAdd(value);
                idle = values.Count > before ? 0 : idle;
                if (values.Count == count)
                {
                    return true;
                }
            }

            if (some.Current >= uint.MaxValue - step)
            {
                break;
            }

            next = some.Current + step;
        }

        // Where most were found, the others may have been missed.
        if (values.Count < count * 3 / 4 || plan.Lists > FewLists)
        {
            return false;
        }

        index.Visit(name, default, (value, list) =>
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (value.IsEmpty || values.Find(value) >= 0)
            {
                return true;
            }

            var isFound = Meet(OpenFew(list), Postings.Without(plan.EvaluateLazily(OpenFew, cancellationToken), Postings.Of(Deleted))) is { } series
                && TryRead(series, out var labels) && Matcher.All(matchers, labels) && labels.TryGet(name, out var own) && own.SequenceEqual(value);
            if (isFound)
            {
                values.FindOrAdd(value);
            }

            return isFound;
        });
        return values.Count == count;
    }

    /// <summary>A reference that both have, where a few steps lead to one.</summary>
    static uint? Meet(Postings one, Postings other)
    {
        var next = 1u;
        for (var steps = 0; steps < MeetingSteps && one.Seek(next) && other.Seek(one.Current); steps++)
        {
            if (other.Current == one.Current)
            {
                return one.Current;
            }

            next = other.Current;
        }

        return null;
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
        for (var i = 0; i < matching.Length; i += step)
        {
            cancellationToken.ThrowIfCancellationRequested();
            ReadNames(matching[i], names);
        }
    }
}
