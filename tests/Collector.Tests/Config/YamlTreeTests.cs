using System.Text;
using CsCheck;
using Observe.Collector.Config;
using Observe.Store.Yaml;
using Xunit;

namespace Observe.Collector.Tests.Config;

public class YamlTreeTests
{
    const string Valid = "global:\n  external_labels: &l {cluster: dev}\n  scrape_interval: 5s\nscrape_configs:\n- job_name: 'a'\n  static_configs:\n  - targets: [\"h:1\"]\n    labels: {<<: *l, b: c}\n";

    static string Fault(string text) => Assert.Throws<ConfigException>(() => CollectorConfig.Parse(text, "x")).Errors[0].Message;

    [Fact]
    public void Anchors_and_merge_keys_are_followed()
    {
        var labels = CollectorConfig.Parse(Valid, "x").ScrapeConfigs[0].StaticConfigs[0].Labels;
        Assert.Equal("{b=\"c\", cluster=\"dev\"}", labels.ToString());
    }

    [Fact]
    public void A_key_of_the_map_itself_wins_over_a_merged_one() => Assert.Equal(
        "{cluster=\"other\"}",
        CollectorConfig.Parse(Valid.Replace("b: c", "cluster: other", StringComparison.Ordinal), "x").ScrapeConfigs[0].StaticConfigs[0].Labels.ToString());

    [Fact]
    public void An_alias_bomb_is_refused()
    {
        var text = new StringBuilder("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for (var i = 1; i < 30; i++)
        {
            text.Append($"a{i}: &a{i} [").AppendJoin(", ", Enumerable.Repeat($"*a{i - 1}", 10)).Append("]\n");
        }

        Assert.Contains("once aliases are followed", Fault(text.ToString()), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("[", 1_000_000)]
    [InlineData("{a: ", 1_000_000)]
    [InlineData("- ", 1_000_000)]
    [InlineData("? ", 1_000_000)]
    public void Deep_nesting_is_refused(string open, int depth) =>
        Assert.Contains("nested deeper than 64", Fault(string.Concat(Enumerable.Repeat(open, depth))), StringComparison.Ordinal);

    [Fact]
    public void An_unknown_anchor_is_an_error() => Assert.Contains("unknown anchor", Fault("a: *b"), StringComparison.Ordinal);

    [Fact]
    public void A_file_over_the_limit_is_refused() => Assert.Contains("larger than 16 MiB", Fault(new string(' ', (16 << 20) + 1)), StringComparison.Ordinal);

    [Fact]
    public void Any_bytes_are_read_or_refused_with_a_ConfigException() => Gen.Select(Gen.Int[0, Valid.Length - 1], Gen.Char, Gen.Bool).Sample((at, c, insert) =>
    {
        var text = Valid[..at] + c + Valid[(insert ? at : at + 1)..];
        try
        {
            CollectorConfig.Parse(text, "x");
        }
        catch (ConfigException e)
        {
            Assert.NotEmpty(e.Errors);
        }
    });
}
