using System.Runtime.InteropServices;
using Observe.Query.Promql.Functions;
using Observe.Query.Promql.Parsing;
using Observe.Query.Promql.Planning;
using Observe.Tsdb.Model;

namespace Observe.Query.Promql.Execution.Binary;

/// <summary>A binary operation between two vectors, set operations excepted.</summary>
/// <remarks>
/// Series match by signature. Where a signature has one series on each side, as almost all have, an output is computed of these two alone,
/// when the output is evaluated. All others (several series of one signature, which may alternate over time, fill values, and outputs that
/// several signatures share) are computed together, step by step.
/// </remarks>
sealed class VectorBinary(BinaryNode node, SeriesOperator left, SeriesOperator right, Scope scope) : SeriesOperator(scope)
{
    /// <summary>Bytes that a pair of series takes in two lists until its output is known.</summary>
    const long PairBytes = 2 * sizeof(int);

    readonly BinaryNode _node = node;
    readonly VectorMatching _matching = node.Matching!;
    readonly bool _swapped = node.Matching!.Cardinality == MatchCardinality.OneToMany;
    readonly List<Pair> _pairs = [];
    readonly List<(int Group, int Index)> _grouped = [];
    readonly List<MatchGroup> _groups = [];
    ColumnCache? _oneSide;
    int[] _route = [];

    public override long Cost => Many.Cost + One.Cost + Grid.Count;

    public override IEnumerable<SeriesOperator> Inputs => [left, right];

    /// <summary>The side of which several series may match one of the other side; the left side where matching is one to one.</summary>
    SeriesOperator Many => _swapped ? right : left;

    SeriesOperator One => _swapped ? left : right;

    public override bool MayFail => _groups.Count > 0 || base.MayFail;

    public override void Evaluate(int series, Column column, Worker worker)
    {
        var route = _route[series];
        if (route < 0)
        {
            var (group, index) = _grouped[~route];
            _groups[group].Evaluate(index, column, worker);
            return;
        }

        var pair = _pairs[route];
        Many.Evaluate(pair.Many, column, worker);
        if (!column.IsEmpty || One.MayFail)
        {
            // Rented only here, so that a chain of operators holds one column, and not one a level.
            var other = worker.RentColumn(column.Steps);
            if (_oneSide is null)
            {
                One.Evaluate(pair.One, other, worker);
            }
            else
            {
                _oneSide.Evaluate(pair.One, other, worker);
            }

            Combine(column, other, worker);
            worker.Return(other);
        }
    }

    protected override async Task OpenCoreAsync(Evaluation evaluation)
    {
        await left.OpenAsync(evaluation);
        await right.OpenAsync(evaluation);
        evaluation.ThrowIfOver();
        var labels = new MatchedLabels(_node.Operator, _matching, !evaluation.DelayedNameRemoval && _node.ReturnBool);
        var signatures = new SignatureMap(Many.Series, One.Series, _matching);
        var many = SignatureMap.Members(signatures.Left, signatures.Count);
        var one = SignatureMap.Members(signatures.Right, signatures.Count);
        CheckDuplicates(signatures, one, evaluation);
        Match(signatures, many, one, labels, evaluation);
        FindErrors(Many, Unmatched(signatures.Left, one), evaluation);
        FindErrors(One, Unmatched(signatures.Right, many), evaluation);
        if (_matching.Cardinality != MatchCardinality.OneToOne)
        {
            _oneSide = new ColumnCache(One, _pairs.Select(p => p.One));
        }
    }

    /// <summary>The series whose signature no series of the other side has.</summary>
    static IEnumerable<int> Unmatched(int[] signatures, int[][] others) =>
        Enumerable.Range(0, signatures.Length).Where(i => others[signatures[i]].Length == 0);

