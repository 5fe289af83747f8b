using System.Globalization;

namespace Observe.Collector.Tests.Scrape.Differential;

/// <summary>Relabelling rules that are valid, as YAML in one line.</summary>
/// <param name="labels">Names that the rules are about.</param>
sealed class RandomRules(RandomText random, IReadOnlyList<string> labels)
{
    static readonly string[] s_regexes =
    [
        "(.*)", "(.+)", "", ".*", "x", "[a-z]+", "(a|b|c)(.*)", "(.*)_(.*)", "([^:]+):(.*)", "(?i)X", "(?P<k>.).*", "(.)?(.*)", "1|2|y", "(é|.)+", "..", "(__)?(.*)", ".{3,}",
    ];

    static readonly string[] s_replacements =
        ["$1", "$2", "${1}", "x", "", "$1_$2", "${1}x", "$1x", "$$1", "${k}", "$k-", "é$1", "pre_$1", "$3", "$", "${", "$0", "${1}${1}", "job", "exported_$1"];

    public string Rules(int most) => "[" + string.Join(", ", Enumerable.Range(0, 1 + random.Below(most)).Select(_ => Rule())) + "]";

    string Name() => random.OneIn(15) ? random.One("new", "é", "a.b", "__tmp", "x y") : labels[random.Below(labels.Count)];

    string Rule()
    {
        var action = random.One("replace", "replace", "replace", "labelmap", "labelmap", "keep", "drop", "keepequal", "dropequal", "hashmod", "labeldrop", "labelkeep", "lowercase", "uppercase", "Replace");
        var keys = new List<string> { $"action: {action}" };
        if (action is not ("labeldrop" or "labelkeep" or "labelmap"))
        {
            keys.Add($"source_labels: [{string.Join(", ", Enumerable.Range(0, random.Below(4)).Select(_ => Quote(Name())))}]");
        }

        if (action is "replace" or "Replace" or "hashmod" or "lowercase" or "uppercase" or "keepequal" or "dropequal")
        {
            keys.Add("target_label: " + Quote(action is "replace" or "Replace" && random.OneIn(5) ? random.One("$1", "x_$1", "${2}_y", "$1$2") : Name()));
        }

        if (action is "replace" or "Replace" && !random.OneIn(4))
        {
            keys.Add("replacement: " + Quote(random.One(s_replacements)));
        }

        if (action == "labelmap" && !random.OneIn(5))
        {
            keys.Add("replacement: " + Quote(random.One([.. s_replacements.Where(r => r.Length > 0)])));
        }

        if (action == "hashmod")
        {
            keys.Add("modulus: " + random.One("1", "2", "7", "1000", "18446744073709551615", "0x10", "010").ToString(CultureInfo.InvariantCulture));
        }

        if (action is not ("keepequal" or "dropequal") && !random.OneIn(4))
        {
            var regex = random.One(s_regexes);

            // What keeps nothing, or drops all, shows nothing else.
            keys.Add("regex: " + Quote(action switch
            {
                "keep" => random.One(regex, ".*", "(.*)"),
                "drop" or "labeldrop" => random.One("x", "1|2|y", "(?i)Y", "a", "(a|b).*", "job"),
                "labelkeep" => random.One(".*", "__.*|job|instance|zz|[a-c]", "[^d].*"),
                _ => regex,
            }));
        }
        else if (action is "drop" or "labeldrop" or "labelkeep")
        {
            keys.Add("regex: 'a|__name__q|c'");
        }

        if (action is not ("keepequal" or "dropequal" or "labeldrop" or "labelkeep") && random.OneIn(3))
        {
            keys.Add("separator: " + Quote(random.One("", "-", "é", ";;")));
        }

        return "{" + string.Join(", ", keys) + "}";
    }

    /// <summary>A text as YAML has it in double quotes.</summary>
    public static string Quote(string text) =>
        $"\"{text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal)}\"";
}
