using System.Diagnostics;
using System.Text;
using Observe.Tsdb.Regex;
using Xunit;

namespace Observe.Tsdb.Tests.Regex;

public class LabelRegexTests
{
    const string NoValue = "none";

    [Theory]
    // literals
    [InlineData("", "", "a")]
    [InlineData("foo", "foo", "foobar|xfoo|FOO|")]
    [InlineData("foo|bar|", "foo|bar|", "baz")]
    [InlineData("^foo$|^bar$", "foo|bar", "foobar")]
    [InlineData("a(b|c)d?", "ab|ac|abd|acd", "ad|abc")]
    [InlineData("\\Qa.b\\E", "a.b", "axb")]
    // text with anything around
    [InlineData(".*", "|a|a\nb|😀", "")]
    [InlineData(".+", "a|a\nb|😀", "")]
    [InlineData("foo.*", "foo|foobar|foo\n", "fo|xfoo")]
    [InlineData("foo.+", "foobar|foo\n", "foo|fo")]
    [InlineData(".*foo", "foo|barfoo", "foox")]
    [InlineData(".*foo.*bar.+", "foobarx|1foo2bar3", "foobar|barfoo|foo")]
    [InlineData("(dev|prod)-.*", "dev-1|prod-", "dev|stage-1")]
    [InlineData("a.*a", "aa|aba", "a")]
    // anything else
    [InlineData("[a-c]+", "a|abc", "abcd|")]
    [InlineData("[^a]", "b|\n|é|😀", "a|bb|")]
    [InlineData(".", "x|\n|日|😀", "xx|")]
    [InlineData("(?-s).", "x|日", "\n")]
    [InlineData("a{2,3}", "aa|aaa", "a|aaaa")]
    [InlineData("(a*)*b", "b|aab", "a")]
    [InlineData("(?i)foo", "foo|FOO|fOo", "f0o")]
    [InlineData("(?i)[k-s]+", "K|ſ|\u212a", "a")]
    [InlineData("(?i)straße", "STRAẞE|straße", "strasse")]
    [InlineData("\\d+\\s\\w", "1 a|12\t_", "١ a|1 é")]
    [InlineData("\\pL\\p{Lu}\\P{Greek}", "aBc|éÉ日", "aBα|1BC")]
    [InlineData("[[:alpha:]][[:^digit:]]", "ab|a-", "a1|1a")]
    [InlineData(".*\\bfoo\\b.*", "foo|a foo b|éfooé", "afoo|foob|a_foo")]
    [InlineData("a\\Bb", "ab", "a b")]
    [InlineData("(?m)^a$\\n^b$", "a\nb", "ab")]
    [InlineData("a.*^b", NoValue, "ab|a\nb")]
    [InlineData("\\x41\\x{1F600}\\101", "A😀A", "a😀A")]
    [InlineData("[^\\x00-\\x{10FFFF}]?", "", "a")]
    public void A_value_matches_as_a_whole(string pattern, string matching, string others)
    {
        var regex = new LabelRegex(pattern);
        foreach (var value in matching == NoValue ? [] : matching.Split('|'))
        {
            Assert.True(regex.IsMatch(value), $"{pattern} matches \"{value}\"");
            Assert.True(regex.IsMatch(Encoding.UTF8.GetBytes(value)));
            Assert.StartsWith(regex.Prefix, value, StringComparison.Ordinal);
        }

        foreach (var value in others.Length == 0 ? [] : others.Split('|'))
        {
            Assert.False(regex.IsMatch(value), $"{pattern} does not match \"{value}\"");
        }
    }

    [Theory]
    [InlineData("foo", "foo")]
    [InlineData("foo|bar|foo", "foo|bar")]
    [InlineData("^(?:a[12])$", "a1|a2")]
    [InlineData("a?b", "b|ab")]
    [InlineData("(?i)aB", "AB|Ab|aB|ab")]
    [InlineData("x{2}|x{0,1}", "xx||x")]
    public void Few_texts_are_listed(string pattern, string literals) => Assert.Equal(literals.Split('|'), new LabelRegex(pattern).Literals);

    [Fact]
    public void A_pattern_that_matches_nothing_has_no_texts() => Assert.Empty(new LabelRegex("[^\\x00-\\x{10FFFF}]").Literals!);

    [Theory]
    [InlineData("foo.*")]
    [InlineData("[a-z]{3}")]
    [InlineData(".")]
    [InlineData("a*")]
    [InlineData("a\\b")]
    public void Many_texts_are_not(string pattern) => Assert.Null(new LabelRegex(pattern).Literals);

