using Observe.Query.Promql.Planning;
using Observe.Tsdb.Model;

namespace Observe.Query.Promql.Execution.Calls;

/// <summary><c>absent</c> and <c>absent_over_time</c>: 1 at the steps at which no series of the input has a sample.</summary>
sealed class Absence(SeriesOperator input, IReadOnlyList<Matcher> matchers, bool dropsName, Scope scope) : UnaryOperator(input, scope)
{
    bool[] _present = [];

    /// <summary>The matchers from which the result takes its labels: those of a selector.</summary>
    public static IReadOnlyList<Matcher> MatchersOf(PlanNode argument) => argument switch
    {
        SelectorNode selector => selector.Matchers,
        RangeNode range => range.Selector.Matchers,
        _ => [],
    };

    public override bool MayFail => false;

    public override void Evaluate(int series, Column column, Worker worker)
    {
        for (var step = 0; step < _present.Length; step++)
        {
            if (!_present[step])
            {
                column.Set(step, 1);
            }
        }
    }

    protected override void Open(Evaluation evaluation)
    {
        var worker = evaluation.Rent();
        var held = evaluation.SamplesHeld;
        _present = SeriesPresence.Any(Input, worker);
        evaluation.Return(worker);
        FindErrors(Input, Enumerable.Range(0, Input.Series.Length), evaluation);
        evaluation.HoldSamples(held - evaluation.SamplesHeld);
        Series = Array.TrueForAll(_present, p => p) ? [] : [new SeriesIdentity(LabelsOf(matchers), dropsName)];
    }

    /// <summary>The labels that are matched for equality; a label that is matched twice is left out.</summary>
    static Labels LabelsOf(IReadOnlyList<Matcher> matchers)
    {
        var builder = new LabelsBuilder();
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (var matcher in matchers)
        {
            if (matcher.Name == Labels.MetricName)
            {
                continue;
            }

            if (matcher.Type == Tsdb.Model.MatchType.Equal && seen.Add(matcher.Name))
            {
                builder.Set(matcher.Name, matcher.Value);
            }
            else
            {
                builder.Delete(matcher.Name);
            }
        }

        return builder.Build();
    }
}
