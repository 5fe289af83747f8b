using System.Runtime.InteropServices;
using System.Text;
using Observe.Tsdb.Model;
using MatchType = Observe.Tsdb.Model.MatchType;

namespace Observe.Tsdb.Index;

/// <summary>One value of a label and where the list of its series is; the span lives until the visitor returns.</summary>
/// <returns>Whether to go on to the next value.</returns>
public delegate bool LabelValueVisitor<TList>(ReadOnlySpan<byte> value, TList list);

/// <summary>How much an index has of one name.</summary>
/// <param name="References">In the lists of all values, about.</param>
/// <param name="HasAll">It is known that every series has the label.</param>
public readonly record struct LabelNameSize(long Values, long References, bool HasAll);

/// <summary>An index seen as labels: which values a name has and where their lists are. Head, block and bucket each have one.</summary>
/// <typeparam name="TList">What names a postings list: the list itself, or where it lies in a file.</typeparam>
public interface ILabelIndex<TList>
{
    /// <summary>The list of all series.</summary>
    TList All { get; }

    /// <summary>All names of labels, sorted by bytes.</summary>
    IReadOnlyList<string> LabelNames();

    /// <summary>Found without looking at the values.</summary>
    LabelNameSize Size(ReadOnlySpan<byte> name);

    bool TryGet(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, out TList list);

    /// <summary>
    /// Visits the values of a name, in the order of their bytes if <see cref="IsSorted"/>; those that do not start with the prefix may be
    /// left out.
    /// </summary>
    void Visit(ReadOnlySpan<byte> name, ReadOnlySpan<byte> prefix, LabelValueVisitor<TList> visitor);

    bool IsSorted { get; }
}

/// <summary>
/// Which postings lists answer a set of matchers, and how they go together: all <see cref="Required"/> unions intersected, all of
/// <see cref="Excluded"/> taken away. Made without reading a list, so that a reader can fetch them all at once.
/// </summary>
public sealed class PostingsPlan<TList>
{
    /// <summary>More lists are faster read than held open.</summary>
    const int LazyLists = 256;

    /// <summary>Lists of the first part, where a plan is split; the next ones have four times as many, and so on.</summary>
    const int FirstPart = 64;

    readonly List<List<TList>> _required = [];
    readonly List<TList> _excluded = [];

    PostingsPlan()
    {
    }

    /// <summary>Nothing matches, whatever the lists hold.</summary>
    public bool IsEmpty { get; private set; }

    /// <summary>Every series matches.</summary>
    public bool IsAll { get; private set; }

    /// <summary>It can be evaluated without reading all of any list.</summary>
    public bool IsLazy => _excluded.Count <= LazyLists && _required.TrueForAll(lists => lists.Count <= LazyLists);

    /// <summary>How many lists there are to read.</summary>
    public int Lists => _excluded.Count + _required.Sum(lists => lists.Count);

    public IReadOnlyList<IReadOnlyList<TList>> Required => _required;

    public IReadOnlyList<TList> Excluded => _excluded;

    /// <summary>
    /// A series matches when each matcher holds for its value, "" where it lacks the label. So a matcher that "" fails asks for one
    /// of the values that it accepts; one that "" passes takes away the values that it refuses. No matchers: all series.
    /// </summary>
    public static PostingsPlan<TList> Of(ILabelIndex<TList> index, IReadOnlyList<Matcher> matchers, CancellationToken cancellationToken)
    {
        var plan = new PostingsPlan<TList>();
        foreach (var matcher in matchers)
        {
            if (matcher is { Type: MatchType.Regex, Value: ".*" })
            {
                continue;
            }

            if (matcher.MatchesEmpty)
            {
                Select(index, matcher, accepted: false, plan._excluded, cancellationToken);
                continue;
            }

            if (TakesAll(index, matcher))
            {
                continue;
            }

            var lists = new List<TList>();
            Select(index, matcher, accepted: true, lists, cancellationToken);
            if (lists.Count == 0)
            {
                plan.IsEmpty = true;
                plan._required.Clear();
                plan._excluded.Clear();
                return plan;
            }

            plan._required.Add(lists);
        }

        if (plan._required.Count == 0)
        {
            plan._required.Add([index.All]);
            plan.IsAll = plan._excluded.Count == 0;
        }

        return plan;
    }

