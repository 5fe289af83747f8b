using Observe.Query.Promql.Planning;
using Observe.Tsdb.Model;

namespace Observe.Query.Promql.Execution.Aggregations;

/// <summary>Which group of an aggregation each series belongs to. Groups are numbered in the order in which they first come.</summary>
sealed class SeriesGroups
{
    public SeriesGroups(SeriesIdentity[] series, LabelProjection projection, Evaluation evaluation)
    {
        var numbering = new LabelNumbering();
        GroupOf = new int[series.Length];
        for (var i = 0; i < series.Length; i++)
        {
            evaluation.ThrowIfOver();
            GroupOf[i] = numbering.Number(projection.Encode(series[i].Labels));
        }

        Identities = new SeriesIdentity[numbering.Labels.Count];
        for (var i = 0; i < series.Length; i++)
        {
            var group = GroupOf[i];
            Identities[group] = new SeriesIdentity(numbering.Labels[group], Identities[group].DropName | series[i].DropName);
        }
    }

    public int[] GroupOf { get; }

    public SeriesIdentity[] Identities { get; }

    public int Count => Identities.Length;

    public static LabelProjection Projection(AggregateNode node) => node.Without
        ? new LabelProjection([.. node.Grouping, Labels.MetricName], keep: false)
        : new LabelProjection(node.Grouping, keep: true);

    /// <summary>The series of each group, in order.</summary>
    public int[][] Members()
    {
        var members = new List<int>[Count];
        for (var i = 0; i < GroupOf.Length; i++)
        {
            (members[GroupOf[i]] ??= []).Add(i);
        }

        return [.. members.Select(m => m.ToArray())];
    }
}
