using System.Text.RegularExpressions;
using Observe.Testkit;
using Xunit;

namespace Observe.EndToEnd.Tests.Repository;

/// <summary>Who may use whom, read from the <c>using</c> lines of the source. The table is the picture of the house.</summary>
public sealed partial class LayerTests
{
    /// <summary>Folders of a project from low to high; one may use what stands in a lower row, and nothing in its own but itself.</summary>
    static readonly Dictionary<string, string[][]> s_rows = new()
    {
        ["Tsdb"] =
        [
            ["Bytes", "Threading"],
            ["Regex", "Histograms"],
            ["Model"],
            ["Chunks"],
            ["Querying", "Ingest", "Index", "Wal"],
            ["Blocks"],
            ["Head"],
        ],
        ["Store"] =
        [
            ["Yaml"],
            ["Bucket"],
            ["Blocks"],
            ["Api", "Fleet"],
            ["Gateway", "Compact", "Shipping"],
        ],
    };

    static readonly Dictionary<string, string[]> s_across = new()
    {
        ["Store"] = ["Tsdb"],
        ["Collector"] = ["Tsdb.Bytes", "Tsdb.Threading", "Tsdb.Model", "Tsdb.Histograms", "Tsdb.Regex", "Tsdb.Ingest", "Tsdb.Head", "Tsdb.Blocks", "Store.Fleet", "Store.Shipping", "Store.Bucket", "Store.Yaml"],
        ["Query"] = ["Tsdb.Bytes", "Tsdb.Model", "Tsdb.Histograms", "Tsdb.Regex", "Tsdb.Querying", "Tsdb.Threading", "Store.Api", "Store.Fleet"],
    };

    /// <summary>Rows within Query/Promql.</summary>
    static readonly string[][] s_promqlRows = 
    [
        ["Parsing"],
        ["Planning", "Functions"],
        ["Execution"],
        ["Execution.Selectors", "Execution.Aggregations", "Execution.Binary"],
        ["Execution.Calls"],
        [""],
        ["Scripts"],
    ];

    [Fact]
    public void Nothing_uses_what_lies_above_it()
    {
        var faults = new List<string>();
        foreach (var file in Directory.EnumerateFiles(Path.Combine(Checkout.Root, "src"), "*.cs", SearchOption.AllDirectories))
        {
            var path = Path.GetRelativePath(Path.Combine(Checkout.Root, "src"), file).Replace('\\', '/');
            if (path.Contains("/obj/", StringComparison.Ordinal) || path.StartsWith("Observe/", StringComparison.Ordinal))
            {
                continue;
            }

            var from = path.Split('/');
            foreach (Match use in UsingLine().Matches(File.ReadAllText(file)))
            {
                if (use.Groups["global"].Success)
                {
                    faults.Add($"{path}: global using");
                }
                else if (!Allowed(from[..^1], use.Groups["name"].Value.Split('.')))
                {
                    faults.Add($"{path} uses {use.Groups["name"].Value}");
                }
            }
        }

        Assert.True(faults.Count == 0, string.Join('\n', faults));
    }

    [Fact]
    public void No_type_is_named_after_nothing()
    {
        var faults = from file in Directory.EnumerateFiles(Path.Combine(Checkout.Root, "src"), "*.cs", SearchOption.AllDirectories)
                     from Match match in EmptyName().Matches(File.ReadAllText(file))
                     where match.Groups["name"].Value != "ScrapeManager"
                     select $"{Path.GetRelativePath(Checkout.Root, file)}: {match.Groups["name"].Value}";
        Assert.Empty(faults);
    }

    static bool Allowed(string[] from, string[] used)
    {
        if (used[0] != from[0])
        {
            return s_across.TryGetValue(from[0], out var allowed) && (allowed.Contains(used[0]) || allowed.Contains(string.Join('.', used.Take(2))));
        }

        if (s_rows.TryGetValue(from[0], out var rows) && from.Length > 1 && used.Length > 1)
        {
            return from[1] == used[1] || Row(rows, used[1]) < Row(rows, from[1]);
        }

        if (from is ["Query", "Promql", ..] && used is ["Query", "Promql", ..])
        {
            var (own, other) = (string.Join('.', from.Skip(2)), string.Join('.', used.Skip(2)));
            return own == other || Row(s_promqlRows, other) < Row(s_promqlRows, own);
        }

        return from is not ["Query", "Promql", ..] || used is ["Query", "Promql", ..];
    }

    static int Row(string[][] rows, string folder)
    {
        var row = Array.FindIndex(rows, r => r.Contains(folder));
        Assert.True(row >= 0, $"the folder {folder} stands in no row of the table");
        return row;
    }

    [GeneratedRegex(@"^(?<global>global )?using (static )?(\w+ = )?Observe\.(?<name>(Tsdb|Store|Collector|Query)[\w.]*)", RegexOptions.Multiline)]
    private static partial Regex UsingLine();

    [GeneratedRegex(@"^\s*(public |internal |sealed |static |abstract |partial |readonly )*(class|struct|record|interface) +(record )?(?<name>\w*(Helper|Helpers|Utils|Util|Manager|Service|Processor|Provider|Impl))\b", RegexOptions.Multiline)]
    private static partial Regex EmptyName();
}
