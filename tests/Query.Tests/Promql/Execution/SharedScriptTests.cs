using Observe.Query.Promql;
using Observe.Query.Promql.Scripts;
using Observe.Testkit;
using Xunit;
using Xunit.Abstractions;

namespace Observe.Query.Tests.Promql.Execution;

/// <summary>Prometheus's own scripts, where they stand beside the checkout.</summary>
public class SharedScriptTests(ITestOutputHelper output)
{
    public static TheoryData<string> Scripts()
    {
        var scripts = new TheoryData<string> { "none" };
        var files = Checkout.SharedPath("promqltest") is { } folder ? Directory.GetFiles(folder, "*.test") : [];
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
        if (Checkout.SharedPath("promqltest") is not { } folder || name == "none")
        {
            return;
        }

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
