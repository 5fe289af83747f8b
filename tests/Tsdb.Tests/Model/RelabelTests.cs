using Observe.Tsdb.Model;
using Observe.Tsdb.Regex;
using Xunit;

namespace Observe.Tsdb.Tests.Model;

public class RelabelTests
{
    const string Unchanged = """{__name__="m", a="foo", b="bar", c="baz"}""";

    static readonly Labels s_labels = Labels.Of(("a", "foo"), ("b", "bar"), ("c", "baz"), ("__name__", "m"));

    static RelabelRule Rule(
        RelabelAction action, string sources = "", string regex = RelabelRule.DefaultRegex, string target = "",
        string replacement = RelabelRule.DefaultReplacement, ulong modulus = 0, string separator = RelabelRule.DefaultSeparator, bool legacy = false) => new()
        {
            Action = action,
            SourceLabels = sources.Length == 0 ? [] : sources.Split(' '),
            Regex = new LabelRegex(regex),
            TargetLabel = target,
            Replacement = replacement,
            Modulus = modulus,
            Separator = separator,
            LegacyNames = legacy,
        };

    static string Apply(params RelabelRule[] rules)
    {
        var builder = new LabelsBuilder(s_labels);
        return RelabelRule.Apply(rules, builder) ? builder.Build().ToString() : "dropped";
    }

    public static TheoryData<string, RelabelRule, string> Cases => new()
    {
        { "replace expands groups", Rule(RelabelAction.Replace, "a", "f(.*)", "d", "ch${1}-ch${1}"), """{__name__="m", a="foo", b="bar", c="baz", d="choo-choo"}""" },
        { "replace joins sources", Rule(RelabelAction.Replace, "a b", "f(.*);(.*)r", "a", "b${1}${2}m"), """{__name__="m", a="boobam", b="bar", c="baz"}""" },
        { "replace takes the separator", Rule(RelabelAction.Replace, "a b", target: "d", separator: "--"), """{__name__="m", a="foo", b="bar", c="baz", d="foo--bar"}""" },
        { "replace without a match leaves all", Rule(RelabelAction.Replace, "a", "z", "d"), Unchanged },
        { "replace is anchored", Rule(RelabelAction.Replace, "a", "fo", "d"), Unchanged },
        { "an empty replacement deletes", Rule(RelabelAction.Replace, "a", "f.*", "b", ""), """{__name__="m", a="foo", c="baz"}""" },
        { "an unknown group is empty and deletes", Rule(RelabelAction.Replace, "a", "f(.*)", "b", "$2"), """{__name__="m", a="foo", c="baz"}""" },
        { "no source sets a constant", Rule(RelabelAction.Replace, target: "d", replacement: "x"), """{__name__="m", a="foo", b="bar", c="baz", d="x"}""" },
        { "the target is a template", Rule(RelabelAction.Replace, "a", "(f)(oo)", "${2}_x", "$1"), """{__name__="m", a="foo", b="bar", c="baz", oo_x="f"}""" },
        { "named groups expand", Rule(RelabelAction.Replace, "a", "(?P<first>.)(.*)", "d", "${first}!$2"), """{__name__="m", a="foo", b="bar", c="baz", d="f!oo"}""" },
        { "a legacy name that expands badly is no target", Rule(RelabelAction.Replace, "a", "(f)oo", "${2}", "x", legacy: true), Unchanged },
        { "keep drops the rest", Rule(RelabelAction.Keep, "a", "no.*"), "dropped" },
        { "keep keeps what matches", Rule(RelabelAction.Keep, "a", "f.*"), Unchanged },
        { "drop drops what matches", Rule(RelabelAction.Drop, "a b", "foo;bar"), "dropped" },
        { "drop keeps the rest", Rule(RelabelAction.Drop, "a", "f"), Unchanged },
        { "a missing source is empty", Rule(RelabelAction.Drop, "nothing", ""), "dropped" },
        { "keepequal drops a difference", Rule(RelabelAction.KeepEqual, "a", target: "b"), "dropped" },
        { "keepequal keeps what is equal", Rule(RelabelAction.KeepEqual, "none", target: "nothing"), Unchanged },
        { "dropequal drops what is equal", Rule(RelabelAction.DropEqual, "none", target: "nothing"), "dropped" },
        { "dropequal keeps a difference", Rule(RelabelAction.DropEqual, "a", target: "b"), Unchanged },
        { "hashmod is the end of an MD5", Rule(RelabelAction.HashMod, "c", target: "d", modulus: 1000), """{__name__="m", a="foo", b="bar", c="baz", d="976"}""" },
        { "hashmod of joined sources", Rule(RelabelAction.HashMod, "a b", target: "d", modulus: ulong.MaxValue), """{__name__="m", a="foo", b="bar", c="baz", d="15973639978189266750"}""" },
        { "labelmap to one name", Rule(RelabelAction.LabelMap, regex: "(?:b|c)(.*)", replacement: "a$1"), """{__name__="m", a="baz", b="bar", c="baz"}""" },
        { "labelmap to no name", Rule(RelabelAction.LabelMap, regex: "b(.*)"), """{""="bar", __name__="m", a="foo", b="bar", c="baz"}""" },
        { "labelmap copies", Rule(RelabelAction.LabelMap, regex: "(b|c)", replacement: "meta_$1"), """{__name__="m", a="foo", b="bar", c="baz", meta_b="bar", meta_c="baz"}""" },
        { "labeldrop deletes by name", Rule(RelabelAction.LabelDrop, regex: "a|b"), """{__name__="m", c="baz"}""" },
        { "labelkeep deletes the rest", Rule(RelabelAction.LabelKeep, regex: "__name__|b"), """{__name__="m", b="bar"}""" },
        { "lowercase of nothing sets nothing", Rule(RelabelAction.Lowercase, "up", target: "up"), Unchanged },
        { "uppercase", Rule(RelabelAction.Uppercase, "a b", target: "up"), """{__name__="m", a="foo", b="bar", c="baz", up="FOO;BAR"}""" },
    };