    void Match(SignatureMap signatures, int[][] many, int[][] one, MatchedLabels labels, Evaluation evaluation)
    {
        var fills = _matching.FillLeft is not null || _matching.FillRight is not null;
        var outputs = new LabelNumbering();
        var ofSignature = new List<int>[signatures.Count];
        var users = new List<int>();
        void Add(int signature, Labels result)
        {
            var output = outputs.Number(result.Encoded);
            if (output == users.Count)
            {
                users.Add(0);
                evaluation.AddBytes(result.Encoded.Length + 64);
            }

            users[output]++;
            (ofSignature[signature] ??= []).Add(output);
        }

        for (var m = 0; m < signatures.Left.Length; m++)
        {
            var signature = signatures.Left[m];
            evaluation.AddBytes(PairBytes * one[signature].Length);
            foreach (var result in ResultsOfMany(signatures.Labels(signature), m, one[signature], labels))
            {
                evaluation.ThrowIfOver();
                Add(signature, result);
            }
        }

        for (var o = 0; FillOfMany is not null && o < signatures.Right.Length; o++)
        {
            Add(signatures.Right[o], ResultOfOne(signatures.Labels(signatures.Right[o]), o, labels));
        }

        Series = new SeriesIdentity[users.Count];
        _route = new int[users.Count];
        Array.Fill(_route, int.MinValue);
        for (var i = 0; i < Series.Length; i++)
        {
            Series[i] = new SeriesIdentity(outputs.Labels[i], _node.ReturnBool);
        }

        var joined = new UnionOfSignatures(signatures.Count);
        var firstUser = new int[users.Count];
        Array.Fill(firstUser, -1);
        var together = new bool[signatures.Count];
        for (var signature = 0; signature < signatures.Count; signature++)
        {
            together[signature] = fills || one[signature].Length > 1
                || (_matching.Cardinality == MatchCardinality.OneToOne && many[signature].Length > 1 && one[signature].Length > 0);
            foreach (var output in ofSignature[signature] ?? [])
            {
                together[signature] |= users[output] > 1;
                if (firstUser[output] >= 0)
                {
                    joined.Join(signature, firstUser[output]);
                }

                firstUser[output] = signature;
            }
        }

        var groupOf = new Dictionary<int, int>();
        for (var signature = 0; signature < signatures.Count; signature++)
        {
            if (!together[signature])
            {
                for (var i = 0; i < many[signature].Length && one[signature].Length > 0; i++)
                {
                    _route[ofSignature[signature][i]] = _pairs.Count;
                    _pairs.Add(new Pair(many[signature][i], one[signature][0]));
                }

                continue;
            }

            var root = joined.Root(signature);
            if (!groupOf.TryGetValue(root, out var group))
            {
                groupOf[root] = group = _groups.Count;
                _groups.Add(new MatchGroup(this));
            }

            _groups[group].Add(new MatchSignature(many[signature], one[signature]), ofSignature[signature] ?? []);
            foreach (var output in ofSignature[signature] ?? [])
            {
                if (_route[output] == int.MinValue)
                {
                    _route[output] = ~_grouped.Count;
                    _grouped.Add((group, _groups[group].Output(output)));
                }
            }
        }
    }

    /// <summary>
    /// The one side may have several series of a signature, but never two at the same step, unless the other side has nothing at all there.
    /// This is checked before pairs are made, since pairs of many series with many may be too many to hold.
    /// </summary>
    void CheckDuplicates(SignatureMap signatures, int[][] one, Evaluation evaluation)
    {
        bool[]? manyPresent = null;
        var worker = evaluation.Rent();
        var column = worker.RentColumn(Grid.Count);
        var seen = new int[Grid.Count];
        for (var signature = 0; signature < one.Length; signature++)
        {
            if (one[signature].Length < 2)
            {
                continue;
            }

            Array.Fill(seen, -1);
            foreach (var series in one[signature])
            {
                worker.CountWork(seen.Length);
                column.Clear();
                One.Evaluate(series, column, worker);
                for (var step = 0; step < seen.Length; step++)
                {
                    if (column.Presence[step] == Presence.Absent)
                    {
                        continue;
                    }

                    if (seen[step] >= 0)
                    {
                        manyPresent ??= FillOfMany is null && FillOfOne is null ? SeriesPresence.Any(Many, worker) : null;
                        if (manyPresent is null || manyPresent[step])
                        {
                            ThrowDuplicate(signatures.Labels(signature), seen[step], series);
                        }
                    }

                    seen[step] = series;
                }
            }
        }

        worker.Return(column);
        evaluation.Return(worker);
    }

