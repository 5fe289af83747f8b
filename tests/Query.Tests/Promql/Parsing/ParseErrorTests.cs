using Observe.Query.Promql.Parsing;
using Observe.Testkit;
using Xunit;

namespace Observe.Query.Tests.Promql.Parsing;

/// <summary>Each text is what Prometheus answers, asked of 3.5 where that knows the syntax.</summary>
public class ParseErrorTests
{
    static void Check(string text, string error, ParserOptions? options = null) =>
        Assert.Equal(error, Assert.Throws<ParseException>(() => PromqlParser.Parse(text, options ?? ParserOptions.Everything)).Message);

    [Theory]
    [InlineData("", "unknown position: parse error: no expression found in input")]
    [InlineData(" # only a comment", "1:1: parse error: no expression found in input")]
    [InlineData("sum(foo", "1:8: parse error: unclosed left parenthesis")]
    [InlineData("foo{", "1:5: parse error: unexpected end of input inside braces")]
    [InlineData("foo[5m", "1:7: parse error: unclosed left bracket")]
    [InlineData("foo[", "1:5: parse error: unexpected end of input in duration expression")]
    [InlineData("foo)", "1:5: parse error: unexpected right parenthesis ')'")]
    [InlineData("foo]", "1:4: parse error: unexpected right bracket ']'")]
    [InlineData("foo}", "1:4: parse error: unexpected character: '}'")]
    [InlineData("\n\nfoo é", "3:5: parse error: unexpected character: 'é'")]
    [InlineData("a =~ b", "1:3: parse error: unexpected character after '=': '~'")]
    [InlineData("a !", "1:3: parse error: unexpected character after '!': '\uFFFD'")]
    [InlineData("5mx", "1:1: parse error: bad number or duration syntax: \"5mx\"")]
    [InlineData("1.2.3", "1:1: parse error: bad number or duration syntax: \"1.2.\"")]
    [InlineData("0x", "1:1: parse error: error parsing number: strconv.ParseFloat: parsing \"0x\": invalid syntax")]
    [InlineData("1e400", "1:1: parse error: error parsing number: strconv.ParseFloat: parsing \"1e400\": value out of range")]
    [InlineData("5y1hs", "1:1: parse error: unknown unit \"hs\" in duration \"5y1hs\"")]
    [InlineData("1s1h", "1:1: parse error: not a valid duration string: \"1s1h\"")]
    [InlineData("\"abc", "1:1: parse error: unterminated quoted string")]
    [InlineData("`abc", "1:1: parse error: unterminated raw string")]
    [InlineData("\"\\q\"", "1:1: parse error: unknown escape sequence U+0071 'q'")]
    [InlineData("\"\\xg0\"", "1:1: parse error: illegal character U+0067 'g' in escape sequence")]
    [InlineData("\"\\ud800\"", "1:1: parse error: escape sequence is an invalid Unicode code point")]
    public void Tokens(string text, string error) => Check(text, error);

