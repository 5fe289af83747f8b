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
/// <c>or</c>: all samples of the first input, and of each other one those whose signature no input before it has at the same step.
/// </summary>
/// <remarks>A chain of them is one operator: one a level would handle the series of each level below it once more.</remarks>
sealed class SetUnion(SeriesOperator[] inputs, VectorMatching matching, Scope scope) : SeriesOperator(scope)
{
    readonly List<(int Input, int Series)> _sources = [];
    int[] _signatures = [];
    SignaturePresence? _presence;
    OutputMerge? _merge;
    Column?[] _held = [];

    public override long Cost => inputs.Max(input => input.Cost);

    public override IEnumerable<SeriesOperator> Inputs => inputs;

    public override bool MayFail => _merge!.IsNeeded || base.MayFail;

    public override void Evaluate(int series, Column column, Worker worker) => _merge!.Evaluate(series, column, worker, EvaluateSource);

    protected override async Task OpenCoreAsync(Evaluation evaluation)
    {
        for (var i = 0; i < inputs.Length; i++)
        {
            await inputs[i].OpenAsync(evaluation);
            _sources.AddRange(Enumerable.Range(0, inputs[i].Series.Length).Select(series => (i, series)));
        }

        SeriesIdentity[] identities = [.. inputs.SelectMany(input => input.Series)];
        var signatures = new SignatureMap(identities, [], matching);
        _signatures = signatures.Left;
        _merge = new OutputMerge(identities, evaluation);
        evaluation.AddBytes((long)signatures.Count * Grid.Count);
        _presence = new SignaturePresence(signatures.Count, Grid.Count);
        _held = new Column?[identities.Length];
        var last = new int[signatures.Count];
        for (var source = 0; source < identities.Length; source++)
        {
            last[_signatures[source]] = _sources[source].Input;
        }

        // A series that hides samples of later inputs is read twice: to know which, and as output.
        var hiding = Enumerable.Range(0, identities.Length).Where(source => last[_signatures[source]] > _sources[source].Input);
        foreach (var ofInput in hiding.GroupBy(source => _sources[source].Input))
        {
            int[] sources = [.. ofInput];
            evaluation.ForEach(sources.Length, inputs[ofInput.Key].Cost, (i, worker) =>
            {
                var column = worker.RentColumn(Grid.Count);
                EvaluateSource(sources[i], column, worker);
                _held[sources[i]] = column;
            });

            // Only now, since series of one input do not hide each other.
            foreach (var source in sources)
            {
                _presence.Add(_signatures[source], _held[source]!);
            }
        }

        _merge.Settle(Grid, evaluation, Cost, EvaluateSource);
        Series = _merge.Outputs;
    }

    void EvaluateSource(int source, Column column, Worker worker)
    {
        if (_held[source] is { } held)
        {
            column.CopyFrom(held);
            return;
        }

        var (input, series) = _sources[source];
        inputs[input].Evaluate(series, column, worker);
        for (var step = 0; input > 0 && !column.IsEmpty && step < column.Steps; step++)
        {
            if (column.Presence[step] != Presence.Absent && _presence!.Has(_signatures[source], step))
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
