using Observe.Query.Promql.Execution;
using Observe.Query.Promql.Execution.Aggregations;
using Observe.Query.Promql.Execution.Binary;
using Observe.Query.Promql.Execution.Calls;
using Observe.Query.Promql.Execution.Selectors;
using Observe.Query.Promql.Functions;
using Observe.Query.Promql.Parsing;
using Observe.Query.Promql.Planning;
using Observe.Tsdb.Bytes;

namespace Observe.Query.Promql;

/// <summary>From a plan to operators: the one place that knows which operator computes which node.</summary>
/// <remarks>Nodes that compute the same at the same steps become one operator, where the operator holds its results anyway.</remarks>
/// <param name="expectsNativeWithBound">See <see cref="NativeWithBoundException"/>.</param>
/// <param name="maxSteps">Evaluations of a subquery; 0 is no limit.</param>
sealed class OperatorFactory(bool isRange, bool isExplained, bool expectsNativeWithBound, long maxSteps, Evaluation evaluation)
{
    readonly Dictionary<(string Text, Scope Scope), SeriesOperator> _shared = [];

    public SeriesOperator Build(PlanNode node, Scope scope)
    {
        evaluation.ThrowIfOver();
        if (node is not AggregateNode)
        {
            return Measure(node, scope, Create(node, scope));
        }

        var key = (PlanText.Of(node), scope);
        if (!_shared.TryGetValue(key, out var shared))
        {
            _shared[key] = shared = Measure(node, scope, Create(node, scope));
        }

        return shared;
    }

    SeriesOperator Measure(PlanNode node, Scope scope, SeriesOperator created) =>
        isExplained ? new Measured(node, created, scope) : created;

    SeriesOperator Create(PlanNode node, Scope scope)
    {
        if (scope.Grid.Count == 0)
        {
            return new EmptyOperator(scope);
        }

        return node switch
        {
            ConstantNode constant => ScalarOperator.Constant(constant.Value, scope),
            SelectorNode { Smoothed: true } selector => new SmoothedSelector(selector, scope),
            SelectorNode selector => new InstantSelector(selector, scope),
            NegateNode { Inner.Type: ExprType.Scalar } negate =>
                new ScalarCombination(ScalarOperator.Constant(0, scope), Build(negate.Inner, scope), scope, static (_, value) => -value),
            NegateNode negate => new Negation(Build(negate.Inner, scope), scope),
            PlusNode plus => Build(plus.Inner, scope),
            StepInvariantNode invariant => Invariant(invariant, scope),
            AggregateNode aggregate => Aggregate(aggregate, scope),
            BinaryNode binary => Binary(binary, scope),
            CallNode call => Call(call, scope),
            _ => throw NotSupported(node.GetType().Name),
        };
    }

    StepInvariant Invariant(StepInvariantNode node, Scope scope) => new(
        Build(node.Inner, new Scope(StepGrid.Single(scope.Grid.Start), scope.TotalWeight * scope.Grid.Count)),
        scope);

    SeriesOperator Aggregate(AggregateNode node, Scope scope)
    {
        var name = node.Aggregation.ToString().ToLowerInvariant();
        var input = Build(node.Inner, scope);
        if (Accumulator.Factory(node.Aggregation) is { } newAccumulator)
        {
            return new StreamingAggregation(node, input, newAccumulator, scope);
        }

        return node.Aggregation switch
        {
            Aggregation.CountValues => new CountValues(node, input, Text(node.Parameter!), scope),
            Aggregation.Quantile => new QuantileAggregation(node, input, Build(node.Parameter!, scope), scope),
            Aggregation.LimitRatio => new LimitRatio(node, input, Build(node.Parameter!, scope), scope),
            Aggregation.TopK or Aggregation.BottomK or Aggregation.LimitK =>
                new TopAggregation(node, input, Build(node.Parameter!, scope), scope),
            _ => throw NotSupported($"aggregation {name}"),
        };
    }

    SeriesOperator Binary(BinaryNode node, Scope scope)
    {
        if (node.Operator == Operator.Or)
        {
            return Union(node, scope);
        }

        var (left, right) = (Build(node.Left, scope), Build(node.Right, scope));
        return (node.Left.Type, node.Right.Type) switch
        {
            (ExprType.Scalar, ExprType.Scalar) => new ScalarCombination(left, right, scope, SampleArithmetic.OfScalars(node.Operator)),
            (ExprType.Vector, ExprType.Scalar) => new VectorScalarBinary(node, left, right, scalarIsLeft: false, scope),
            (ExprType.Scalar, ExprType.Vector) => new VectorScalarBinary(node, right, left, scalarIsLeft: true, scope),
            _ => node.Operator switch
            {
                Operator.And or Operator.Unless => new SetFilter(node, left, right, scope),
                _ => new VectorBinary(node, left, right, scope),
            },
        };
    }