    [Theory]
    [InlineData("sum 5", "1:5: parse error: unexpected number \"5\"")]
    [InlineData("sum(foo bar)", "1:9: parse error: unexpected identifier \"bar\" in aggregation")]
    [InlineData("sum by (a) foo", "1:12: parse error: unexpected identifier \"foo\" in aggregation")]
    [InlineData("sum(foo) by a", "1:13: parse error: unexpected identifier \"a\" in grouping opts, expected \"(\"")]
    [InlineData("sum(foo) by (,)", "1:14: parse error: unexpected \",\" in grouping opts, expected label")]
    [InlineData("sum(foo) by (a b)", "1:16: parse error: unexpected identifier \"b\" in grouping opts, expected \",\" or \")\"")]
    [InlineData("sum(foo) by (\"\")", "1:14: parse error: invalid label name for grouping: \"\"")]
    [InlineData("sum(foo) by (\"a\\xc5z\")", "1:14: parse error: invalid label name for grouping: \"a\\xc5z\"")]
    [InlineData("foo{a}", "1:6: parse error: unexpected \"}\" in label matching, expected label matching operator")]
    [InlineData("foo{a=b}", "1:7: parse error: unexpected identifier \"b\" in label matching, expected string")]
    [InlineData("foo{a=\"b\" c}", "1:11: parse error: unexpected identifier \"c\" in label matching, expected \",\" or \"}\"")]
    [InlineData("foo{,}", "1:5: parse error: unexpected \",\" in label matching, expected identifier or \"}\"")]
    [InlineData("foo[5m x]", "1:8: parse error: unexpected character: 'x', expected ':'")]
    [InlineData("foo[5m 1m]", "1:8: parse error: unexpected duration \"1m\" in subquery or range, expected \":\" or \"]\"")]
    [InlineData("foo[]", "1:5: parse error: unexpected \"]\" in subquery or range selector, expected number, duration, step(), or range()")]
    [InlineData("foo[5m:1m 1m]", "1:11: parse error: unexpected duration \"1m\" in subquery selector, expected \"]\"")]
    [InlineData("foo offset", "1:11: parse error: unexpected end of input in offset, expected number, duration, step(), or range()")]
    [InlineData("foo @ bar", "1:7: parse error: unexpected identifier \"bar\" in @, expected timestamp")]
    [InlineData("a + on(x) group_left * b", "1:22: parse error: unexpected <op:*> in grouping opts, expected \"(\"")]
    [InlineData("a ++", "1:5: parse error: unexpected end of input")]
    [InlineData("a \"0123456789abc\"", "1:3: parse error: unexpected string \"\\\"012345678\"...")]
    [InlineData("bool", "1:1: parse error: unexpected <bool>")]
    [InlineData("rate(foo[5m],)", "1:13: parse error: trailing commas not allowed in function call args")]
    [InlineData("nope(foo) bar", "1:1: parse error: unknown function with name \"nope\"")]
    public void Syntax(string text, string error) => Check(text, error);

    [Theory]
    [InlineData("foo[0s]", "1:5: parse error: duration must be greater than 0")]
    [InlineData("(foo)[5m]", "1:6: parse error: ranges only allowed for vector selectors")]
    [InlineData("foo offset 1m[5m]", "1:14: parse error: no offset modifiers allowed before range")]
    [InlineData("foo @ 1[5m]", "1:8: parse error: no @ modifiers allowed before range")]
    [InlineData("foo offset 1m offset 2m", "1:1: parse error: offset may not be set multiple times")]
    [InlineData("foo @ 1 @ 2", "1:1: parse error: @ <timestamp> may not be set multiple times")]
    [InlineData("foo @ Inf", "1:1: parse error: timestamp out of bounds for @ modifier: +Inf")]
    [InlineData("foo @ 1e20", "1:1: parse error: timestamp out of bounds for @ modifier: 100000000000000000000.000000")]
    [InlineData("sum(foo) offset 1m", "1:1: parse error: offset modifier must be preceded by an instant vector selector or range vector selector or a subquery")]
    [InlineData("1 @ 2", "1:1: parse error: @ modifier must be preceded by an instant vector selector or range vector selector or a subquery")]
    [InlineData("foo offset 300y", "1:12: parse error: duration out of range")]
    [InlineData("foo[5m / 0]", "1:8: parse error: division by zero")]
    [InlineData("topk(foo)", "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 2, got 1")]
    [InlineData("sum()", "1:1: parse error: no arguments for aggregate expression provided")]
    [InlineData("foo anchored smoothed", "1:1: parse error: anchored and smoothed modifiers cannot be used together")]
    public void Modifiers_and_arguments(string text, string error) => Check(text, error);

