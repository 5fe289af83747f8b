using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Observe.Testkit;

namespace Observe.EndToEnd.Tests;

/// <summary>The real program, one role of it, on the loopback interface.</summary>
sealed partial class ObserveProcess : IAsyncDisposable
{
    readonly ChildProcess _process;

    ObserveProcess(ChildProcess process, Uri url, string listening)
    {
        (_process, Url) = (process, url);
        GrpcAddress = GrpcField().Match(listening).Groups["address"].Value;
        Http = new HttpClient { BaseAddress = url };
    }

    /// <summary>What OBSERVE_PROGRAM names, such as the one that <c>make native</c> makes; else the one that was built with the tests.</summary>
    public static string Program { get; } =
        Environment.GetEnvironmentVariable("OBSERVE_PROGRAM") is { Length: > 0 } named ? named : Path.Combine(AppContext.BaseDirectory, "observe");

    public Uri Url { get; }

    /// <summary>HOST:PORT without a scheme, as flags and target lists have it.</summary>
    public string Address => Url.Authority;

    /// <summary>HOST:PORT of its store API; empty where the role serves none.</summary>
    public string GrpcAddress { get; }

    public HttpClient Http { get; }

    public ChildProcess Process => _process;

    /// <summary>Starts a role and waits until it is ready.</summary>
    public static Task<ObserveProcess> StartAsync(string role, IEnumerable<string> flags, TimeSpan? limit = null, params (string Name, string Value)[] environment) =>
        StartAsync(role, flags, limit, static _ => { }, environment);

    /// <param name="started">Gets the process before it is ready.</param>
    public static async Task<ObserveProcess> StartAsync(
        string role, IEnumerable<string> flags, TimeSpan? limit, Action<ChildProcess> started, params (string Name, string Value)[] environment)
    {
        var process = ChildProcess.Start(Program, [
            role,
            "--http-address=127.0.0.1:0",
            "--grpc-address=127.0.0.1:0",
            .. flags,
        ], environment);
        started(process);
        try
        {
            var line = await process.LineAsync("is ready: ", limit);
            var url = new Uri(line[(line.IndexOf("is ready: ", StringComparison.Ordinal) + 10)..].Split(' ')[0]);
            return new ObserveProcess(process, url, await process.LineAsync("msg=listening"));
        }
        catch
        {
            await process.DisposeAsync();
            throw;
        }
    }

    /// <summary>Runs a tool to its end.</summary>
    public static Task<(int ExitCode, string Output)> RunAsync(params string[] arguments) => ChildProcess.RunAsync(Program, arguments);

    /// <summary>GET of a path; the answer's JSON whatever its status.</summary>
    public async Task<JsonNode> GetAsync(string path) => JsonNode.Parse(await Http.GetStringAsync(path))!;

    /// <summary>The elements of an instant query: labels (as a JSON object) and value.</summary>
    public async Task<IReadOnlyList<(JsonObject Metric, string Value)>> QueryAsync(string query, string more = "")
    {
        var answer = await GetAsync("api/v1/query?query=" + Uri.EscapeDataString(query) + more);
        return [.. answer["data"]!["result"]!.AsArray().Select(r => (r!["metric"]!.AsObject(), (string)r["value"]![1]!))];
    }

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        await _process.DisposeAsync();
    }

    [GeneratedRegex(@" grpc=(?<address>\S+)")]
    private static partial Regex GrpcField();
}
