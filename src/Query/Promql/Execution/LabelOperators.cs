using Observe.Store.Model;

namespace Observe.Query.Promql.Execution;

/// <summary><c>label_replace</c> and <c>label_join</c>: other labels, the same samples.</summary>
sealed class Relabelling(SeriesOperator input, string target, Func<Labels, string?> value, Scope scope) : MappingOperator(input, scope)
{
    public static Relabelling Replace(SeriesOperator input, string target, string replacement, string source, string pattern, Scope scope)
    {
        LabelRegex regex;
        try
        {
            regex = new LabelRegex(pattern);
        }
        catch (FormatException)
        {
            throw new QueryException($"invalid regular expression in label_replace(): {pattern}");
        }

        CheckName(target, "destination", "label_replace");
        return new Relabelling(input, target, labels => regex.Expand(labels.Get(source), replacement), scope);
    }

    public static Relabelling Join(SeriesOperator input, string target, string separator, string[] sources, Scope scope)
    {
        foreach (var source in sources)
        {
            CheckName(source, "source", "label_join");
        }

        CheckName(target, "destination", "label_join");
        return new Relabelling(input, target, labels => string.Join(separator, sources.Select(labels.Get)), scope);
    }

    protected override SeriesIdentity[] Identify(SeriesIdentity[] input, Evaluation evaluation)
    {
        var builder = new LabelsBuilder();
        return Array.ConvertAll(input, series =>
        {
            if (value(series.Labels) is not { } set)
            {
                return series;
            }

            var labels = builder.Reset(series.Labels).Set(target, set).Build();
            return new SeriesIdentity(labels, target != Labels.MetricName && series.DropName);
        });
    }

    protected override void Transform(int source, Column column, Worker worker)
    {
    }

    static void CheckName(string name, string role, string function)
    {
        if (!LabelName.IsValid(name))
        {
            throw new QueryException($"invalid {role} label name in {function}(): {name}");
        }
    }
}
