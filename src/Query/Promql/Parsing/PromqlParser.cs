using System.Text;
using Observe.Tsdb.Model;

namespace Observe.Query.Promql.Parsing;

/// <summary>Parts of the language that Prometheus has behind feature flags; all off unless set.</summary>
public sealed record ParserOptions
{
    public static ParserOptions Default { get; } = new();

    public static ParserOptions Everything { get; } =
        new() { ExperimentalFunctions = true, DurationExpressions = true, ExtendedRangeSelectors = true, FillModifiers = true };

    /// <summary><c>promql-experimental-functions</c>: experimental functions, <c>limitk</c> and <c>limit_ratio</c>.</summary>
    public bool ExperimentalFunctions { get; init; }

    /// <summary><c>promql-duration-expr</c>.</summary>
    public bool DurationExpressions { get; init; }

    /// <summary><c>promql-extended-range-selectors</c>: <c>anchored</c> and <c>smoothed</c>.</summary>
    public bool ExtendedRangeSelectors { get; init; }

    /// <summary><c>promql-binop-fill-modifiers</c>.</summary>
    public bool FillModifiers { get; init; }
}

/// <summary>The language of Prometheus 3.14, with its errors.</summary>
/// <remarks>
/// The limits are Observe's own. No query can exhaust a stack: syntax nests at most <see cref="MaxNesting"/> deep, and as a chain of
/// operators is a tree one level a term, a query has at most <see cref="MaxOperators"/>. What walks such a tree runs on
/// <see cref="Tsdb.Threading.ComputeThreads"/>, whose stacks are made for it.
/// </remarks>
public static class PromqlParser
{
    public const int MaxNesting = 128;

    /// <summary>Binary operators and subqueries, of the whole query.</summary>
    public const int MaxOperators = 4096;

    /// <summary>Arguments of one call.</summary>
    public const int MaxArguments = 1024;

    /// <summary>A query with more errors than this is not looked at any further.</summary>
    internal const int MaxErrors = 100;

    /// <summary>A whole query, its types checked.</summary>
    /// <exception cref="ParseException">
    /// All errors up to the first error of syntax, or all errors of types where the syntax is right.
    /// </exception>
    /// <exception cref="OperationCanceledException">The token was cancelled: hundreds of large patterns take their time.</exception>
    public static Expr Parse(string text, ParserOptions options, CancellationToken cancellationToken = default)
    {
        var query = Encoding.UTF8.GetBytes(text);
        var parser = new Parser(query, options, cancellationToken);
        var expr = parser.ParseQuery();
        if (parser.Errors.Count == 0)
        {
            expr = new TypeChecker(query, parser.Errors).Check(expr!);
        }

        return parser.Errors.Count == 0 ? expr! : throw new ParseException(parser.Errors);
    }

    /// <summary>A selector without time modifiers, as <c>match[]</c> has it. It may match everything.</summary>
    /// <exception cref="ParseException"/>
    public static IReadOnlyList<Matcher> ParseMetricSelector(string text)
    {
        var parser = new Parser(Encoding.UTF8.GetBytes(text), ParserOptions.Default, CancellationToken.None);
        var selector = parser.ParseSelectorOnly();
        return parser.Errors.Count == 0 ? selector!.Matchers : throw new ParseException(parser.Errors);
    }
}