    /// <summary>A chain of <c>or</c> by the same labels.</summary>
    SetUnion Union(BinaryNode node, Scope scope)
    {
        var matching = node.Matching!;
        var inputs = new List<PlanNode>();
        PlanNode first = node;
        while (first is BinaryNode { Operator: Operator.Or, Matching: { } own } or
            && own.On == matching.On && own.Labels.SequenceEqual(matching.Labels))
        {
            inputs.Add(or.Right);
            first = or.Left;
        }

        inputs.Add(first);
        inputs.Reverse();
        return new SetUnion([.. inputs.Select(input => Build(input, scope))], matching, scope);
    }

    SeriesOperator Call(CallNode call, Scope scope)
    {
        var (function, arguments) = (call.Function.Id, call.Arguments);
        if (arguments.FirstOrDefault(a => a is RangeNode or SubqueryNode) is { } range)
        {
            return OverRange(call, range, scope);
        }

        return function switch
        {
            FunctionId.Absent => new Absence(Build(arguments[0], scope), Absence.MatchersOf(arguments[0]), dropsName: false, scope),
            FunctionId.HistogramFraction or FunctionId.HistogramQuantile or FunctionId.HistogramQuantiles => OverHistograms(call, scope),
            FunctionId.Info =>
                new InfoJoin(Build(arguments[0], scope), arguments[0], arguments.Count > 1 ? (SelectorNode)arguments[1] : null, scope),
            FunctionId.LabelJoin => Relabelling.Join(
                call.Function,
                Build(arguments[0], scope), Text(arguments[1]), Text(arguments[2]), [.. arguments.Skip(3).Select(Text)], scope),
            FunctionId.LabelReplace => Relabelling.Replace(
                call.Function,
                Build(arguments[0], scope), Text(arguments[1]), Text(arguments[2]), Text(arguments[3]), Text(arguments[4]), scope),
            FunctionId.MaxOf => new ScalarCombination(Build(arguments[0], scope), Build(arguments[1], scope), scope, GoMath.Max),
            FunctionId.MinOf => new ScalarCombination(Build(arguments[0], scope), Build(arguments[1], scope), scope, GoMath.Min),
            FunctionId.Pi => ScalarOperator.Constant(Math.PI, scope),
            FunctionId.Scalar => new OnlyElement(Build(arguments[0], scope), scope),
            FunctionId.Sort or FunctionId.SortDesc => new Sorting(
                Build(arguments[0], scope),
                Sorting.ByValue(function == FunctionId.SortDesc), dropsHistograms: true, call.Position, scope, IsRange(scope)),
            FunctionId.SortByLabel or FunctionId.SortByLabelDesc => new Sorting(
                Build(arguments[0], scope),
                Sorting.ByLabels([.. arguments.Skip(1).Select(Text)], function == FunctionId.SortByLabelDesc),
                dropsHistograms: false,
                call.Position,
                scope,
                IsRange(scope)),
            FunctionId.StartTimestamp or FunctionId.Timestamp => Timestamps(call, scope),
            FunctionId.Time => new ScalarOperator(scope, static (grid, step) => grid.Time(step) / 1000.0),
            FunctionId.Vector => new PassThrough(Build(arguments[0], scope), scope),
            _ => OverVector(call, scope),
        };
    }

    SeriesOperator OverVector(CallNode call, Scope scope)
    {
        var (function, arguments) = (call.Function.Id, call.Arguments);
        if (VectorFunctions.OfHistograms(function) is { } ofHistograms)
        {
            return new HistogramFunction(Build(arguments[0], scope), ofHistograms, scope);
        }

        var kernel = VectorFunctions.OfFloats(function) ?? throw NotSupported($"{call.Function.Name}()");
        if (arguments.Count == 0)
        {
            return new ScalarOperator(scope, (grid, step) => kernel(grid.Time(step) / 1000, []));
        }

        var scalars = arguments.Skip(1).Select(a => Build(a, scope)).ToArray();
        Func<double[], bool>? isEmpty = function == FunctionId.Clamp ? static bounds => bounds[1] < bounds[0] : null;
        return new FloatFunction(Build(arguments[0], scope), kernel, scalars, scope, isEmpty);
    }

    SeriesOperator OverRange(CallNode call, PlanNode range, Scope scope)
    {
        var function = call.Function;
        var kernel = RangeFunctions.Find(function.Id) ?? throw NotSupported($"{function.Name}() of a range");
        var arguments = call.Arguments.Where(a => a != range).Select(a => Build(a, scope)).ToArray();
        var position = new Position(PositionOf(call.Arguments[0]), call.Position.End);
        var result = new RangeFunction(function, kernel, Source(range, scope, function), arguments, position, scope);
        return function.Id == FunctionId.AbsentOverTime ? new Absence(result, Absence.MatchersOf(range), dropsName: true, scope) : result;
    }