    /// <summary>
    /// Plans that have all of this one's series between them, each once: for readers of few series, who need not read all of many lists. The
    /// lists of one label's values have no series in common.
    /// </summary>
    public IEnumerable<PostingsPlan<TList>> Parts()
    {
        var many = _required.MaxBy(lists => lists.Count);
        if (many is not { Count: > FirstPart } || _required.Exists(lists => lists != many && lists.Count > LazyLists))
        {
            yield return this;
            yield break;
        }

        for (int from = 0, count = FirstPart; from < many.Count; from += count, count = Math.Min(count * 4, LazyLists))
        {
            count = Math.Min(count, many.Count - from);
            var part = new PostingsPlan<TList>();
            part._required.AddRange(_required.Where(lists => lists != many).Append(many.GetRange(from, count)));
            part._excluded.AddRange(_excluded);
            yield return part;
        }
    }

    /// <param name="open">The postings of a list.</param>
    public Postings Evaluate(Func<TList, Postings> open, CancellationToken cancellationToken) =>
        Evaluate(open, isLazy: false, cancellationToken);

    /// <summary>As <see cref="Evaluate(Func{TList, Postings}, CancellationToken)"/>, with no more read of the lists than is asked for.</summary>
    public Postings EvaluateLazily(Func<TList, Postings> open, CancellationToken cancellationToken) =>
        Evaluate(open, isLazy: true, cancellationToken);

    Postings Evaluate(Func<TList, Postings> open, bool isLazy, CancellationToken cancellationToken)
    {
        if (IsEmpty)
        {
            return Postings.Empty;
        }

        // Few lists tend to be few series: let them lead the intersection.
        var required = _required.OrderBy(lists => lists.Count).Select(lists => Merged(lists)).ToList();
        return Postings.Without(Postings.Intersect(required), Merged(_excluded));

        Postings Merged(List<TList> lists)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var postings = lists.ConvertAll(list => open(list));
            return isLazy && lists.Count <= LazyLists ? Postings.MergeLazily(CollectionsMarshal.AsSpan(postings)) : Postings.Merge(postings);
        }
    }

    // A matcher for any value of a label that every series has, as the metric's name: the lists of its values need not be united.
    static bool TakesAll(ILabelIndex<TList> index, Matcher matcher) =>
        matcher is { Type: MatchType.NotEqual, Value: "" } or { Type: MatchType.Regex, Value: ".+" }
        && index.Size(Encoding.UTF8.GetBytes(matcher.Name)).HasAll;

    static void Select(ILabelIndex<TList> index, Matcher matcher, bool accepted, List<TList> lists, CancellationToken cancellationToken)
    {
        var name = Encoding.UTF8.GetBytes(matcher.Name);
        var negative = matcher.Type is MatchType.NotEqual or MatchType.NotRegex;
        IReadOnlyList<string>? values = matcher.Regex is null ? [matcher.Value] : matcher.Regex.Literals;
        if (values is not null && negative != accepted)
        {
            foreach (var value in values.Distinct(StringComparer.Ordinal))
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (value.Length > 0 && index.TryGet(name, Encoding.UTF8.GetBytes(value), out var list))
                {
                    lists.Add(list);
                }
            }

            return;
        }

        var prefix = matcher.Regex is not null && negative != accepted ? Encoding.UTF8.GetBytes(matcher.Regex.Prefix) : [];
        index.Visit(name, prefix, (value, list) =>
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (!value.IsEmpty && matcher.Matches(value) == accepted)
            {
                lists.Add(list);
            }

            return true;
        });
    }
}
