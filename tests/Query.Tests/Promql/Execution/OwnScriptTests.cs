using Observe.Query.Promql;
using Observe.Query.Promql.Scripts;
using Observe.Testkit;
using Xunit;

namespace Observe.Query.Tests.Promql.Execution;

public class OwnScriptTests
{
    public static TheoryData<string> Scripts => [.. Directory.GetFiles(Folder, "*.test").Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal)];

    static string Folder => Path.Combine(Checkout.Root, "tests", "Query.Tests", "Promql", "testdata");

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
