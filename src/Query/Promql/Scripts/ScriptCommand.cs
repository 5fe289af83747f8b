using System.Text.RegularExpressions;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Query.Promql.Scripts;

/// <summary>One command of a script.</summary>
abstract record ScriptCommand(int Line);

sealed record ClearCommand(int Line) : ScriptCommand(Line);

sealed record LoadCommand(int Line, IReadOnlyList<ScriptSeries> Series) : ScriptCommand(Line);

enum ExpectationKind : byte
{
    Ordered, Fail, Warn, NoWarn, Info, NoInfo,
}

/// <summary>An <c>expect</c> line. Without a message or pattern it accepts any text.</summary>
sealed record Expectation(ExpectationKind Kind, string? Message, Regex? Pattern)
{
    public bool Accepts(string text) => Message is not null ? Message == text : Pattern is null || Pattern.IsMatch(text);

    public override string ToString() =>
        Message is not null ? $"message {GoText.Quote(Message)}" : $"pattern {GoText.Quote(Pattern?.ToString() ?? ".*")}";
}

/// <param name="Position">From 1, for results whose order counts.</param>
sealed record ExpectedSeries(int Position, Labels Labels, IReadOnlyList<SequenceValue> Values);

/// <summary>An <c>eval</c> command with all that it expects.</summary>
sealed record EvalCommand(int Line, string Query, bool IsRange) : ScriptCommand(Line)
{
    /// <summary>Unix milliseconds; of an instant query the first timestamp of an expected range vector.</summary>
    public long StartMs { get; set; }

    public long EndMs { get; set; }

    public long StepMs { get; set; }

    /// <summary>When an instant query is evaluated.</summary>
    public long TimeMs { get; set; }

    public List<Expectation> Expectations { get; } = [];

    public Dictionary<Labels, ExpectedSeries> Series { get; } = [];

    public double? Scalar { get; set; }

    public string? Text { get; set; }

    /// <summary>The result has no counterpart in a range query: a string or a range vector.</summary>
    public bool InstantOnly { get; set; }

    public bool Expects(ExpectationKind kind) => Expectations.Exists(e => e.Kind == kind);

    /// <summary>Expected series by the order of their lines.</summary>
    public IEnumerable<ExpectedSeries> InOrder => Series.Values.OrderBy(s => s.Position);
}

/// <summary>A script that can't be read, or data that can't be loaded.</summary>
public sealed class ScriptException(int line, string message) : Exception($"line {line}: {message}")
{
    /// <summary>From 1.</summary>
    public int Line { get; } = line;
}
