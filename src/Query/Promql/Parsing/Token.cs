using System.Text;
using Observe.Tsdb.Bytes;

namespace Observe.Query.Promql.Parsing;

/// <summary>What a token is. The order matters: operators, aggregators, keywords and preprocessors each stand together.</summary>
enum TokenKind : byte
{
    EndOfInput, Error, Identifier, MetricIdentifier, Number, Duration, String,
    LeftParen, RightParen, LeftBrace, RightBrace, LeftBracket, RightBracket, Comma, Colon, Assign,

    Add, Sub, Mul, Div, Mod, Pow, Atan2,
    Equal, NotEqual, Greater, Less, GreaterOrEqual, LessOrEqual,
    And, Or, Unless, TrimUpper, TrimLower, EqualRegex, NotEqualRegex, At,

    Sum, Avg, Count, Min, Max, Group, Stddev, Stdvar, TopK, BottomK, CountValues, Quantile, LimitK, LimitRatio,

    Offset, Smoothed, Anchored, By, Without, On, Ignoring, GroupLeft, GroupRight, Fill, FillLeft, FillRight, Bool,

    Start, End, Step, Range, MaxOf, MinOf,
}

/// <param name="Position">Bytes of the query's UTF-8.</param>
/// <param name="Text">As written; of an Error the message.</param>
readonly record struct Token(TokenKind Kind, Position Position, string Text)
{
    public bool IsOperator => Kind is >= TokenKind.Add and <= TokenKind.At;

    public bool IsAggregator => Kind is >= TokenKind.Sum and <= TokenKind.LimitRatio;

    public bool IsKeyword => Kind is >= TokenKind.Offset and <= TokenKind.Bool;

    /// <summary>As "unexpected …" names it.</summary>
    public string Describe() => Kind switch
    {
        TokenKind.EndOfInput => "end of input",
        TokenKind.Identifier => "identifier " + GoText.Quote(Text),
        TokenKind.MetricIdentifier => "metric identifier " + GoText.Quote(Text),
        TokenKind.Number => "number " + Shortened(),
        TokenKind.Duration => "duration " + Shortened(),
        TokenKind.String => "string " + Shortened(),
        _ when IsKeyword => $"<{Text}>",
        _ when IsOperator => $"<op:{Text}>",
        _ when IsAggregator => $"<aggr:{Text}>",
        _ => Shortened(),
    };

    string Shortened()
    {
        if (Encoding.UTF8.GetByteCount(Text) <= 10)
        {
            return GoText.Quote(Text);
        }

        var length = 0;
        foreach (var rune in Text.EnumerateRunes().Take(10))
        {
            length += rune.Utf16SequenceLength;
        }

        return GoText.Quote(Text[..length]) + "...";
    }
}

static class Keywords
{
    static readonly Dictionary<string, TokenKind> s_kinds = new(StringComparer.OrdinalIgnoreCase)
    {
        ["and"] = TokenKind.And,
        ["or"] = TokenKind.Or,
        ["unless"] = TokenKind.Unless,
        ["atan2"] = TokenKind.Atan2,

        ["sum"] = TokenKind.Sum,
        ["avg"] = TokenKind.Avg,
        ["count"] = TokenKind.Count,
        ["min"] = TokenKind.Min,
        ["max"] = TokenKind.Max,
        ["group"] = TokenKind.Group,
        ["stddev"] = TokenKind.Stddev,
        ["stdvar"] = TokenKind.Stdvar,
        ["topk"] = TokenKind.TopK,
        ["bottomk"] = TokenKind.BottomK,
        ["count_values"] = TokenKind.CountValues,
        ["quantile"] = TokenKind.Quantile,
        ["limitk"] = TokenKind.LimitK,
        ["limit_ratio"] = TokenKind.LimitRatio,

        ["offset"] = TokenKind.Offset,
        ["smoothed"] = TokenKind.Smoothed,
        ["anchored"] = TokenKind.Anchored,
        ["by"] = TokenKind.By,
        ["without"] = TokenKind.Without,
        ["on"] = TokenKind.On,
        ["ignoring"] = TokenKind.Ignoring,
        ["group_left"] = TokenKind.GroupLeft,
        ["group_right"] = TokenKind.GroupRight,
        ["fill"] = TokenKind.Fill,
        ["fill_left"] = TokenKind.FillLeft,
        ["fill_right"] = TokenKind.FillRight,
        ["bool"] = TokenKind.Bool,

        ["start"] = TokenKind.Start,
        ["end"] = TokenKind.End,
        ["step"] = TokenKind.Step,
        ["range"] = TokenKind.Range,
        ["max_of"] = TokenKind.MaxOf,
        ["min_of"] = TokenKind.MinOf,

        ["inf"] = TokenKind.Number,
        ["nan"] = TokenKind.Number,
    };

    public static bool TryGet(string word, out TokenKind kind) => s_kinds.TryGetValue(word, out kind);

    /// <summary>The words that stand for a duration inside brackets.</summary>
    public static bool TryGetDuration(string word, out TokenKind kind) =>
        s_kinds.TryGetValue(word, out kind) && kind is TokenKind.Step or TokenKind.Range or TokenKind.MaxOf or TokenKind.MinOf;
}
