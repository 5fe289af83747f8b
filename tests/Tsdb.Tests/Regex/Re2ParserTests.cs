using CsCheck;
using Observe.Tsdb.Model;
using Observe.Tsdb.Regex;
using Xunit;

namespace Observe.Tsdb.Tests.Regex;

public class Re2ParserTests
{
    /// <summary>Each text is what Prometheus 3.5 answers to <c>{x=~"…"}</c>.</summary>
    [Theory]
    [InlineData("(", "missing closing ): `(`")]
    [InlineData("a)", "unexpected ): `a)`")]
    [InlineData("[a", "missing closing ]: `[a`")]
    [InlineData("[b-a]", "invalid character class range: `b-a`")]
    [InlineData("[[:foo:]]", "invalid character class range: `[:foo:]`")]
    [InlineData("*a", "missing argument to repetition operator: `*`")]
    [InlineData("(*)", "missing argument to repetition operator: `*`")]
    [InlineData("a|*", "missing argument to repetition operator: `*`")]
    [InlineData("a**", "invalid nested repetition operator: `**`")]
    [InlineData("a+??", "invalid nested repetition operator: `+??`")]
    [InlineData("a{1001}", "invalid repeat count: `{1001}`")]
    [InlineData("a{2,1}", "invalid repeat count: `{2,1}`")]
    [InlineData("(a{30}){34}", "invalid repeat count: `{34}`")]
    [InlineData("\\", "trailing backslash at end of expression: ``")]
    [InlineData("[a-\\d]", "invalid escape sequence: `\\d`")]
    [InlineData("\\q", "invalid escape sequence: `\\q`")]
    [InlineData("\\8", "invalid escape sequence: `\\8`")]
    [InlineData("\\1", "invalid escape sequence: `\\1`")]
    [InlineData("\\C", "invalid escape sequence: `\\C`")]
    [InlineData("\\x4", "invalid escape sequence: `\\x4`")]
    [InlineData("\\x{110000}", "invalid escape sequence: `\\x{110000`")]
    [InlineData("\\p{Foo}", "invalid character class range: `\\p{Foo}`")]
    [InlineData("\\pX", "invalid character class range: `\\pX`")]
    [InlineData("(?=a)", "invalid or unsupported Perl syntax: `(?=`")]
    [InlineData("(?<!a)", "invalid named capture: `(?<!a)`")]
    [InlineData("(?P<a b>x)", "invalid named capture: `(?P<a b>`")]
    [InlineData("(?P<a", "invalid named capture: `(?P<a`")]
    [InlineData("(?i", "invalid or unsupported Perl syntax: `(?i`")]
    [InlineData("(?i-)", "invalid or unsupported Perl syntax: `(?i-)`")]
    public void Faults_are_named_as_Go_names_them(string pattern, string fault) =>
        Assert.Equal("error parsing regexp: " + fault, Assert.Throws<FormatException>(() => Re2Parser.Parse(pattern)).Message);

    [Theory]
    [InlineData("a{,2}")]
    [InlineData("a{2")]
    [InlineData("a{01}")]
    [InlineData("x{2}{")]
    [InlineData("[]a]")]
    [InlineData("[a-]")]
    [InlineData("()")]
    [InlineData("(|a)*")]
    [InlineData("^*")]
    [InlineData("\\_\\-\\ ")]
    [InlineData("(?i)(?-i:a)(?sU)b")]
    [InlineData("(?P<n>a)(?<m>b)")]
    public void Odd_patterns_are_legal(string pattern) => Assert.NotNull(Re2Parser.Parse(pattern).Root);

    [Fact]
    public void Groups_are_counted_and_named() => Assert.Equal([null, "a", null, "b"], Re2Parser.Parse("(?P<a>x)(?:y)(z(?<b>w))").Groups);

    [Fact]
    public void Nesting_is_limited()
    {
        Assert.NotNull(Re2Parser.Parse(new string('(', 900) + new string(')', 900)));
        foreach (var pattern in new[] { Nested("(", 1_100), Nested("(", 100_000), Nested("(?:a|", 100_000) })
        {
            Assert.StartsWith("error parsing regexp: expression nests too deeply", Assert.Throws<FormatException>(() => Re2Parser.Parse(pattern)).Message, StringComparison.Ordinal);
        }

        static string Nested(string open, int depth) => string.Concat(Enumerable.Repeat(open, depth)) + new string(')', depth);
    }

