using Observe.Query.Promql;
using Observe.Query.Promql.Scripts;
using Observe.Testkit;
using Xunit;

namespace Observe.Query.Tests.Promql.Execution;

/// <summary>Prometheus's own scripts, where they stand beside the checkout; one row, which is skipped, where they do not.</summary>
public class SharedScriptTests(ITestOutputHelper output)
{
    public static TheoryData<string> Scripts()
    {
        var scripts = new TheoryData<string>();
        var files = Checkout.SharedPath("promqltest") is { } folder ? Directory.GetFiles(folder, "*.test") : ["none"];
        foreach (var file in files.Order(StringComparer.Ordinal))
        {
            scripts.Add(Path.GetFileName(file));
        }

        return scripts;
    }

    [Theory]
    [MemberData(nameof(Scripts))]
    public async Task Every_evaluation_of_a_shared_script_passes(string name)
    {
        var folder = Required.Shared("promqltest");
        using var engine = new PromqlEngine(PromqlScript.EngineOptions);
        var results = await PromqlScript.Parse(await File.ReadAllTextAsync(Path.Combine(folder, name))).RunAsync(engine, null, CancellationToken.None);
        foreach (var failed in results.Where(r => !r.Passed))
        {
            output.WriteLine($"{name}:{failed.Line}: {failed.Query}: {failed.Failure}");
        }

        output.WriteLine($"{name}: {results.Count(r => r.Passed)} of {results.Count}");
        Assert.DoesNotContain(results, r => !r.Passed);
    }
}
