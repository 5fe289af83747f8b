using System.Diagnostics;
using Observe.Query.Promql.Planning;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Query.Promql.Execution;

/// <summary>Measures another operator, to explain a query: passes its columns on and counts time, samples and bytes.</summary>
sealed class Measured(PlanNode node, SeriesOperator input, Scope scope) : SeriesOperator(scope)
{
    long _samples;
    long _ticks;
    long _bytes;

    public override long Cost => input.Cost;

    public override bool MayFail => input.MayFail;

    public override IEnumerable<SeriesOperator> Inputs => [input];

    public override void Evaluate(int series, Column column, Worker worker)
    {
        var started = Stopwatch.GetTimestamp();
        input.Evaluate(series, column, worker);
        Interlocked.Add(ref _ticks, Stopwatch.GetTimestamp() - started);
        Interlocked.Add(ref _samples, column.SampleCount());
    }

    /// <summary>The measurements; complete when the query is over.</summary>
    public ExplainedOperator Explain() => new(
        PlanText.Head(node),
        Grid.Count,
        Series.Length,
        Volatile.Read(ref _samples),
        Stopwatch.GetElapsedTime(0, Volatile.Read(ref _ticks)),
        Volatile.Read(ref _bytes),
        [.. SelectionsOf(input).Distinct().Select(selection => selection.Explain())],
        [.. Below(input).Select(measured => measured.Explain())]);

    protected override async Task OpenCoreAsync(Evaluation evaluation)
    {
        var (started, bytes) = (Stopwatch.GetTimestamp(), evaluation.Bytes);
        await input.OpenAsync(evaluation);
        Series = input.Series;
        _bytes = evaluation.Bytes - bytes;
        Interlocked.Add(ref _ticks, Stopwatch.GetTimestamp() - started);
    }

    static IEnumerable<SeriesSelection> SelectionsOf(SeriesOperator above) =>
        above.Selections.Concat(above.Inputs.Where(input => input is not Measured).SelectMany(SelectionsOf));

    static IEnumerable<Measured> Below(SeriesOperator above) =>
        above.Inputs.SelectMany(input => input is Measured measured ? [measured] : Below(input));
}

/// <summary>One operator of a query that was explained, with what it did, its inputs included.</summary>
/// <param name="Operation">What it computes; <c>once</c> is a part that does not depend on the step.</param>
/// <param name="Steps">How many evaluations of each series.</param>
/// <param name="Series">How many series it has; some may be empty.</param>
/// <param name="Samples">Samples that it gave, histograms weighed; what is asked for twice counts twice.</param>
/// <param name="Time">Opening (selecting series, aggregating) and evaluating; that of several cores added up.</param>
/// <param name="Bytes">Memory taken when it was opened.</param>
/// <param name="Reads">What it reads itself.</param>
public sealed record ExplainedOperator(
    string Operation,
    int Steps,
    int Series,
    long Samples,
    TimeSpan Time,
    long Bytes,
    IReadOnlyList<ExplainedSelection> Reads,
    IReadOnlyList<ExplainedOperator> Inputs);

/// <summary>What was read of series, and from which resolutions.</summary>
/// <param name="MaxResolutionMs">The coarsest resolution that was wanted where there are finer ones too; 0 is raw.</param>
/// <param name="Aggregate">What was taken of downsampled windows; Raw: their averages.</param>
/// <param name="NeedRaw">What needs raw samples among those who read the series, by name.</param>
/// <param name="Windows">The ranges that were answered from windows; all others were from raw samples.</param>
/// <param name="Replicas">Which replicas gave the samples; complete when the query is over. Series without replicas are left out.</param>
public sealed record ExplainedSelection(
    string Selector,
    long MaxResolutionMs,
    Aggregate Aggregate,
    IReadOnlyList<string> NeedRaw,
    IReadOnlyList<ServedRange> Windows,
    IReadOnlyList<ServedReplica> Replicas);
