using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Query.Promql.Execution;

/// <summary>Who a series is.</summary>
/// <param name="DropName">Its name, type and unit are to go at the end of the query (delayed name removal).</param>
readonly record struct SeriesIdentity(Labels Labels, bool DropName)
{
    public static SeriesIdentity None { get; } = new(Labels.Empty, false);

    public string MetricName => Labels.Get(Labels.MetricName);

    public static SeriesIdentity[] Of(List<Series> selected)
    {
        var identities = new SeriesIdentity[selected.Count];
        for (var i = 0; i < identities.Length; i++)
        {
            identities[i] = new SeriesIdentity(selected[i].Labels, false);
        }

        return identities;
    }
}

/// <summary>
/// A part of a query in execution. First it is opened: it opens what it reads from, and settles its series. Then each series can be
/// evaluated over all steps, in any order and on several threads at once.
/// </summary>
/// <remarks>
/// A series that is evaluated belongs to nobody: what is read often is held by who reads it. So functions of one series run fused, without
/// columns between them, and an aggregation needs as many columns as it has groups.
/// </remarks>
abstract class SeriesOperator(Scope scope)
{
    Task? _opening;

    public Scope Scope { get; } = scope;

    public StepGrid Grid => Scope.Grid;

    /// <summary>Set by opening. A series may turn out to be empty.</summary>
    public SeriesIdentity[] Series { get; protected set; } = [];

    /// <summary>About how many samples are looked at to evaluate one series.</summary>
    public virtual long Cost => Grid.Count;

    /// <summary>What it reads from.</summary>
    public virtual IEnumerable<SeriesOperator> Inputs => [];

    /// <summary>
    /// Known when it is open: evaluating a series may show that the query is in error, so that those too have to be evaluated whose samples
    /// nobody needs. Warnings alone are not worth that.
    /// </summary>
    public virtual bool MayFail
    {
        get
        {
            foreach (var input in Inputs)
            {
                if (input.MayFail)
                {
                    return true;
                }
            }

            return false;
        }
    }

    /// <summary>Starts asking for series, so that all selectors of a query wait for their sources at the same time.</summary>
    public virtual void Prefetch(Evaluation evaluation)
    {
        foreach (var input in Inputs)
        {
            input.Prefetch(evaluation);
        }
    }

    /// <summary>Opens it once, however many read from it.</summary>
    public Task OpenAsync(Evaluation evaluation) => _opening ??= OpenCoreAsync(evaluation);

    /// <summary>Evaluates one of <see cref="Series"/> into an empty column of as many steps as the grid.</summary>
    public abstract void Evaluate(int series, Column column, Worker worker);

    protected abstract Task OpenCoreAsync(Evaluation evaluation);

    /// <summary>Evaluates series of an input for their errors, where there may be any.</summary>
    protected static void FindErrors(SeriesOperator input, IEnumerable<int> series, Evaluation evaluation)
    {
        if (!input.MayFail)
        {
            return;
        }

        var all = series.ToArray();
        evaluation.ForEach(all.Length, input.Cost, (i, worker) =>
        {
            var column = worker.RentColumn(input.Grid.Count);
            input.Evaluate(all[i], column, worker);
            worker.Return(column);
        });
    }
}

/// <summary>An operator that reads from one other.</summary>
abstract class UnaryOperator(SeriesOperator input, Scope scope) : SeriesOperator(scope)
{
    protected SeriesOperator Input { get; } = input;

    public override long Cost => Input.Cost + Grid.Count;

    public override IEnumerable<SeriesOperator> Inputs => [Input];

    protected override async Task OpenCoreAsync(Evaluation evaluation)
    {
        await Input.OpenAsync(evaluation);
        evaluation.ThrowIfOver();
        Open(evaluation);
    }

    /// <summary>Settles <see cref="SeriesOperator.Series"/>; the input is open.</summary>
    protected abstract void Open(Evaluation evaluation);
}
