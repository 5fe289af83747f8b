using System.Text.Json.Nodes;
using Observe.Query.Promql.Parsing;
using Observe.Testkit;
using Xunit;

namespace Observe.EndToEnd.Tests.Repository;

/// <summary>What holds for every dashboard without a server; that their queries return data is seen in the demo.</summary>
public sealed class DashboardTests
{
    public static TheoryData<string> Dashboards() => [.. Directory.GetFiles(Folder, "*.json").Select(f => Path.GetFileName(f)!)];

    static string Folder => Path.Combine(Checkout.Root, "dashboards");

    [Theory]
    [MemberData(nameof(Dashboards))]
    public void Every_query_parses_and_asks_the_chosen_data_source(string file)
    {
        var board = Read(file);
        var panels = Panels(board);
        Assert.NotEmpty(panels);
        foreach (var panel in panels)
        {
            Assert.False(string.IsNullOrEmpty((string?)panel["title"]));
            Assert.False(string.IsNullOrEmpty((string?)panel["description"]));
            Assert.Equal("${datasource}", (string?)panel["datasource"]!["uid"]);
            Assert.False(string.IsNullOrEmpty((string?)panel["fieldConfig"]!["defaults"]!["unit"]));
        }

        Assert.All(Queries(board), query => PromqlParser.Parse(WithVariables(query), new ParserOptions()));
    }

    [Fact]
    public void Uids_are_short_and_unique()
    {
        var uids = Directory.GetFiles(Folder, "*.json").Select(f => (string)Read(Path.GetFileName(f))["uid"]!).ToList();
        Assert.Equal(uids.Count, uids.Distinct().Count());
        Assert.All(uids, uid => Assert.InRange(uid.Length, 1, 40));
    }

    [Fact]
    public void Every_alert_asks_what_parses_and_what_there_is()
    {
        var alerts = Directory.GetFiles(Path.Combine(Folder, "rules")).SelectMany(File.ReadAllLines).Where(line => line.Contains(" expr: ", StringComparison.Ordinal))
            .Select(line => line[(line.IndexOf("expr: ", StringComparison.Ordinal) + 6)..]).ToList();
        Assert.NotEmpty(alerts);
        Assert.All(alerts, alert => PromqlParser.Parse(alert, new ParserOptions()));
        var source = string.Concat(SourceModel.Files.Select(file => file.Tree.ToString()));
        Assert.All(
            alerts.SelectMany(alert => System.Text.RegularExpressions.Regex.Matches(alert, "observe_[a-z_]+")).Select(name => name.Value),
            name => Assert.Contains($"\"{name}\"", source, StringComparison.Ordinal));
    }

    internal static JsonNode Read(string file) => JsonNode.Parse(File.ReadAllText(Path.Combine(Folder, file)))!;

    internal static IReadOnlyList<string> Queries(JsonNode board) => [.. Panels(board).SelectMany(p => p["targets"]!.AsArray()).Select(t => (string)t!["expr"]!)];

    /// <summary>A query as Grafana would send it for the cluster prod.</summary>
    internal static string WithVariables(string query) =>
        query.Replace("$__rate_interval", "1m", StringComparison.Ordinal).Replace("$cluster", "prod", StringComparison.Ordinal);

    static IReadOnlyList<JsonNode> Panels(JsonNode board) => [.. board["panels"]!.AsArray().Where(p => (string?)p!["type"] != "row")!];
}
