using System.Text;
using Observe.Query.Promql.Execution;
using Observe.Query.Promql.Execution.Calls;
using Observe.Query.Promql.Parsing;
using Observe.Query.Promql.Planning;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Observe.Tsdb.Threading;

namespace Observe.Query.Promql;

/// <summary>
/// Evaluates PromQL over any querier. Thread-safe; a process has one engine, since the engine limits how many queries run at once.
/// </summary>
public sealed class PromqlEngine : IDisposable
{
    /// <summary>A query of at most so many characters has few operators, so that it stops soon after it is cancelled.</summary>
    const int SmallText = 300;

    /// <summary>Seven weeks: timers know no longer time, and no query takes it.</summary>
    const long LongestTimeoutMs = uint.MaxValue - 1;

    readonly SemaphoreSlim _gate;
    readonly SemaphoreSlim _searchGate;
    readonly ParserOptions _parserOptions;
    readonly Budget _memory;
    readonly QueryBuffers _buffers = new();
    readonly ComputeThreads _threads;

    public PromqlEngine(EngineOptions options)
    {
        Options = options;
        var (queries, searches) = options.MaxConcurrency > 0 ? (options.MaxConcurrency, options.MaxSearches) : (int.MaxValue, int.MaxValue);
        (_gate, _searchGate) = (new SemaphoreSlim(queries), new SemaphoreSlim(searches));
        _memory = new Budget(
            options.MaxTotalBytes,
            gate => $"queries that run now hold {gate.Taken} bytes and may hold {gate.Limit} together (--query.max-total-bytes)");
        _threads = options.Threads
            ?? ComputeThreads.ForQueries((int)Math.Min(int.MaxValue, (long)queries + searches + Environment.ProcessorCount));
        _parserOptions = new ParserOptions
        {
            ExperimentalFunctions = options.ExperimentalFunctions,
            DurationExpressions = options.DurationExpressions,
            ExtendedRangeSelectors = options.ExtendedRangeSelectors,
            FillModifiers = options.FillModifiers,
        };
    }

    public EngineOptions Options { get; }

    /// <summary>A query that begins now: its time runs from here on, and its budgets are what the options allow.</summary>
    /// <param name="timeoutMs">Shortens <see cref="EngineOptions.TimeoutMs"/>; never lengthens it.</param>
    /// <param name="enforced">Matchers that are added to every selection, whatever the query says.</param>
    public QueryContext Begin(long? timeoutMs, IReadOnlyList<Matcher> enforced, CancellationToken cancellationToken)
    {
        var limit = Math.Min(timeoutMs ?? long.MaxValue, Options.TimeoutMs > 0 ? Options.TimeoutMs : long.MaxValue);
        return new QueryContext(cancellationToken)
        {
            Deadline = limit > LongestTimeoutMs ? Deadline.None : Deadline.After(
                TimeSpan.FromMilliseconds(limit), Options.Clock, limit == Options.TimeoutMs ? "--query.timeout" : "the request's timeout"),
            EnforcedMatchers = enforced,
            Bytes = new Budget(
                Options.MaxBytes, own =>
                $"query would hold more than {own.Limit} bytes of intermediate results (--query.max-bytes)", _memory),
            Series = new Budget(Options.MaxSeries, own => $"query would touch more than {own.Limit} series (--query.max-series)"),
            Samples = new Budget(
                Options.MaxSamples,
                own => $"query processing would load too many samples into memory in query execution: more than {own.Limit} (--query.max-samples)"),
        };
    }

    /// <summary>Evaluates at one time.</summary>
    /// <param name="context">From <see cref="Begin"/>; used for nothing else.</param>
    /// <exception cref="ParseException">The text is no PromQL (<c>bad_data</c>).</exception>
    /// <exception cref="QueryException">It can't be evaluated (<c>execution</c>).</exception>
    /// <exception cref="LimitException">It needs more than a limit allows; names limit and flag.</exception>
    /// <exception cref="QueryTimeoutException">It took too long.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public Task<QueryResult> InstantAsync(IQuerier querier, InstantQuery query, QueryContext context)
    {
        var run = new Run(querier, query.Text, new QueryTimes(query.TimeMs, query.TimeMs, 0), StepGrid.Single(query.TimeMs), false)
        {
            LookbackMs = query.LookbackMs ?? Options.LookbackMs,
            MaxResolutionMs = query.MaxResolutionMs,
            PerStepStatistics = query.PerStepStatistics,
            IsExplained = query.Explain,
        };
        return EvaluateAsync(run, context);
    }