    void ThrowDuplicate(Labels signature, int first, int second)
    {
        var texts = new[] { first, second }.Select(i => One.Series[i].Labels.ToString()).Order(StringComparer.Ordinal).ToArray();
        throw new QueryException(
            $"found duplicate series for the match group {signature} on the {(_swapped ? "left" : "right")} hand-side of the operation: [{texts[0]}, {texts[1]}]"
            + ";many-to-many matching not allowed: matching labels must be unique on one side");
    }

    /// <summary>
    /// The outputs of a series of the many side: with each series of the one side, then with the value that fills in for them.
    /// </summary>
    IEnumerable<Labels> ResultsOfMany(Labels signature, int many, int[] one, MatchedLabels labels)
    {
        foreach (var o in one)
        {
            yield return labels.Of(Many.Series[many].Labels, One.Series[o].Labels);
        }

        if (FillOfOne is not null)
        {
            yield return labels.Of(Many.Series[many].Labels, signature);
        }
    }

    Labels ResultOfOne(Labels signature, int one, MatchedLabels labels) => labels.Of(signature, One.Series[one].Labels);

    /// <summary>
    /// The value that fills in for a missing series of the many side: as in Prometheus the value of <c>fill_left</c>, even where the many
    /// side is the right one.
    /// </summary>
    double? FillOfMany => _matching.FillLeft;

    double? FillOfOne => _matching.FillRight;

    void Combine(Column column, Column other, Worker worker)
    {
        if (column.IsDense && other.IsDense && SampleArithmetic.ChangesMeaning(_node.Operator))
        {
            for (var step = 0; step < column.Steps; step++)
            {
                var (a, b) = (column.Values[step], other.Values[step]);
                column.Values[step] = _swapped
                    ? SampleArithmetic.Compute(_node.Operator, b, a)
                    : SampleArithmetic.Compute(_node.Operator, a, b);
            }

            return;
        }

        var site = new AnnotationSite(worker.Annotations, _node.Position.Start, _node.Position.End);
        for (var step = 0; step < column.Steps; step++)
        {
            if (column.Presence[step] == Presence.Absent)
            {
                continue;
            }

            var many = Operand.Of(column, step);
            var present = other.Presence[step] != Presence.Absent;
            column.Remove(step);
            if (present)
            {
                Put(column, step, many, Operand.Of(other, step), site);
            }
        }
    }

    /// <summary>Combines two samples into a step that has no sample yet; false where the two samples can't be combined.</summary>
    bool Put(Column? column, int step, in Operand many, in Operand one, AnnotationSite site)
    {
        var result = _swapped
            ? SampleArithmetic.Combine(_node.Operator, one, many, site)
            : SampleArithmetic.Combine(_node.Operator, many, one, site);
        if (!result.Exists || column is null)
        {
            return result.Exists;
        }

        if (_node.ReturnBool)
        {
            column.Set(step, result.Keep ? 1 : 0);
        }
        else if (result.Keep && result.Histogram is null)
        {
            column.Set(step, result.Value);
        }
        else if (result.Keep)
        {
            column.Set(step, result.Histogram!);
        }

        return true;
    }

    readonly record struct Pair(int Many, int One);

    internal readonly record struct MatchSignature(int[] Many, int[] One);

    /// <summary>Signatures that are computed together, since they share series or outputs.</summary>
    internal sealed class MatchGroup(VectorBinary binary)
    {
        readonly List<(MatchSignature Signature, int[] Outputs)> _signatures = [];
        readonly Dictionary<int, int> _outputs = [];
        readonly Lock _lock = new();
        Column[]? _columns;

        /// <summary>The number that one of the operation's outputs has within the group.</summary>
        public int Output(int output)
        {
            ref var number = ref CollectionsMarshal.GetValueRefOrAddDefault(_outputs, output, out var known);
            return known ? number : number = _outputs.Count - 1;
        }

        /// <param name="outputs">The operation's outputs of all pairs, many by many, then those that stand in for a missing one.</param>
        public void Add(MatchSignature signature, List<int> outputs) => _signatures.Add((signature, [.. outputs.Select(Output)]));

