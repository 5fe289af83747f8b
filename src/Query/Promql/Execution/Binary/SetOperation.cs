using Observe.Query.Promql.Parsing;
using Observe.Query.Promql.Planning;

namespace Observe.Query.Promql.Execution.Binary;

/// <summary>
/// <c>and</c> and <c>unless</c>: samples of the left side where the right side has, or has not, a sample with the same signature at the
/// same step.
/// </summary>
sealed class SetFilter(BinaryNode node, SeriesOperator left, SeriesOperator right, Scope scope) : SeriesOperator(scope)
{
    readonly bool _keepsMatched = node.Operator == Operator.And;
    SignaturePresence? _presence;
    SignatureMap? _signatures;
    int[] _sources = [];

    public override long Cost => left.Cost;

    public override IEnumerable<SeriesOperator> Inputs => [left, right];

    public override void Evaluate(int series, Column column, Worker worker)
    {
        var source = _sources[series];
        left.Evaluate(source, column, worker);
        var signature = _signatures!.Left[source];
        for (var step = 0; !column.IsEmpty && step < column.Steps; step++)
        {
            if (column.Presence[step] != Presence.Absent && _presence!.Has(signature, step) != _keepsMatched)
            {
                column.Remove(step);
            }
        }
    }

    protected override async Task OpenCoreAsync(Evaluation evaluation)
    {
        await left.OpenAsync(evaluation);
        await right.OpenAsync(evaluation);
        _signatures = new SignatureMap(left.Series, right.Series, node.Matching!);
        var members = SignatureMap.Members(_signatures.Right, _signatures.Count);
        _sources = [.. Enumerable.Range(0, left.Series.Length).Where(i => !_keepsMatched || members[_signatures.Left[i]].Length > 0)];
        Series = Array.ConvertAll(_sources, i => left.Series[i]);
        FindErrors(left, Enumerable.Range(0, left.Series.Length).Except(_sources), evaluation);
        var wanted = _signatures.Left.ToHashSet();
        evaluation.AddBytes((long)_signatures.Count * Grid.Count);
        _presence = new SignaturePresence(_signatures.Count, Grid.Count);
        evaluation.ForEach(right.Series.Length, right.Cost, (i, worker) =>
        {
            if (right.MayFail || wanted.Contains(_signatures.Right[i]))
            {
                var column = worker.RentColumn(Grid.Count);
                right.Evaluate(i, column, worker);
                _presence.Add(_signatures.Right[i], column);
                worker.Return(column);
            }
        });
    }
}

/// <summary>
/// <c>or</c>: all samples of the left side, and those of the right side whose signature the left side lacks at the same step.
/// </summary>
sealed class SetUnion(BinaryNode node, SeriesOperator left, SeriesOperator right, Scope scope) : SeriesOperator(scope)
{
    SignaturePresence? _presence;
    SignatureMap? _signatures;
    OutputMerge? _merge;
    Column?[] _held = [];

    public override long Cost => left.Cost + right.Cost;

    public override IEnumerable<SeriesOperator> Inputs => [left, right];

    public override bool MayFail => _merge!.IsNeeded || base.MayFail;

    public override void Evaluate(int series, Column column, Worker worker) => _merge!.Evaluate(series, column, worker, EvaluateSource);

    protected override async Task OpenCoreAsync(Evaluation evaluation)
    {
        await left.OpenAsync(evaluation);
        await right.OpenAsync(evaluation);
        _signatures = new SignatureMap(left.Series, right.Series, node.Matching!);
        _merge = new OutputMerge([.. left.Series, .. right.Series], evaluation);

        // The left side's series are read twice: to know which samples of the right side they hide, and as output.
        var hiding = SignatureMap.Members(_signatures.Right, _signatures.Count);
        evaluation.AddBytes((long)_signatures.Count * Grid.Count);
        _presence = new SignaturePresence(_signatures.Count, Grid.Count);
        _held = new Column?[left.Series.Length];
        evaluation.ForEach(left.Series.Length, left.Cost, (i, worker) =>
        {
            if (hiding[_signatures.Left[i]].Length > 0)
            {
                var column = worker.RentColumn(Grid.Count);
                left.Evaluate(i, column, worker);
                _presence.Add(_signatures.Left[i], column);
                _held[i] = column;
            }
        });
        _merge.Settle(Grid, evaluation, right.Cost, EvaluateSource);
        Series = _merge.Outputs;
    }

    void EvaluateSource(int source, Column column, Worker worker)
    {
        if (source < left.Series.Length)
        {
            if (_held[source] is { } held)
            {
                column.CopyFrom(held);
            }
            else
            {
                left.Evaluate(source, column, worker);
            }

            return;
        }

        right.Evaluate(source - left.Series.Length, column, worker);
        var signature = _signatures!.Right[source - left.Series.Length];
        for (var step = 0; !column.IsEmpty && step < column.Steps; step++)
        {
            if (column.Presence[step] != Presence.Absent && _presence!.Has(signature, step))
            {
                column.Remove(step);
            }
        }
    }
}

/// <summary>At which steps each signature has a sample. Adding is thread-safe.</summary>
sealed class SignaturePresence(int signatures, int steps)
{
    readonly bool[]?[] _present = new bool[]?[signatures];

    public bool Has(int signature, int step) => _present[signature] is { } present && present[step];

    public void Add(int signature, Column column)
    {
        if (column.IsEmpty)
        {
            return;
        }

        var present = _present[signature]
            ?? Interlocked.CompareExchange(ref _present[signature], new bool[steps], null) ?? _present[signature]!;
        for (var step = 0; step < steps; step++)
        {
            if (column.Presence[step] != Presence.Absent)
            {
                present[step] = true;
            }
        }
    }
}
