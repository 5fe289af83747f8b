namespace Observe.Query.Promql.Execution;

/// <summary>An operator that makes one series of each input series, without looking at other series.</summary>
abstract class MappingOperator(SeriesOperator input, Scope scope) : UnaryOperator(input, scope)
{
    OutputMerge? _merge;

    public override bool MayFail => _merge!.IsNeeded || base.MayFail;

    public sealed override void Evaluate(int series, Column column, Worker worker) =>
        _merge!.Evaluate(series, column, worker, EvaluateSource);

    protected sealed override void Open(Evaluation evaluation)
    {
        Prepare(evaluation);
        _merge = new OutputMerge(Identify(Input.Series, evaluation), evaluation);
        _merge.Settle(Grid, evaluation, Input.Cost, EvaluateSource);
        Series = _merge.Outputs;
    }

    /// <summary>Evaluates scalar arguments and the like, which are open when this is called.</summary>
    protected virtual void Prepare(Evaluation evaluation)
    {
    }

    /// <summary>What each input series becomes.</summary>
    protected virtual SeriesIdentity[] Identify(SeriesIdentity[] input, Evaluation evaluation) =>
        NameRemoval.Apply(input, evaluation.DelayedNameRemoval);

    /// <summary>Changes the input's column to the output's.</summary>
    protected abstract void Transform(int source, Column column, Worker worker);

    void EvaluateSource(int source, Column column, Worker worker)
    {
        Input.Evaluate(source, column, worker);
        if (!column.IsEmpty)
        {
            Transform(source, column, worker);
        }
    }
}
