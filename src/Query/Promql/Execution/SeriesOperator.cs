using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Query.Promql.Execution;

/// <summary>The identity of a series of an operator.</summary>
/// <param name="DropName">Name, type and unit are dropped at the end of the query (delayed name removal).</param>
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
/// A part of a query in execution. An operator is opened first: it opens its inputs, and settles its series. Then each series can be
/// evaluated over all steps, in any order and on several threads at once.
/// </summary>
/// <remarks>
/// An operator keeps no series that it evaluated: an operator that reads an input's series several times holds them itself. So functions of
/// one series run fused, without columns between them, and an aggregation needs as many columns as it has groups.
/// </remarks>
abstract class SeriesOperator(Scope scope)
{
    Task? _opening;
    volatile InputFault _inputFault;

    public Scope Scope { get; } = scope;

    public StepGrid Grid => Scope.Grid;

    /// <summary>Set by opening. A series may turn out to be empty.</summary>
    public SeriesIdentity[] Series { get; protected set; } = [];

    /// <summary>About how many samples are read to evaluate one series.</summary>
    public virtual long Cost => Grid.Count;

    /// <summary>The operators that this one reads from.</summary>
    public virtual IEnumerable<SeriesOperator> Inputs => [];

    /// <summary>The series that the operator itself reads from the source, once it is open.</summary>
    public virtual IEnumerable<SeriesSelection> Selections => [];

    /// <summary>
    /// Evaluating a series may show that the query is in error, so that even series whose samples are not needed have to be evaluated.
    /// Known once the operator is open. Warnings alone do not count.
    /// </summary>
    public virtual bool MayFail
    {
        get
        {
            // Found out once, since each level of a chain of operators asks the level below.
            if (_inputFault == InputFault.Unknown)
            {
                _inputFault = Inputs.Any(input => input.MayFail) ? InputFault.Possible : InputFault.None;
            }

            return _inputFault == InputFault.Possible;
        }
    }

    /// <summary>
    /// Adds the selectors below to the prefetch, so that all selectors of a query wait for their sources at the same time.
    /// </summary>
    public virtual void Prefetch(Evaluation evaluation)
    {
        foreach (var input in Inputs)
        {
            input.Prefetch(evaluation);
        }
    }

    /// <summary>Opens the operator once, however many operators read from it.</summary>
    public Task OpenAsync(Evaluation evaluation) => _opening ??= OpenCoreAsync(evaluation);

    /// <summary>Evaluates one of <see cref="Series"/> into an empty column of as many steps as the grid.</summary>
    public abstract void Evaluate(int series, Column column, Worker worker);

    protected abstract Task OpenCoreAsync(Evaluation evaluation);

    /// <summary>Evaluates series of an input only to find their errors, where the input may fail.</summary>
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

    enum InputFault : byte
    {
        Unknown,
        None,
        Possible,
    }
}

/// <summary>An operator with one input.</summary>
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
