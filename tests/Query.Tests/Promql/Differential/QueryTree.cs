using System.Globalization;
using System.Runtime.CompilerServices;
using Observe.Query.Promql.Parsing;

namespace Observe.Query.Tests.Promql.Differential;

/// <summary>A random query as a tree that knows how to become smaller.</summary>
/// <param name="text">Its text; arguments are trees, or strings that may as well be empty (modifiers, matchers, groupings).</param>
sealed class QueryTree(ExprType type, FormattableString text)
{
    public ExprType Type { get; } = type;

    public int Length { get; } = text.ToString(CultureInfo.InvariantCulture).Length;

    /// <summary>Trees of the same type with something left out, the smallest first.</summary>
    public IEnumerable<QueryTree> Smaller() => Candidates().Where(c => c.Length < Length).OrderBy(c => c.Length);

    public override string ToString() => text.ToString(CultureInfo.InvariantCulture);

    IEnumerable<QueryTree> Candidates()
    {
        foreach (var part in Parts())
        {
            if (part.Type == Type)
            {
                yield return part;
            }
        }

        if (Type == ExprType.Scalar)
        {
            yield return new QueryTree(Type, $"1");
        }

        for (var i = 0; i < text.ArgumentCount; i++)
        {
            switch (text.GetArgument(i))
            {
                case QueryTree child:
                    foreach (var smaller in child.Candidates())
                    {
                        yield return With(i, smaller);
                    }

                    break;
                case string { Length: > 0 }:
                    yield return With(i, "");
                    break;
            }
        }
    }

    IEnumerable<QueryTree> Parts() => text.GetArguments().OfType<QueryTree>().SelectMany(c => c.Parts().Prepend(c));

    QueryTree With(int argument, object value)
    {
        var arguments = text.GetArguments().ToArray();
        arguments[argument] = value;
        return new QueryTree(Type, FormattableStringFactory.Create(text.Format, arguments));
    }
}