    [Theory]
    [MemberData(nameof(Cases))]
    public void Each_action_does_what_Prometheus_does(string name, RelabelRule rule, string expected)
    {
        Assert.Null(rule.Fault());
        Assert.Equal((name, expected), (name, Apply(rule)));
    }

    [Fact]
    public void Rules_apply_in_order_until_one_drops() => Assert.Equal("dropped", Apply(
        Rule(RelabelAction.Replace, target: "d", replacement: "x"),
        Rule(RelabelAction.Keep, "d", "x"),
        Rule(RelabelAction.LabelDrop, regex: "d"),
        Rule(RelabelAction.Keep, "d", "x")));

    [Fact]
    public void Later_rules_see_what_earlier_ones_wrote() => Assert.Equal("""{__name__="m", d="FOO", e="foo"}""", Apply(
        Rule(RelabelAction.Uppercase, "a", target: "d"),
        Rule(RelabelAction.Lowercase, "d", target: "e"),
        Rule(RelabelAction.LabelDrop, regex: "[abc]")));

    [Theory]
    [InlineData("hashmod", "", "t", "$1", 0, "relabel configuration for hashmod requires non-zero modulus")]
    [InlineData("replace", "", "", "$1", 0, "relabel configuration for replace action requires 'target_label' value")]
    [InlineData("lowercase", "", "", "$1", 0, "relabel configuration for lowercase action requires 'target_label' value")]
    [InlineData("lowercase", "a", "t", "x", 0, "'replacement' can not be set for lowercase action")]
    [InlineData("keepequal", "a", "t", "$1", 5, "keepequal action requires only 'source_labels' and `target_label`, and no other fields")]
    [InlineData("labeldrop", "a", "", "$1", 0, "labeldrop action requires only 'regex', and no other fields")]
    [InlineData("labelkeep", "", "t", "$1", 0, "labelkeep action requires only 'regex', and no other fields")]
    [InlineData("labelmap", "", "", "", 0, "\"\" is invalid 'replacement' for labelmap action")]
    [InlineData("hashmod", "a", "t", "$1", 8, null)]
    public void Faults_are_told_in_Prometheus_words(string action, string sources, string target, string replacement, int modulus, string? fault)
    {
        Assert.True(RelabelRule.TryParseAction(action, out var parsed));
        Assert.Equal(fault, Rule(parsed, sources, target: target, replacement: replacement, modulus: (ulong)modulus).Fault());
    }

    [Theory]
    [InlineData("0a", false)]
    [InlineData("a-b", false)]
    [InlineData("a_b", true)]
    [InlineData("$1", true)]
    [InlineData("foo_${1}_bar", true)]
    [InlineData("${1}-x", false)]
    [InlineData("a$", false)]
    public void Legacy_targets_are_legacy_names_with_variables(string target, bool valid) =>
        Assert.Equal(valid, Rule(RelabelAction.Replace, "a", target: target, legacy: true).Fault() is null);
}
