using Observe.Query.Promql.Parsing;
using Observe.Tsdb.Model;

namespace Observe.Query.Promql.Execution.Binary;

/// <summary>The signatures by which the series of two vectors match: the labels that <c>on</c> or <c>ignoring</c> leaves of them.</summary>
sealed class SignatureMap
{
    readonly LabelNumbering _numbering = new();

    public SignatureMap(SeriesIdentity[] left, SeriesIdentity[] right, VectorMatching matching)
    {
        var projection = Projection(matching);
        Left = Number(left, projection);
        Right = Number(right, projection);
    }

    /// <summary>The signature of each series.</summary>
    public int[] Left { get; }

    public int[] Right { get; }

    public int Count => _numbering.Labels.Count;

    public Labels Labels(int signature) => _numbering.Labels[signature];

    public static LabelProjection Projection(VectorMatching matching) => matching.On
        ? new LabelProjection(matching.Labels, keep: true)
        : new LabelProjection([.. matching.Labels, Tsdb.Model.Labels.MetricName], keep: false);

    /// <summary>The series of each signature, in order.</summary>
    public static int[][] Members(int[] signatures, int count)
    {
        var members = new List<int>?[count];
        for (var i = 0; i < signatures.Length; i++)
        {
            (members[signatures[i]] ??= []).Add(i);
        }

        return Array.ConvertAll(members, m => m is null ? [] : m.ToArray());
    }

    int[] Number(SeriesIdentity[] series, LabelProjection projection) =>
        Array.ConvertAll(series, s => _numbering.Number(projection.Encode(s.Labels)));
}

/// <summary>The labels of what a binary operation between two vectors gives.</summary>
sealed class MatchedLabels(Operator op, VectorMatching matching, bool dropsName)
{
    readonly LabelsBuilder _builder = new();
    readonly LabelProjection _projection = matching.On
        ? new LabelProjection(matching.Labels, keep: true)
        : new LabelProjection(matching.Labels, keep: false);

    /// <param name="many">The labels of the series of the many side; of the left side where matching is one to one.</param>
    public Labels Of(Labels many, Labels one)
    {
        _builder.Reset(many);
        if (dropsName || SampleArithmetic.ChangesMeaning(op))
        {
            _builder.Delete(Labels.MetricName).Delete("__type__").Delete("__unit__");
        }

        var labels = _builder.Build();
        if (matching.Cardinality == MatchCardinality.OneToOne)
        {
            labels = _projection.Project(labels);
        }

        if (matching.Include.Count == 0)
        {
            return labels;
        }

        _builder.Reset(labels);
        foreach (var name in matching.Include)
        {
            _builder.Set(name, one.Get(name));
        }

        return _builder.Build();
    }
}