    [Fact]
    public void Patterns_that_would_take_too_much_memory_are_refused() =>
        Assert.Equal("error parsing regexp: expression too large", Assert.Throws<FormatException>(() => new LabelRegex("(\\pL{100}[xy]*){10}".Insert(0, string.Concat(Enumerable.Repeat("\\d{1000}", 20))))).Message);

    [Theory]
    [InlineData("Greek", "αΩ", "aя")]
    [InlineData("Cyrillic", "я", "a")]
    [InlineData("Han", "日", "あ")]
    [InlineData("Old_Italic", "𐌀", "a")]
    [InlineData("Lu", "AÉ", "aé1")]
    [InlineData("L", "aÉ日", "1-")]
    [InlineData("Nd", "1١", "a")]
    [InlineData("Zs", " \u00a0", "\t")]
    [InlineData("Any", "a\n", "")]
    public void Unicode_sets_are_known_by_name(string name, string members, string others)
    {
        var set = Re2RuneSet.Unicode(name)!;
        Assert.All(members.EnumerateRunes(), r => Assert.True(set.Contains(r.Value), r.ToString()));
        Assert.All(others.EnumerateRunes(), r => Assert.False(set.Contains(r.Value), r.ToString()));
        Assert.False(set.Negate().Contains(members.EnumerateRunes().First().Value));
    }

    [Theory]
    [InlineData('k', "kK\u212a")]
    [InlineData('\u017f', "sS\u017f")]
    [InlineData('ς', "Σσς")]
    [InlineData('µ', "µμΜ")]
    [InlineData('1', "1")]
    [InlineData('İ', "İ")]
    public void Folding_takes_all_cases(char rune, string folded) =>
        Assert.Equal(folded.EnumerateRunes().Select(r => r.Value).Order(), Re2RuneSet.Of(rune).Fold().Ranges.SelectMany(r => Enumerable.Range(r.Low, r.High - r.Low + 1)));

    [Fact]
    public void Any_text_is_a_pattern_or_refused() =>
        Gen.String[Gen.Char["ab1()[]{}*+?|^$.\\-,:<>PQEdwsbpLiUmx é日"], 0, 30].Sample(pattern =>
        {
            try
            {
                var regex = new LabelRegex(pattern);
                foreach (var value in new[] { "", "a", "ab1", "é日 x" })
                {
                    Assert.Equal(regex.IsMatch(value), regex.Expand(value, "$0") is not null);
                    Assert.Equal(regex.IsMatch(value) ? value : null, regex.Expand(value, "$0"));
                }
            }
            catch (FormatException e)
            {
                Assert.StartsWith("error parsing regexp: ", e.Message, StringComparison.Ordinal);
            }
        }, iter: 5_000);

    /// <summary>Fast paths, automaton and Pike's machine are three ways to one answer.</summary>
    [Fact]
    public void All_machines_agree()
    {
        var atom = Gen.OneOf(Gen.Const("a"), Gen.Const("b"), Gen.Const("."), Gen.Const(".*"), Gen.Const(".+"), Gen.Const("[ab]"), Gen.Const("\\b"), Gen.Const("(a|ab)"), Gen.Const("(?:b|)?"), Gen.Const("é"), Gen.Const("$"), Gen.Const("^"));
        var pattern = Gen.Select(atom.Array[0, 5], atom.Array[0, 4]).Select((x, y) => string.Concat(x) + "|" + string.Concat(y));
        var value = Gen.String[Gen.Char["ab é"], 0, 6];
        Gen.Select(pattern, value.Array[5]).Sample(
            (p, values) =>
            {
                var (regex, parsed) = (new LabelRegex(p), Re2Parser.Parse(p));
                var automaton = new Re2Automaton(Re2Program.Compile(parsed, capturing: false));
                var captures = new Re2Captures(Re2Program.Compile(parsed, capturing: true));
                foreach (var v in values)
                {
                    var utf8 = Utf8Order.Bytes(v);
                    Assert.Equal(captures.Match(utf8, CancellationToken.None) is not null, automaton.IsMatch(utf8, CancellationToken.None));
                    Assert.Equal(automaton.IsMatch(utf8, CancellationToken.None), regex.IsMatch(utf8));
                }
            },
            iter: 3_000);
    }
}