    /// <summary>
    /// Evaluates at each step from start to end; the result is a matrix. Exceptions as <see cref="InstantAsync(IQuerier, InstantQuery,
    /// QueryContext)"/>.
    /// </summary>
    public Task<QueryResult> RangeAsync(IQuerier querier, RangeQuery query, QueryContext context)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(query.StepMs);
        var steps = query.EndMs < query.StartMs ? 0 : (((Int128)query.EndMs - query.StartMs) / query.StepMs) + 1;
        if (Options.MaxSteps > 0 && steps > Options.MaxSteps)
        {
            throw new LimitException($"query would be evaluated {steps} times, more than {Options.MaxSteps} (--query.max-steps)");
        }

        var run = new Run(
            querier,
            query.Text,
            new QueryTimes(query.StartMs, query.EndMs, query.StepMs),
            new StepGrid(query.StartMs, query.StepMs, (int)steps),
            true)
        {
            LookbackMs = query.LookbackMs ?? Options.LookbackMs,
            MaxResolutionMs = query.MaxResolutionMs,
            PerStepStatistics = query.PerStepStatistics,
            IsExplained = query.Explain,
        };
        return EvaluateAsync(run, context);
    }

    /// <summary>As <see cref="InstantAsync(IQuerier, InstantQuery, QueryContext)"/>, for a query that begins and ends here.</summary>
    public Task<QueryResult> InstantAsync(IQuerier querier, InstantQuery query, CancellationToken cancellationToken) =>
        InstantAsync(querier, query, Begin(null, [], cancellationToken));

    /// <summary>As <see cref="RangeAsync(IQuerier, RangeQuery, QueryContext)"/>, for a query that begins and ends here.</summary>
    public Task<QueryResult> RangeAsync(IQuerier querier, RangeQuery query, CancellationToken cancellationToken) =>
        RangeAsync(querier, query, Begin(null, [], cancellationToken));

    public void Dispose()
    {
        _gate.Dispose();
        _searchGate.Dispose();
        if (Options.Threads is null)
        {
            _threads.Dispose();
        }
    }

    /// <summary>
    /// Runs a read of series that evaluates nothing, such as a search for labels, on the threads of queries and within their time and
    /// budgets. Such reads have a gate of their own (<see cref="EngineOptions.MaxSearches"/>): a user who types a query does not wait for
    /// long queries.
    /// </summary>
    /// <param name="read">Receives the query with a token that is also cancelled when the query's time is up.</param>
    /// <param name="mayRunInline">It may begin on the thread that asks, since it yields where it is not small.</param>
    /// <exception cref="QueryTimeoutException">It took too long.</exception>
    public Task<T> ReadAsync<T>(QueryContext context, Func<QueryContext, Task<T>> read, bool mayRunInline) =>
        RunInGateAsync(context, _searchGate, "reading series", mayRunInline, (_, turn) => read(turn));

    async Task<QueryResult> EvaluateAsync(Run run, QueryContext context)
    {
        var started = Options.Clock.GetTimestamp();
        var statistics = new QueryStatistics();
        var result = await RunInGateAsync(
            context,
            _gate,
            "expression evaluation",
            run.Text.Length <= SmallText,
            (queued, turn) =>
            {
                statistics.ExecQueueTime = queued;
                return EvaluateOnceOrTwiceAsync(run, statistics, turn);
            });
        statistics.ExecTotalTime = Options.Clock.GetElapsedTime(started);
        return result;
    }

    /// <summary>
    /// Runs a function when the gate has a slot for it, and throws when the query's time is up, even if the function goes on for a moment.
    /// </summary>
    /// <param name="run">
    /// Receives how long the query waited for the gate, and the query with a token that is also cancelled when its time is up.
    /// </param>
    async Task<T> RunInGateAsync<T>(
        QueryContext context, SemaphoreSlim gate, string what, bool isSmall, Func<TimeSpan, QueryContext, Task<T>> run)
    {
        var clock = Options.Clock;
        var started = clock.GetTimestamp();
        var (deadline, cancellationToken) = (context.Deadline, context.CancellationToken);
        var where = "query queue";
        using var timeout = new CancellationTokenSource(deadline.TimeLeft ?? Timeout.InfiniteTimeSpan, deadline.Clock);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellationToken);
        try
        {
            var slot = await QuerySlot.TakeAsync(gate, either.Token);
            where = what;
            var queued = clock.GetElapsedTime(started);
            var turn = context.Within(slot, either.Token);
            var running = RunAndEndAsync(slot, () => run(queued, turn), isSmall);
            try
            {
                return await running.WaitAsync(either.Token);
            }
            catch
            {
                // The caller gets its error at once, and does not wait until hundreds of operators have seen the cancellation.
                _ = DisposeResultAsync(running);
                throw;
            }
        }
        catch (OutOfMemoryException)
        {
            throw new LimitException(
                $"query needs more memory than the process has left; one may hold {Options.MaxBytes} bytes (--query.max-bytes), all together {Options.MaxTotalBytes} (--query.max-total-bytes)");
        }
        catch (OperationCanceledException e) when (
            !cancellationToken.IsCancellationRequested && (e is DeadlineException || timeout.IsCancellationRequested || deadline.IsOver))
        {
            throw new QueryTimeoutException($"query timed out in {where} after {Duration.Format(deadline.Timeout)} ({deadline.Source})");
        }
    }

    /// <summary>Runs a query, whose slot is free when the query is really over.</summary>
    async Task<T> RunAndEndAsync<T>(QuerySlot slot, Func<Task<T>> query, bool isSmall)
    {
        try
        {
            return await _threads.RunAsync(query, isSmall);
        }
        finally
        {
            slot.End();
        }
    }

    static async Task DisposeResultAsync<T>(Task<T> running)
    {
        await ((Task)running).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (running.IsCompletedSuccessfully)
        {
            (await running as IDisposable)?.Dispose();
        }
    }

    async Task<QueryResult> EvaluateOnceOrTwiceAsync(Run run, QueryStatistics statistics, QueryContext context)
    {
        try
        {
            return await EvaluateAsync(run, statistics, context);
        }
        catch (NativeWithBoundException)
        {
            return await EvaluateAsync(run with { ExpectsNativeWithBound = true }, statistics, context);
        }
    }

    async Task<QueryResult> EvaluateAsync(Run run, QueryStatistics statistics, QueryContext context)
    {
        var started = Options.Clock.GetTimestamp();
        var plan = Plan(run, context.CancellationToken);
        statistics.QueryPreparationTime = Options.Clock.GetElapsedTime(started);

        await using var evaluation = new Evaluation(run.Querier, _buffers, context)
        {
            LookbackMs = run.LookbackMs,
            DelayedNameRemoval = Options.DelayedNameRemoval,
            TypeAndUnitLabels = Options.TypeAndUnitLabels,
            StartTimestamps = Options.StartTimestamps,
            IsExplained = run.IsExplained,
            StatisticsSteps = run.PerStepStatistics ? run.Grid.Count : 0,
        };
        evaluation.ThrowIfOver();
        var series = plan is TextNode ? [] : await SeriesAsync(plan, run, evaluation);
        statistics.InnerEvalTime = Options.Clock.GetElapsedTime(started) - statistics.QueryPreparationTime;
        var type = run.IsRange ? ResultType.Matrix : plan.Type switch
        {
            ExprType.Scalar => ResultType.Scalar,
            ExprType.String => ResultType.String,
            ExprType.Vector => ResultType.Vector,
            _ => ResultType.Matrix,
        };
        if (type == ResultType.Matrix)
        {
            var sorting = Options.Clock.GetTimestamp();
            series.Sort(static (a, b) => a.Labels.CompareTo(b.Labels));
            statistics.ResultSortTime = Options.Clock.GetElapsedTime(sorting);
        }

        Count(evaluation, run, statistics);
        statistics.EvalTotalTime = Options.Clock.GetElapsedTime(started);
        var (warnings, infos) = evaluation.MergedAnnotations().Format(run.Text);
        return new QueryResult
        {
            Type = type,
            TimeMs = run.Grid.Start,
            Series = type is ResultType.Vector or ResultType.Matrix ? series : [],
            Scalar = type == ResultType.Scalar ? series[0].Values.Span[0] : 0,
            Text = (plan as TextNode)?.Value ?? "",
            Coverage = context.Coverage,
            Warnings = [.. context.Coverage.Warnings(), .. evaluation.WarningsOfWindows(), .. warnings],
            Infos = [.. context.Coverage.Infos(), .. infos],
            Statistics = statistics,
            Explanation = run.Top?.Explain(),
            Memory = evaluation.DetachResultBytes(),
        };
    }

    PlanNode Plan(Run run, CancellationToken cancellationToken)
    {
        if (Options.MaxQueryLength > 0 && Encoding.UTF8.GetByteCount(run.Text) > Options.MaxQueryLength)
        {
            throw new LimitException($"query is longer than {Options.MaxQueryLength} bytes (--query.max-query-length)");
        }

        var expression = PromqlParser.Parse(run.Text, _parserOptions, cancellationToken);
        if (run.IsRange && expression.Type is not (ExprType.Scalar or ExprType.Vector))
        {
            var type = expression.Type == ExprType.Matrix ? "range vector" : "string";
            throw new QueryException(
                $"invalid expression type \"{type}\" for range query, must be Scalar or instant Vector")
            { IsBadData = true };
        }

        return QueryPlanner.Plan(expression, run.Times, Options.DefaultSubqueryStepMs, run.MaxResolutionMs);
    }

    Task<List<ResultSeries>> SeriesAsync(PlanNode plan, Run run, Evaluation evaluation)
    {
        var factory = new OperatorFactory(run.IsRange, run.IsExplained, run.ExpectsNativeWithBound, Options.MaxSteps, evaluation);
        var scope = new Scope(run.Grid, 1);
        if (plan is RangeNode or SubqueryNode)
        {
            return ResultAssembly.RangeAsync(plan, factory, scope, evaluation);
        }

        var top = factory.Build(plan, scope);
        run.Top = top as Measured;
        return ResultAssembly.SeriesAsync(top, evaluation);
    }

    static void Count(Evaluation evaluation, Run run, QueryStatistics statistics)
    {
        statistics.TotalSamples = evaluation.Workers.Sum(w => w.TotalSamples);
        statistics.SamplesRead = evaluation.Workers.Sum(w => w.SamplesRead);
        statistics.PeakSamples = evaluation.PeakSamples;
        if (run.PerStepStatistics)
        {
            var perStep = new (long, long)[run.Grid.Count];
            for (var step = 0; step < perStep.Length; step++)
            {
                perStep[step] = (run.Grid.Time(step), evaluation.Workers.Sum(w => w.SamplesAtStep![step]));
            }

            statistics.SamplesPerStep = perStep;
        }
    }

    /// <summary>One query, instant or range.</summary>
    sealed record Run(IQuerier Querier, string Text, QueryTimes Times, StepGrid Grid, bool IsRange)
    {
        public required long LookbackMs { get; init; }

        public required long? MaxResolutionMs { get; init; }

        public required bool PerStepStatistics { get; init; }

        public required bool IsExplained { get; init; }

        public bool ExpectsNativeWithBound { get; init; }

        /// <summary>The top of the operators; set when they are made, where the query is explained.</summary>
        public Measured? Top { get; set; }
    }
}
