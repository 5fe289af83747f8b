using Observe.Query.Promql.Functions;
using Observe.Query.Promql.Parsing;
using Observe.Tsdb.Model;

namespace Observe.Query.Promql.Execution.Calls;

/// <summary>Whether an element of an instant vector comes before another.</summary>
delegate bool ElementOrder(SeriesIdentity left, double leftValue, SeriesIdentity right, double rightValue);

/// <summary>
/// <c>sort</c> and its kin: elements in another order, in an instant query; in a range query a warning that it has no effect.
/// </summary>
sealed class Sorting(SeriesOperator input, ElementOrder order, bool dropsHistograms, Position position, Scope scope, bool isRange)
    : UnaryOperator(input, scope)
{
    Column[] _held = [];

    /// <summary>By value, NaN last: any element comes before a NaN, another NaN too.</summary>
    public static ElementOrder ByValue(bool descending) => (_, left, _, right) =>
        double.IsNaN(right) || (descending ? right < left : right > left);

    /// <summary>By some labels in natural order, then by all labels.</summary>
    public static ElementOrder ByLabels(string[] labels, bool descending) => (left, _, right, _) =>
    {
        foreach (var label in labels)
        {
            var (a, b) = (left.Labels.Get(label), right.Labels.Get(label));
            if (a != b)
            {
                return NaturalOrder.IsLess(a, b) != descending;
            }
        }

        var order = left.Labels.CompareTo(right.Labels);
        return descending ? order > 0 : order < 0;
    };

    public override void Evaluate(int series, Column column, Worker worker)
    {
        if (Grid.IsSingle)
        {
            column.CopyFrom(_held[series]);
            return;
        }

        Input.Evaluate(series, column, worker);
        for (var step = 0; dropsHistograms && column.Histograms > 0 && step < column.Steps; step++)
        {
            if (column.Presence[step] == Presence.Histogram)
            {
                column.Remove(step);
            }
        }
    }

    protected override void Open(Evaluation evaluation)
    {
        Series = Input.Series;
        if (isRange)
        {
            var worker = evaluation.Rent();
            new AnnotationSite(worker.Annotations, position.Start, position.End).SortInRangeQuery();
            evaluation.Return(worker);
        }
        else if (Grid.IsSingle)
        {
            Sort(evaluation);
        }
    }

    void Sort(Evaluation evaluation)
    {
        var columns = SingleStep.Evaluate(Input, evaluation);
        int[] sources =
            [.. Enumerable.Range(0, columns.Length).Where(i => columns[i].Floats > 0 || (!dropsHistograms && !columns[i].IsEmpty))];
        GoSort<int>.Sort(sources, (a, b) => order(Input.Series[a], columns[a].Values[0], Input.Series[b], columns[b].Values[0]));
        Series = Array.ConvertAll(sources, i => Input.Series[i]);
        _held = Array.ConvertAll(sources, i => columns[i]);
    }
}

/// <summary>Texts in which numbers count as numbers: <c>a2</c> before <c>a10</c>.</summary>
static class NaturalOrder
{
    /// <summary>Whether one text comes before another: runs of digits are compared as numbers, the text between them as text.</summary>
    public static bool IsLess(string left, string right)
    {
        // A series without the label comes before no other, and no other before it: where such series end up is up to the sorting
        // algorithm, which is Prometheus's.
        if (left.Length == 0 || right.Length == 0)
        {
            return false;
        }

        var (l, r) = (0, 0);
        while (l < left.Length && r < right.Length)
        {
            var a = Run(left, ref l);
            var b = Run(right, ref r);
            if (a.SequenceEqual(b))
            {
                continue;
            }

            if (char.IsAsciiDigit(a[0]) && char.IsAsciiDigit(b[0])
                && System.Numerics.BigInteger.TryParse(a, out var x) && System.Numerics.BigInteger.TryParse(b, out var y) && x != y)
            {
                return x < y;
            }

            return Utf8Order.Instance.Compare(a.ToString(), b.ToString()) < 0;
        }

        return left.Length - l < right.Length - r;
    }

    static ReadOnlySpan<char> Run(string text, ref int at)
    {
        var start = at++;
        var digits = char.IsAsciiDigit(text[start]);
        while (at < text.Length && char.IsAsciiDigit(text[at]) == digits)
        {
            at++;
        }

        return text.AsSpan(start, at - start);
    }
}
