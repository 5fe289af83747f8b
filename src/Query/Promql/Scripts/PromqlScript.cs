using System.Text.RegularExpressions;
using Observe.Query.Promql.Parsing;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Query.Promql.Scripts;

/// <summary>
/// Opens a querier over a script's series: called with all series that are loaded, before the first evaluation after a change. A querier
/// that is disposable is disposed before the next one is opened.
/// </summary>
public delegate Task<IQuerier> OpenScriptStorage(IReadOnlyList<ScriptSeries> series, CancellationToken cancellationToken);

/// <param name="Line">Of the <c>eval</c> command, from 1.</param>
/// <param name="Failure">The reason why the evaluation failed; null when it passed.</param>
public sealed record EvaluationResult(int Line, string Query, string? Failure)
{
    public bool Passed => Failure is null;
}

/// <summary>A script in the promqltest language: it loads series, evaluates queries and states their results.</summary>
/// <remarks>The language is specified upstream in promql/promqltest/README.md. Each instant evaluation is also run as a range query, and
/// with its time as <c>@</c> in all selectors at other times, as upstream's runner does.</remarks>
public sealed partial class PromqlScript
{
    readonly List<ScriptCommand> _commands;

    PromqlScript(List<ScriptCommand> commands) => _commands = commands;

    /// <summary>The options that scripts assume: Prometheus's features and its test engine's limits.</summary>
    public static EngineOptions EngineOptions { get; } =
        new EngineOptions().WithAllFeatures() with { StartTimestamps = true, MaxSamples = 10_000, TimeoutMs = 100_000 };

    static ParserOptions ParserOptions => ParserOptions.Everything;

    public int Evaluations => _commands.Count(c => c is EvalCommand);

    /// <exception cref="ScriptException">The first line that can't be read.</exception>
    public static PromqlScript Parse(string text) => new(new ScriptReader(text).Read());

    /// <summary>Runs all commands; a failed evaluation does not stop it.</summary>
    /// <param name="open">Null: the series are kept in memory.</param>
    /// <exception cref="ScriptException">Data that can't be loaded.</exception>
    public async Task<IReadOnlyList<EvaluationResult>> RunAsync(
        PromqlEngine engine, OpenScriptStorage? open, CancellationToken cancellationToken)
    {
        open ??= (series, _) => Task.FromResult<IQuerier>(new ScriptStorage(series));
        var results = new List<EvaluationResult>();
        var loaded = new Dictionary<Labels, SortedDictionary<long, ScriptSample>>();
        IQuerier? querier = null;
        try
        {
            foreach (var command in _commands)
            {
                if (command is EvalCommand eval)
                {
                    querier ??= await open([.. loaded.Select(s => new ScriptSeries(s.Key, [.. s.Value.Values]))], cancellationToken);
                    results.Add(new EvaluationResult(eval.Line, eval.Query, await EvaluateAsync(engine, querier, eval, cancellationToken)));
                    continue;
                }

                await DisposeAsync(querier);
                querier = null;
                if (command is LoadCommand load)
                {
                    Add(loaded, load);
                }
                else
                {
                    loaded.Clear();
                }
            }
        }
        finally
        {
            await DisposeAsync(querier);
        }

        return results;
    }

    static void Add(Dictionary<Labels, SortedDictionary<long, ScriptSample>> loaded, LoadCommand load)
    {
        foreach (var series in load.Series)
        {
            if (series.Samples.Count == 0)
            {
                continue;
            }

            loaded.TryAdd(series.Labels, []);
            foreach (var sample in series.Samples)
            {
                if (!loaded[series.Labels].TryAdd(sample.Timestamp, sample) && loaded[series.Labels][sample.Timestamp] != sample)
                {
                    throw new ScriptException(load.Line, $"{series.Labels} has another sample at {sample.Timestamp} already");
                }
            }
        }
    }

    static async ValueTask DisposeAsync(IQuerier? querier)
    {
        switch (querier)
        {
            case IAsyncDisposable disposable:
                await disposable.DisposeAsync();
                break;
            case IDisposable disposable:
                disposable.Dispose();
                break;
        }
    }

    static async Task<string?> EvaluateAsync(
        PromqlEngine engine, IQuerier querier, EvalCommand command, CancellationToken cancellationToken)
    {
        if (command.IsRange)
        {
            return await CheckRangeAsync(engine, querier, command, cancellationToken);
        }

        List<(string Query, long TimeMs)> variants = [(command.Query, command.TimeMs)];
        try
        {
            variants.AddRange(AtVariants.Of(PromqlParser.Parse(command.Query, ParserOptions, cancellationToken), command.TimeMs));
        }
        catch (ParseException)
        {
            // A query that can't be parsed is run as it is, since the script may expect it to fail.
        }

        foreach (var (query, time) in variants)
        {
            if (await CheckInstantAsync(engine, querier, command, query, time, cancellationToken) is { } fault)
            {
                return query == command.Query ? fault : $"{fault} (of {query} at {time})";
            }
        }

        return null;
    }

    static async Task<string?> CheckRangeAsync(
        PromqlEngine engine, IQuerier querier, EvalCommand command, CancellationToken cancellationToken)
    {
        var query = new RangeQuery(command.Query, command.StartMs, command.EndMs, command.StepMs);
        var (result, failure) = await TryAsync(() => engine.RangeAsync(querier, query, cancellationToken));
        using var held = result;
        return CheckFailure(command, failure) is { Decided: true } decided
            ? decided.Fault
            : CheckAnnotations(command, result!) ?? ResultComparison.Compare(command, result!);
    }