    [Theory]
    [InlineData("{}", "1:1: parse error: vector selector must contain at least one non-empty matcher")]
    [InlineData("{a=~\".*\"}", "1:1: parse error: vector selector must contain at least one non-empty matcher")]
    [InlineData("foo{__name__=\"bar\"}", "1:1: parse error: metric name must not be set twice: \"foo\" or \"bar\"")]
    [InlineData("1 == 1", "1:3: parse error: comparisons between scalars must use BOOL modifier")]
    [InlineData("foo + bool bar", "1:5: parse error: bool modifier can only be used on comparison operators")]
    [InlineData("foo or 1", "1:1: parse error: set operator \"or\" not allowed in binary scalar expression")]
    [InlineData("foo[5m] + 1", "1:1: parse error: binary expression must contain only scalar and instant vector types")]
    [InlineData("foo * on(a) 1", "1:1: parse error: vector matching only allowed between instant vectors")]
    [InlineData("a and on(x) group_left b", "1:1: parse error: no grouping allowed for \"and\" operation")]
    [InlineData("a + on(x) group_left(x) b", "1:3: parse error: label \"x\" must not occur in ON and GROUP clause at once")]
    [InlineData("-\"a\"", "1:1: parse error: unary expression only allowed on expressions of type scalar or instant vector, got \"string\"")]
    [InlineData("1[5m:]", "1:1: parse error: subquery is only allowed on instant vector, got scalar instead")]
    [InlineData("rate(foo)", "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector")]
    [InlineData("rate(foo[5m], 1)", "1:1: parse error: expected 1 argument(s) in call to \"rate\", got 2")]
    [InlineData("hour(a, b)", "1:1: parse error: expected at most 1 argument(s) in call to \"hour\", got 2")]
    [InlineData("label_join(foo)", "1:1: parse error: expected at least 3 argument(s) in call to \"label_join\", got 1")]
    [InlineData("sum(foo[5m])", "1:5: parse error: expected type instant vector in aggregation expression, got range vector")]
    [InlineData("topk(foo, foo)", "1:6: parse error: expected type scalar in aggregation parameter, got instant vector")]
    [InlineData("info(foo, bar)", "1:11: parse error: expected label selectors only, got vector selector instead")]
    [InlineData("a or fill(1) b", "1:1: parse error: filling in missing series not allowed for set operators")]
    public void Types(string text, string error) => Check(text, error);

    [Theory]
    [InlineData("limitk(1, foo)", "1:1: parse error: limitk() is experimental and must be enabled with --enable-feature=promql-experimental-functions")]
    [InlineData("mad_over_time(foo[5m])", "1:1: parse error: function \"mad_over_time\" is not enabled")]
    [InlineData("foo[5m + 1m]", "1:5: parse error: experimental duration expression is not enabled")]
    [InlineData("foo smoothed", "1:1: parse error: smoothed modifier is experimental and not enabled")]
    [InlineData("a + fill(0) b", "1:1: parse error: binop fill modifiers are experimental and not enabled")]
    public void Features_that_are_off_are_refused_by_name(string text, string error) => Check(text, error, ParserOptions.Default);

    [Theory]
    [InlineData("(", "1:129: parse error: expression is nested more than 128 levels deep")]
    [InlineData("-", "1:129: parse error: expression is nested more than 128 levels deep")]
    [InlineData("sum(", "1:513: parse error: expression is nested more than 128 levels deep")]
    [InlineData("a ^ ", "1:16387: parse error: expression has more than 4096 operators")]
    [InlineData("a + ", "1:16387: parse error: expression has more than 4096 operators")]
    [InlineData("a + (", "1:321: parse error: expression is nested more than 128 levels deep")]
    [InlineData("a offset 0s ", "1:13: parse error: unexpected identifier \"a\"")]
    public void Depth_is_limited(string repeated, string error)
    {
        var start = ThreadTime.Now;
        Check(string.Concat(Enumerable.Repeat(repeated, (1 << 20) / repeated.Length)), error);
        Assert.InRange((ThreadTime.Now - start).TotalSeconds, 0, 1);
    }

    [Theory]
    [InlineData("a", "[5m:]", "1:1: parse error: expression has more than 4096 operators")]
    [InlineData("label_join(a", ",\"x\"", "1:4105: parse error: a call has more than 1024 arguments")]
    [InlineData("foo(a", ",", "1:6: parse error: trailing commas not allowed in function call args")]
    public void What_is_repeated_at_one_place_is_limited(string start, string repeated, string error) =>
        Check(start + string.Concat(Enumerable.Repeat(repeated, (1 << 20) / repeated.Length)), error);

    [Fact]
    public void All_errors_of_types_are_reported_and_the_message_is_the_first()
    {
        var e = Assert.Throws<ParseException>(() => PromqlParser.Parse("rate(foo) + sum(bar[5m]) + {}", ParserOptions.Default));
        Assert.Equal(
            [
                "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector",
                "1:17: parse error: expected type instant vector in aggregation expression, got range vector",
                "1:28: parse error: vector selector must contain at least one non-empty matcher",
            ],
            e.Errors.Select(x => x.ToString()));
        Assert.Equal(e.Errors[0].ToString(), e.Message);
    }
}
