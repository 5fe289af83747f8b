using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Querying;

/// <summary>
/// A source whose series lack the external labels, as a head's do, with them: matchers on them are answered here, and they take the
/// place of labels of the same name, as in Thanos.
/// </summary>
/// <param name="external">Asked for each call, since a reload may change them.</param>
public sealed class ExternalLabelsQuerier(IQuerier inner, Func<Labels> external) : IQuerier
{
    public IAsyncEnumerable<Series> SelectAsync(
        SelectHints hints, IReadOnlyList<Matcher> matchers, Warnings warnings, CancellationToken cancellationToken)
    {
        var labels = external();
        return Inner(matchers, labels) is { } rest
            ? new HeldSelection<(IAsyncEnumerator<Series> All, LabelsWriter Merged)>(
                () => (
                    inner.SelectAsync(hints with { Limit = 0, ReplicaLabels = [] }, rest, warnings, cancellationToken).GetAsyncEnumerator(cancellationToken),
                    new LabelsWriter(labels)),
                held => LabelAsync(held.All, held.Merged, hints, warnings),
                held =>
                {
                    held.Merged.Dispose();
                    return held.All.DisposeAsync();
                })
            : AsyncEnumerable.Empty<Series>();
    }

    static async IAsyncEnumerable<Series> LabelAsync(IAsyncEnumerator<Series> all, LabelsWriter merged, SelectHints hints, Warnings warnings)
    {
        // With labels put between its own a series may sort elsewhere, so that all are gathered.
        var gathered = new List<Series>();
        while (await all.MoveNextAsync())
        {
            merged.Add(all.Current.Labels);
            gathered.Add(new LabelledSeries(merged.Take(), all.Current));
        }

        gathered.Sort(static (a, b) => a.Labels.CompareTo(b.Labels));
        var count = 0;
        for (var i = 0; i < gathered.Count; count++)
        {
            if (hints.Limit > 0 && count == hints.Limit)
            {
                warnings.Add(Warnings.Truncated);
                yield break;
            }

            // Series that differed only in a label whose place was taken are one now.
            var first = i++;
            while (i < gathered.Count && gathered[i].Labels == gathered[first].Labels)
            {
                i++;
            }

            yield return i - first == 1 ? gathered[first] : new MergedSeries([.. gathered[first..i]]);
        }
    }

    public async ValueTask<IReadOnlyList<string>> LabelNamesAsync(
        SelectHints hints, IReadOnlyList<Matcher> matchers, Warnings warnings, CancellationToken cancellationToken)
    {
        var labels = external();
        if (Inner(matchers, labels) is not { } rest)
        {
            return [];
        }

        var names = await inner.LabelNamesAsync(hints with { Limit = 0 }, rest, warnings, cancellationToken);
        return names.Count == 0 ? names : Limited(names.Union(labels.ToDictionary().Keys).Order(Utf8Order.Instance), hints.Limit, warnings);
    }

    public async ValueTask<IReadOnlyList<string>> LabelValuesAsync(
        string name, SelectHints hints, IReadOnlyList<Matcher> matchers, Warnings warnings, CancellationToken cancellationToken)
    {
        var labels = external();
        if (Inner(matchers, labels) is not { } rest)
        {
            return [];
        }

        if (!labels.Has(name))
        {
            return await inner.LabelValuesAsync(name, hints, rest, warnings, cancellationToken);
        }

        var any = await inner.LabelNamesAsync(hints with { Limit = 1 }, rest, new Warnings(), cancellationToken);
        return any.Count == 0 ? [] : [labels.Get(name)];
    }

    /// <summary>The matchers that are left for the series; null when the external labels do not match.</summary>
    static List<Matcher>? Inner(IReadOnlyList<Matcher> matchers, Labels labels)
    {
        var rest = new List<Matcher>(matchers.Count);
        foreach (var matcher in matchers)
        {
            if (!labels.Has(matcher.Name))
            {
                rest.Add(matcher);
            }
            else if (!matcher.Matches(labels))
            {
                return null;
            }
        }

        return rest;
    }

    static List<string> Limited(IEnumerable<string> names, int limit, Warnings warnings)
    {
        var all = names.ToList();
        if (limit == 0 || all.Count <= limit)
        {
            return all;
        }

        warnings.Add(Warnings.Truncated);
        return all[..limit];
    }

    sealed class LabelledSeries(Labels labels, Series series) : Series(labels)
    {
        public override ISampleIterator Samples() => series.Samples();

        public override IEnumerable<Chunk>? Chunks() => series.Chunks();
    }
}