    static async Task<string?> CheckInstantAsync(
        PromqlEngine engine, IQuerier querier, EvalCommand command, string query, long time, CancellationToken cancellationToken)
    {
        var (result, failure) = await TryAsync(() => engine.InstantAsync(querier, new InstantQuery(query, time), cancellationToken));
        using var held = result;
        if (CheckFailure(command, failure) is { Decided: true } decided)
        {
            return decided.Fault;
        }

        if ((CheckAnnotations(command, result!) ?? ResultComparison.Compare(command, result!)) is { } fault)
        {
            return fault;
        }

        if (command.InstantOnly || QueryContext().IsMatch(query))
        {
            return null;
        }

        var range = new RangeQuery(query, time - 60_000, time + 60_000, 60_000);
        (var matrix, failure) = await TryAsync(() => engine.RangeAsync(querier, range, cancellationToken));
        using var heldMatrix = matrix;
        if (failure is not null)
        {
            return $"as a range query: {failure}";
        }

        return CompareMiddle(command, result!, matrix!, time) is { } middle ? $"as a range query: {middle}" : null;
    }

    static string? CompareMiddle(EvalCommand command, QueryResult instant, QueryResult range, long time)
    {
        if (command.Expects(ExpectationKind.Ordered))
        {
            return null;
        }

        if (ResultComparison.Unsorted(range.Series) is { } unsorted)
        {
            return unsorted;
        }

        var vector = new List<(Labels, double, Histogram?)>();
        foreach (var series in range.Series)
        {
            if (series.Timestamps.Span.IndexOf(time) is >= 0 and var at)
            {
                vector.Add((series.Labels, series.Values.Span[at], null));
            }

            if (series.HistogramTimestamps.Span.IndexOf(time) is >= 0 and var histogramAt)
            {
                vector.Add((series.Labels, 0, series.Histograms.Span[histogramAt]));
            }
        }

        return instant.Type != ResultType.Scalar ? ResultComparison.CompareVector(command, vector)
            : vector.Count == 0 ? "no value"
            : ResultComparison.CompareScalar(command, vector[0].Item2);
    }

    static async Task<(QueryResult? Result, string? Failure)> TryAsync(Func<Task<QueryResult>> evaluate)
    {
        try
        {
            return (await evaluate(), null);
        }
        catch (Exception e) when (e is ParseException or QueryException or LimitException or QueryTimeoutException)
        {
            return (null, e.Message);
        }
    }

    /// <summary>
    /// Whether the evaluation is decided because its query failed or was expected to fail, and its fault then; null when it passed.
    /// </summary>
    static (bool Decided, string? Fault) CheckFailure(EvalCommand command, string? failure)
    {
        var expected = command.Expectations.Find(e => e.Kind == ExpectationKind.Fail);
        return (expected, failure) switch
        {
            (null, null) => (false, null),
            (null, _) => (true, $"failed: {failure}"),
            (_, null) => (true, "expected an error, got none"),
            _ => (true, expected.Accepts(failure) ? null : $"expected an error matching {expected}, got: {failure}"),
        };
    }

    static string? CheckAnnotations(EvalCommand command, QueryResult result) =>
        CheckAnnotations(command, ExpectationKind.Warn, ExpectationKind.NoWarn, "warning", result.Warnings)
        ?? CheckAnnotations(command, ExpectationKind.Info, ExpectationKind.NoInfo, "info", result.Infos);

    static string? CheckAnnotations(
        EvalCommand command, ExpectationKind some, ExpectationKind none, string name, IReadOnlyList<string> annotations)
    {
        var expected = command.Expectations.FindAll(e => e.Kind == some);
        if (expected.Find(e => !annotations.Any(e.Accepts)) is { } missing)
        {
            return $"expected {name} matching {missing}, found: {(annotations.Count == 0 ? "none" : string.Join("; ", annotations))}";
        }

        var unexpected = annotations.FirstOrDefault(
            a => command.Expects(none) || (expected.Count > 0 && !expected.Exists(e => e.Accepts(a))));
        return unexpected is null ? null : $"unexpected {name}: {unexpected}";
    }

    /// <summary>Calls whose value differs between an instant and a range query.</summary>
    [GeneratedRegex(@"(start|end|range|step)\(\)")]
    private static partial Regex QueryContext();
}

/// <summary>Runs files of scripts and reports, as <c>observe promql test</c> does.</summary>
public static class PromqlScripts
{
    /// <summary>
    /// Writes <c>FILE: N of M</c> for each file and at last <c>N of M evaluations pass</c>; true when all pass and all files can be read.
    /// </summary>
    /// <param name="open">Null: series are kept in memory.</param>
    /// <param name="listFailures">Also write each failed evaluation with its line and reason.</param>
    public static async Task<bool> RunFilesAsync(
        IReadOnlyList<string> files, PromqlEngine engine, OpenScriptStorage? open, TextWriter output, bool listFailures,
        CancellationToken cancellationToken)
    {
        var (passed, total, readable) = (0, 0, true);
        foreach (var file in files)
        {
            try
            {
                var script = PromqlScript.Parse(await File.ReadAllTextAsync(file, cancellationToken));
                var results = await script.RunAsync(engine, open, cancellationToken);
                await output.WriteLineAsync($"{file}: {results.Count(r => r.Passed)} of {results.Count}");
                passed += results.Count(r => r.Passed);
                total += results.Count;
                foreach (var failed in listFailures ? results.Where(r => !r.Passed) : [])
                {
                    await output.WriteLineAsync($"  line {failed.Line}: {failed.Query}\n    {failed.Failure}");
                }
            }
            catch (Exception e) when (e is ScriptException or IOException or UnauthorizedAccessException)
            {
                readable = false;
                await output.WriteLineAsync($"{file}: {e.Message}");
            }
        }

        await output.WriteLineAsync($"{passed} of {total} evaluations pass");
        return readable && passed == total;
    }
}
