using Observe.Query.Promql.Parsing;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Observe.Tsdb.Regex;

namespace Observe.Query.Promql.Execution.Calls;

/// <summary><c>label_replace</c> and <c>label_join</c>: other labels, the same samples.</summary>
sealed class Relabelling(SeriesOperator input, string target, Func<Labels, CancellationToken, string?> value, Scope scope)
    : MappingOperator(input, scope)
{
    /// <summary>The most characters of a label value that a query may make: calls within calls could double the length each time.</summary>
    const int MaxValueLength = 16 * 1024;

    public static Relabelling Replace(
        Function function, SeriesOperator input, string target, string replacement, string source, string pattern, Scope scope)
    {
        LabelRegex regex;
        try
        {
            regex = new LabelRegex(pattern);
        }
        catch (FormatException)
        {
            throw new QueryException($"invalid regular expression in {function.Name}(): {pattern}");
        }

        CheckName(target, "destination", function);
        return new Relabelling(input, target, (labels, cancellationToken) =>
        {
            var value = labels.Get(source);
            CheckLength(replacement.Length + (replacement.Count('$') * (long)value.Length), function);
            return regex.Expand(value, replacement, cancellationToken);
        }, scope);
    }

    public static Relabelling Join(
        Function function, SeriesOperator input, string target, string separator, string[] sources, Scope scope)
    {
        foreach (var source in sources)
        {
            CheckName(source, "source", function);
        }

        CheckName(target, "destination", function);
        return new Relabelling(input, target, (labels, _) =>
        {
            var values = Array.ConvertAll(sources, labels.Get);
            CheckLength(values.Sum(v => (long)v.Length + separator.Length), function);
            return string.Join(separator, values);
        }, scope);
    }

    protected override SeriesIdentity[] Identify(SeriesIdentity[] input, Evaluation evaluation)
    {
        var builder = new LabelsBuilder();
        return Array.ConvertAll(input, series =>
        {
            evaluation.ThrowIfOver();
            if (value(series.Labels, evaluation.CancellationToken) is not { } set)
            {
                return series;
            }

            var labels = builder.Reset(series.Labels).Set(target, set).Build();
            evaluation.AddBytes(labels.Encoded.Length);
            return new SeriesIdentity(labels, target != Labels.MetricName && series.DropName);
        });
    }

    protected override void Transform(int source, Column column, Worker worker)
    {
    }

    static void CheckLength(long length, Function function)
    {
        if (length > MaxValueLength)
        {
            throw new LimitException(
                $"{function.Name} might make a label value of {length} characters, more than {MaxValueLength}, which no flag raises");
        }
    }

    static void CheckName(string name, string role, Function function)
    {
        if (!LabelName.IsValid(name))
        {
            throw new QueryException($"invalid {role} label name in {function.Name}(): {name}");
        }
    }
}
