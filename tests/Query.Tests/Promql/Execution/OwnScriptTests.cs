using System.Text.RegularExpressions;
using Observe.Query.Promql;
using Observe.Query.Promql.Parsing;
using Observe.Query.Promql.Scripts;
using Observe.Testkit;
using Xunit;

namespace Observe.Query.Tests.Promql.Execution;

public class OwnScriptTests
{
    static readonly string[] s_aggregations =
    [
        "avg", "bottomk", "count", "count_values", "group", "limit_ratio", "limitk", "max", "min", "quantile", "stddev", "stdvar", "sum", "topk",
    ];

    public static TheoryData<string> Scripts => [.. Directory.GetFiles(Folder, "*.test").Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal)];

    static string Folder => Path.Combine(Checkout.Root, "tests", "Query.Tests", "Promql", "testdata");

    [Fact]
    public async Task Every_function_and_aggregation_is_evaluated_in_a_script()
    {
        using var engine = new PromqlEngine(PromqlScript.EngineOptions);
        var queries = new List<string>();
        foreach (var file in Directory.GetFiles(Folder, "*.test"))
        {
            queries.AddRange((await PromqlScript.Parse(await File.ReadAllTextAsync(file)).RunAsync(engine, null, CancellationToken.None)).Select(r => r.Query));
        }

        var names = FunctionTable.All.Select(f => f.Name).Concat(s_aggregations);
        var missing = names.Where(name => !queries.Exists(q => Regex.IsMatch(q, $@"\b{name}( by| without)? ?\("))).ToList();
        Assert.Empty(missing);
    }

    [Theory]
    [MemberData(nameof(Scripts))]
    public async Task Every_evaluation_of_a_script_passes(string name)
    {
        using var engine = new PromqlEngine(PromqlScript.EngineOptions);
        var results = await PromqlScript.Parse(await File.ReadAllTextAsync(Path.Combine(Folder, name))).RunAsync(engine, null, CancellationToken.None);
        Assert.NotEmpty(results);
        Assert.Empty(results.Where(r => !r.Passed).Select(r => $"{name}:{r.Line}: {r.Query}: {r.Failure}"));
    }
}
