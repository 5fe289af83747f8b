namespace Observe.Query.Promql.Execution;

/// <summary>An operator that needs all series of a group at once, and computes a group when it is asked for.</summary>
abstract class GroupedOperator(SeriesOperator input, Scope scope) : UnaryOperator(input, scope)
{
    int[][] _members = [];

    public override long Cost => Input.Cost * 4;

    public sealed override void Evaluate(int series, Column column, Worker worker)
    {
        var members = _members[series];
        var columns = new Column[members.Length];
        for (var i = 0; i < columns.Length; i++)
        {
            columns[i] = worker.RentColumn(Grid.Count);
            Input.Evaluate(members[i], columns[i], worker);
        }

        Compute(series, members, columns, column, worker);
        Array.ForEach(columns, worker.Return);
    }

    protected void SetGroups(SeriesIdentity[] identities, int[][] members) => (Series, _members) = (identities, members);

    /// <param name="members">The input's series in the group.</param>
    /// <param name="columns">Their columns.</param>
    protected abstract void Compute(int group, int[] members, Column[] columns, Column column, Worker worker);
}
