using System.Text.RegularExpressions;
using Observe.Query.Promql.Execution.Selectors;
using Observe.Query.Promql.Parsing;
using Observe.Query.Promql.Planning;
using Observe.Tsdb.Model;

namespace Observe.Query.Promql.Execution.Calls;

/// <summary>
/// <c>info()</c>: series get the labels of the info series that have the same instance and job. Which those are may change from step to
/// step: of several, the one with the newest sample counts.
/// </summary>
sealed partial class InfoJoin(SeriesOperator input, PlanNode argument, SelectorNode? labelSelector, Scope scope)
    : UnaryOperator(input, scope)
{
    static readonly string[] s_identifying = ["instance", "job"];

    readonly LabelProjection _identity = new(s_identifying, keep: true);
    readonly Matcher[] _dataMatchers = [.. labelSelector?.Matchers.Where(m => m.Name != Labels.MetricName) ?? []];
    readonly Matcher[] _nameMatchers = NameMatchers(labelSelector);
    readonly Dictionary<(string Name, Labels Identity), int[]> _newest = [];
    readonly LabelNumbering _outputs = new();
    readonly List<Column> _columns = [];
    readonly List<SeriesIdentity> _identities = [];
    SeriesIdentity[] _info = [];
    string[] _infoNames = [];

    public override long Cost => Grid.Count;

    public override bool MayFail => false;

    public override void Evaluate(int series, Column column, Worker worker) => column.CopyFrom(_columns[series]);

    protected override async Task OpenCoreAsync(Evaluation evaluation)
    {
        await Input.OpenAsync(evaluation);
        var isInfo = Array.ConvertAll(Input.Series, s => Array.TrueForAll(_nameMatchers, m => m.Matches(s.MetricName)));
        if (InfoMatchers(isInfo) is { } matchers)
        {
            var (at, offset) = TimeOf(argument) ?? (null, 0);
            var selector = new InstantSelector(new SelectorNode(matchers, offset, at, false, false), Scope, SampleAspect.InfoTime);
            await selector.OpenAsync(evaluation);
            FindNewest(selector, evaluation);
        }

        SeriesBatches.ForEach(evaluation, Input, Grid, (series, column, worker) =>
        {
            if (isInfo[series])
            {
                CopyAll(series, column, worker);
            }
            else
            {
                Join(series, column, worker);
            }
        });
        Series = [.. _identities];
    }

    protected override void Open(Evaluation evaluation)
    {
    }

    /// <summary>The matchers on the names of info series; where none says which names are wanted, all names that end in _info.</summary>
    static Matcher[] NameMatchers(SelectorNode? selector)
    {
        var matchers = selector?.Matchers.Where(m => m.Name == Labels.MetricName).ToArray() ?? [];
        if (matchers.Length == 0)
        {
            return [new Matcher(Tsdb.Model.MatchType.Equal, Labels.MetricName, "target_info")];
        }

        return matchers.Any(m => m.Type is Tsdb.Model.MatchType.Equal or Tsdb.Model.MatchType.Regex)
            ? matchers
            : [new Matcher(Tsdb.Model.MatchType.Regex, Labels.MetricName, ".+_info"), .. matchers];
    }

    /// <summary>Offset and <c>@</c> of the info series' selector: those of the first selector in the argument.</summary>
    static (long? AtMs, long OffsetMs)? TimeOf(PlanNode node) => node switch
    {
        SelectorNode selector => (selector.AtMs, selector.OffsetMs),
        RangeNode range => TimeOf(range.Selector),
        SubqueryNode subquery => TimeOf(subquery.Inner) is { } inner && inner.AtMs is null
            ? (subquery.AtMs, inner.OffsetMs + subquery.OffsetMs)
            : TimeOf(subquery.Inner),
        StepInvariantNode invariant => TimeOf(invariant.Inner),
        NegateNode negate => TimeOf(negate.Inner),
        PlusNode plus => TimeOf(plus.Inner),
        CallNode call => call.Arguments.Select(TimeOf).FirstOrDefault(t => t is not null),
        AggregateNode aggregate => TimeOf(aggregate.Inner) ?? (aggregate.Parameter is null ? null : TimeOf(aggregate.Parameter)),
        BinaryNode binary => TimeOf(binary.Left) ?? TimeOf(binary.Right),
        _ => null,
    };

    /// <summary>Matchers for the info series that any of the series can be joined with; null where there are none.</summary>
    List<Matcher>? InfoMatchers(bool[] isInfo)
    {
        var matchers = new List<Matcher>();
        foreach (var name in s_identifying)
        {
            var values = Input.Series.Where((_, i) => !isInfo[i]).Select(s => s.Labels.Get(name)).Where(v => v.Length > 0)
                .Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).Select(Quoted).ToArray();
            if (values.Length > 0)
            {
                matchers.Add(new Matcher(Tsdb.Model.MatchType.Regex, name, string.Join('|', values)));
            }
        }

        return matchers.Count == 0 ? null : [.. matchers, .. _dataMatchers, .. _nameMatchers];
    }

    void FindNewest(InstantSelector selector, Evaluation evaluation)
    {
        _info = selector.Series;
        var times = new Dictionary<(string, Labels), double[]>();
        SeriesBatches.ForEach(evaluation, selector, Grid, (series, column, _) =>
        {
            var key = (_info[series].MetricName, _identity.Project(_info[series].Labels));
            if (!_newest.TryGetValue(key, out var newest))
            {
                evaluation.AddBytes(12L * Grid.Count);
                _newest[key] = newest = new int[Grid.Count];
                Array.Fill(newest, -1);
                times[key] = new double[Grid.Count];
            }

            var known = times[key];
            for (var step = 0; step < column.Steps; step++)
            {
                if (column.Presence[step] == Presence.Absent)
                {
                    continue;
                }

                var time = column.Values[step];
                if (newest[step] >= 0 && known[step] == time)
                {
                    throw new QueryException(
                        $"found duplicate series for info metric: existing {_info[newest[step]].Labels} @ {(long)time}, new {_info[series].Labels} @ {(long)time}");
                }

                if (newest[step] < 0 || time > known[step])
                {
                    (newest[step], known[step]) = (series, time);
                }
            }
        });
        _infoNames = [.. _newest.Keys.Select(k => k.Name).Distinct(StringComparer.Ordinal)];
    }

    void CopyAll(int series, Column column, Worker worker)
    {
        var output = Output(Input.Series[series], worker);
        for (var step = 0; step < column.Steps; step++)
        {
            Put(output, step, column);
        }
    }

    void Join(int series, Column column, Worker worker)
    {
        var identity = Input.Series[series];
        var own = _identity.Project(identity.Labels);
        var newest = Array.ConvertAll(_infoNames, name => _newest.GetValueOrDefault((name, own)));
        var known = new Dictionary<string, Column?>(StringComparer.Ordinal);
        var current = new int[newest.Length];
        int[]? last = null;
        Column? output = null;
        for (var step = 0; step < column.Steps; step++)
        {
            if (column.Presence[step] == Presence.Absent)
            {
                continue;
            }

            for (var i = 0; i < newest.Length; i++)
            {
                current[i] = newest[i] is { } atStep ? atStep[step] : -1;
            }

            if (last is null || !current.AsSpan().SequenceEqual(last))
            {
                last = [.. current];
                var key = string.Join(',', current);
                if (!known.TryGetValue(key, out output))
                {
                    known[key] = output = Joined(identity, current) is { } labels
                        ? Output(identity with { Labels = labels }, worker)
                        : null;
                }
            }

            if (output is not null)
            {
                Put(output, step, column);
            }
        }
    }

    /// <summary>
    /// The labels of a series joined with info series (-1: none of that name); null where the series has to match an info series and does
    /// not.
    /// </summary>
    Labels? Joined(SeriesIdentity identity, int[] info)
    {
        if (Array.TrueForAll(info, i => i < 0))
        {
            return Array.TrueForAll(_dataMatchers, m => m.MatchesEmpty) ? identity.Labels : null;
        }

        var builder = new LabelsBuilder(identity.Labels);
        var added = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var i in info.Where(i => i >= 0))
        {
            foreach (var label in _info[i].Labels)
            {
                var (name, value) = (label.NameText, label.ValueText);
                if (name == Labels.MetricName || (_dataMatchers.Length > 0 && !Array.Exists(_dataMatchers, m => m.Name == name)))
                {
                    continue;
                }

                if (added.TryGetValue(name, out var other) && other != value)
                {
                    throw new QueryException($"conflicting label: {name}");
                }

                if (!identity.Labels.Has(name))
                {
                    added[name] = value;
                    builder.Set(name, value);
                }
            }
        }

        return builder.Build();
    }

    Column Output(SeriesIdentity identity, Worker worker)
    {
        var number = _outputs.Number(identity.Labels);
        if (number == _columns.Count)
        {
            _columns.Add(worker.RentColumn(Grid.Count));
            _identities.Add(identity);
        }

        return _columns[number];
    }

    static void Put(Column output, int step, Column column)
    {
        if (column.Presence[step] != Presence.Absent && output.Presence[step] != Presence.Absent)
        {
            OutputMerge.ThrowSameLabels();
        }

        output.CopyStep(step, column);
    }

    static string Quoted(string value) => Special().Replace(value, @"\$0");

    [GeneratedRegex(@"[\\.+*?()|\[\]{}^$]")]
    private static partial Regex Special();
}