    [Fact]
    public void A_long_alternation_is_a_set()
    {
        var texts = Enumerable.Range(0, 5_000).Select(i => $"pod-{i:x8}").ToArray();
        var regex = new LabelRegex(string.Join('|', texts));
        Assert.Equal(texts, regex.Literals);
        Assert.True(regex.IsMatch("pod-000003e8"));
        Assert.False(regex.IsMatch("pod-0000f000"));
        Assert.Equal("pod-0000", regex.Prefix);
    }

    [Theory]
    [InlineData("foo.*", "foo")]
    [InlineData("fo[ox]bar", "fo")]
    [InlineData("foobar|foobaz.+", "fooba")]
    [InlineData("(foo)+", "foo")]
    [InlineData("(foo)?", "")]
    [InlineData("\\bfoo", "foo")]
    [InlineData("😀a|😀b", "😀")]
    [InlineData("😀|😁", "")]
    public void The_common_start_is_known(string pattern, string prefix) => Assert.Equal(prefix, new LabelRegex(pattern).Prefix);

    [Theory]
    [InlineData("(.*)-(.*)", "a-b-c", "$2:$1", "c:a-b")]
    [InlineData("(.*?)-(.*)", "a-b-c", "$2:$1", "b-c:a")]
    [InlineData("(?P<host>[^:]+):(?P<port>\\d+)", "h:80", "${port}/${host}", "80/h")]
    [InlineData("(a)|(b)", "b", "[$1][$2]", "[][b]")]
    [InlineData("(a|ab)(c|bcd)(d*)", "abcd", "$1,$2,$3", "a,bcd,")]
    [InlineData("(a*)*", "b", "$1", null)]
    [InlineData("(a+)(b+)?", "aa", "$1-$2-", "aa--")]
    [InlineData("(.)", "😀", "$1$1", "😀😀")]
    [InlineData("(.*)(.+)", "日本", "$1|$2", "日|本")]
    [InlineData("foo", "foo", "$0$$1$", "foo$1$")]
    [InlineData("(foo)", "foo", "$1x ${1}x $01 ${1 $é$ $", " foox  ${1 $ $")]
    [InlineData("(?P<n>a)|(?P<n>b)", "b", "$n", "b")]
    [InlineData("(f)(o)(o)", "foo", "$3$2$10$4", "oo")]
    public void Expand_is_Gos(string pattern, string value, string template, string? expected) =>
        Assert.Equal(expected, new LabelRegex(pattern).Expand(value, template));

    [Fact]
    public void Bytes_that_are_no_UTF8_count_as_replacement_characters()
    {
        Assert.True(new LabelRegex("a..b").IsMatch([(byte)'a', 0xff, 0xfe, (byte)'b']));
        Assert.False(new LabelRegex("a.b").IsMatch([(byte)'a', 0xff, 0xfe, (byte)'b']));
        Assert.True(new LabelRegex("a.*b").IsMatch([(byte)'a', 0xff, 0xfe, (byte)'b']));
    }

    [Theory]
    [InlineData("(x+x+)+y")]
    [InlineData("(a|b)*a(a|b){20}")]
    [InlineData("(.*a){30}")]
    [InlineData("(?:a?){500}a{500}")]
    [InlineData(".{1000}|(?i)[a-z]{1000}")]
    public void No_pattern_takes_long(string pattern)
    {
        var values = Enumerable.Range(0, 20).Select(i => string.Concat(Enumerable.Range(0, 512).Select(j => "xab"[(i * 7919 + (j * j)) % 3]))).ToArray();
        var start = Stopwatch.GetTimestamp();
        var regex = new LabelRegex(pattern);
        Assert.InRange(values.Count(regex.IsMatch), 0, 20);
        Assert.InRange(Stopwatch.GetElapsedTime(start).TotalSeconds, 0, 2);
    }

    [Fact]
    public void Threads_may_share_one()
    {
        var regex = new LabelRegex("(a|b)*a(a|b){12}[0-9]+|(?:\\w+\\.)*x");
        var values = Enumerable.Range(0, 2_000).Select(i => Convert.ToString(i * 7919, 2).Replace('0', 'a').Replace('1', 'b') + (i % 2 == 0 ? "7" : ".x")).ToArray();
        var expected = values.Select(v => new LabelRegex(regex.Pattern).IsMatch(v)).ToArray();
        Parallel.For(0, 8, _ => Assert.Equal(expected, values.Select(regex.IsMatch)));
        Assert.Contains(true, expected);
        Assert.Contains(false, expected);
    }
}