        public void Evaluate(int output, Column column, Worker worker)
        {
            lock (_lock)
            {
                _columns ??= Compute(worker);
            }

            column.CopyFrom(_columns[output]);
        }

        Column[] Compute(Worker worker)
        {
            var outputs = new Column[_outputs.Count];
            for (var i = 0; i < outputs.Length; i++)
            {
                outputs[i] = worker.RentColumn(binary.Grid.Count);
            }

            foreach (var (signature, numbers) in _signatures)
            {
                Compute(signature, numbers, outputs, worker);
            }

            return outputs;
        }

        void Compute(MatchSignature signature, int[] numbers, Column[] outputs, Worker worker)
        {
            var many = Evaluated(binary.Many, signature.Many, worker);
            var one = Evaluated(binary.One, signature.One, worker);
            var site = new AnnotationSite(worker.Annotations, binary._node.Position.Start, binary._node.Position.End);
            var inserted = new HashSet<int>();
            for (var step = 0; step < binary.Grid.Count; step++)
            {
                worker.CountWork(many.Length + one.Length);
                inserted.Clear();
                var oneIndex = OneAt(one, step);
                var matches = 0;
                for (var m = 0; m < many.Length; m++)
                {
                    if (many[m].Presence[step] == Presence.Absent)
                    {
                        continue;
                    }

                    if (oneIndex < 0 && binary.FillOfOne is null)
                    {
                        continue;
                    }

                    var filled = binary.FillOfOne is null ? 0 : 1;
                    var slot = (m * (one.Length + filled)) + (oneIndex < 0 ? one.Length : oneIndex);
                    var other = oneIndex < 0 ? new Operand(binary.FillOfOne!.Value, null) : Operand.Of(one[oneIndex], step);
                    matches += Match(outputs, numbers[slot], step, Operand.Of(many[m], step), other, inserted, site) ? 1 : 0;
                }

                if (matches == 0 && oneIndex >= 0 && binary.FillOfMany is { } fill)
                {
                    var filled = binary.FillOfOne is null ? 0 : 1;
                    var slot = (many.Length * (one.Length + filled)) + oneIndex;
                    Match(outputs, numbers[slot], step, new Operand(fill, null), Operand.Of(one[oneIndex], step), inserted, site);
                }
            }

            foreach (var column in many.Concat(one))
            {
                worker.Return(column);
            }
        }

        bool Match(Column[] outputs, int output, int step, in Operand many, in Operand one, HashSet<int> inserted, AnnotationSite site)
        {
            var target = outputs[output];
            var free = target.Presence[step] == Presence.Absent;
            if (!binary.Put(free ? target : null, step, many, one, site))
            {
                return false;
            }

            if (binary._matching.Cardinality == MatchCardinality.OneToOne)
            {
                if (inserted.Count > 0)
                {
                    throw new QueryException("multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)");
                }

                inserted.Add(output);
            }
            else if (!inserted.Add(output))
            {
                throw new QueryException("multiple matches for labels: grouping labels must ensure unique matches");
            }

            if (!free)
            {
                OutputMerge.ThrowSameLabels();
            }

            return true;
        }

        /// <summary>The series of the one side that is present; -1 where none is.</summary>
        static int OneAt(Column[] one, int step) => Array.FindIndex(one, c => c.Presence[step] != Presence.Absent);

        static Column[] Evaluated(SeriesOperator side, int[] series, Worker worker) => Array.ConvertAll(series, s =>
        {
            var column = worker.RentColumn(side.Grid.Count);
            side.Evaluate(s, column, worker);
            return column;
        });
    }

    /// <summary>Which signatures share outputs.</summary>
    sealed class UnionOfSignatures(int count)
    {
        readonly int[] _parents = [.. Enumerable.Range(0, count)];

        public int Root(int signature)
        {
            while (_parents[signature] != signature)
            {
                signature = _parents[signature] = _parents[_parents[signature]];
            }

            return signature;
        }

        public void Join(int a, int b) => _parents[Root(a)] = Root(b);
    }
}