    /// <summary>The position for annotations about an argument: as in Prometheus, that of a subquery is not known.</summary>
    static int PositionOf(PlanNode argument) => argument is SubqueryNode ? 0 : argument.Position.Start;

    /// <summary>The source of a range's windows.</summary>
    public WindowSource Source(PlanNode range, Scope scope, Function? function)
    {
        if (range is RangeNode selector)
        {
            return new SelectorSource(selector, scope.Grid, function);
        }

        var subquery = (SubqueryNode)range;
        return new SubquerySource(subquery, scope.Grid, Inner(subquery, scope, 0));
    }

    /// <summary>The operator of the expression in a subquery, at the subquery's own steps.</summary>
    public SeriesOperator Inner(SubqueryNode subquery, Scope scope, int totalWeight)
    {
        var grid = SubquerySource.InnerGrid(subquery, scope.Grid);
        if (maxSteps > 0 && grid.Count > maxSteps)
        {
            throw new Tsdb.Querying.LimitException(
                $"a subquery would be evaluated {grid.Count} times, more than {maxSteps} (--query.max-steps)");
        }

        return Build(subquery.Inner, new Scope(grid, totalWeight));
    }

    SeriesOperator Timestamps(CallNode call, Scope scope)
    {
        var starts = call.Function.Id == FunctionId.StartTimestamp;
        if (call.Arguments[0] is SelectorNode { Smoothed: false } selector && !(starts && !evaluation.StartTimestamps))
        {
            return new Nameless(
                new InstantSelector(selector with { AtFirstStep = false }, scope, starts ? SampleAspect.StartTime : SampleAspect.Time),
                scope);
        }

        return new StepTimes(Build(call.Arguments[0], scope), starts, scope);
    }

    HistogramVectorFunction OverHistograms(CallNode call, Scope scope)
    {
        var (function, arguments) = (call.Function.Id, call.Arguments);
        var vector = arguments.First(a => a.Type == ExprType.Vector);
        var scalars = arguments.Where(a => a.Type == ExprType.Scalar).ToArray();
        var operators = Array.ConvertAll(scalars, a => Build(a, scope));
        return new HistogramVectorFunction(
            Build(vector, scope),
            evaluation =>
            {
                var values = Array.ConvertAll(operators, o => Scalars.Values(o, evaluation));
                if (function == FunctionId.HistogramFraction)
                {
                    return new HistogramQuestions([new FractionQuestion(values[0], values[1])], null, [""]);
                }

                for (var i = 0; i < values.Length; i++)
                {
                    WarnOfQuantiles(values[i], new Position(scalars[i].Position.Start, call.Position.End), evaluation);
                }

                return function == FunctionId.HistogramQuantile
                    ? new HistogramQuestions([new QuantileQuestion(values[0])], null, [""])
                    : new HistogramQuestions(
                        [.. values.Select(v => new QuantileQuestion(v))], Text(arguments[1]), [.. values.Select(v => OpenMetricsFloat(v[0]))]);
            },
            operators,
            new Position(vector.Position.Start, call.Position.End),
            expectsNativeWithBound,
            scope);
    }

    static void WarnOfQuantiles(double[] quantiles, Position position, Evaluation evaluation)
    {
        var worker = evaluation.Rent();
        var site = new AnnotationSite(worker.Annotations, position.Start, position.End);
        foreach (var quantile in quantiles.Where(q => double.IsNaN(q) || q is < 0 or > 1).Distinct())
        {
            site.InvalidQuantile(quantile);
        }

        evaluation.Return(worker);
    }

    /// <summary>A float as OpenMetrics writes it: with a point where it would look like an integer.</summary>
    static string OpenMetricsFloat(double value)
    {
        var text = GoText.FloatG(value);
        return double.IsFinite(value) && text.AsSpan().IndexOfAny(".e") < 0 ? text + ".0" : text;
    }

    bool IsRange(Scope scope) => isRange && !scope.Grid.IsSingle;

    static string Text(PlanNode node) => ((TextNode)node).Value;

    static QueryException NotSupported(string what) => new($"{what} is not supported yet");

    /// <summary>An operator without series, for a grid without steps.</summary>
    sealed class EmptyOperator(Scope scope) : SeriesOperator(scope)
    {
        public override void Evaluate(int series, Column column, Worker worker)
        {
        }

        protected override Task OpenCoreAsync(Evaluation evaluation) => Task.CompletedTask;
    }
}
