using System.Text.RegularExpressions;
using Observe.Query.Promql.Parsing;
using Observe.Testkit;
using Xunit;

namespace Observe.Query.Tests.Promql.Parsing;

public partial class FunctionTableTests
{
    /// <summary>Functions whose names are ordinary words too: looked for only where functions are told apart.</summary>
    static readonly HashSet<string> s_words = ["end", "info", "range", "scalar", "start", "step", "time", "timestamp", "vector"];

    static readonly HashSet<string> s_exceptions =
    [
        "Query/Promql/Parsing/FunctionTable.cs",

        // Words of the language that stand in durations as well: [max_of(1m, step())].
        "Query/Promql/Parsing/Token.cs", "Query/Promql/Parsing/Printer.cs",
    ];

    [Fact]
    public void Each_function_stands_in_the_table_once()
    {
        Assert.Equal(Enum.GetValues<FunctionId>(), FunctionTable.All.Select(f => f.Id));
        Assert.All(FunctionTable.All, f => Assert.Equal(f.Id.ToString(), f.Name.Replace("_", "", StringComparison.Ordinal), ignoreCase: true));
        Assert.All(FunctionTable.All, f => Assert.Same(f, FunctionTable.Find(f.Name)));
    }

    [Fact]
    public void No_other_file_knows_a_function_by_name()
    {
        var source = Path.Combine(Checkout.Root, "src");
        var faults = new List<string>();
        foreach (var file in Directory.EnumerateFiles(source, "*.cs", SearchOption.AllDirectories))
        {
            var path = Path.GetRelativePath(source, file).Replace('\\', '/');
            if (s_exceptions.Contains(path))
            {
                continue;
            }

            var tellsFunctionsApart = EvaluatesFunctions().IsMatch(path);
            faults.AddRange(
                from line in File.ReadLines(file)
                where !line.TrimStart().StartsWith("//", StringComparison.Ordinal)
                from Match literal in Literal().Matches(line)
                let name = literal.Groups[1].Value
                where FunctionTable.Find(name) is not null && (tellsFunctionsApart || !s_words.Contains(name))
                select $"{path}: \"{name}\"");
        }

        Assert.Empty(faults);
    }

    [GeneratedRegex("\"([a-z0-9_]+)\"")]
    private static partial Regex Literal();

    [GeneratedRegex("^Query/Promql/([^/]*[.]cs|(Planning|Execution|Functions)/.*)$")]
    private static partial Regex EvaluatesFunctions();
}
