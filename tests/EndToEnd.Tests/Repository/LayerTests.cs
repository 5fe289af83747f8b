using System.Text.RegularExpressions;
using Observe.Testkit;
using Xunit;

namespace Observe.EndToEnd.Tests.Repository;

/// <summary>Who may use whom, read from the <c>using</c> lines of the source. The table is the picture of the house.</summary>
public sealed partial class LayerTests
{
    /// <summary>Folders of src/Store from low to high; one may use what stands in a lower row, and nothing in its own but itself.</summary>
    static readonly string[][] s_storeRows =
    [
        ["Bytes"],
        ["Model"],
        ["Bucket", "Chunks"],
        ["Querying", "Index", "Wal"],
        ["Blocks", "Api", "Fleet"],
        ["Head", "Gateway", "Compact"],
        ["Live"],
    ];

    static readonly Dictionary<string, string[]> s_across = new()
    {
        ["Collector"] = ["Store.Model", "Store.Head", "Store.Live", "Store.Fleet", "Store.Blocks", "Store.Bucket", "Store.Bytes"],
        ["Query"] = ["Store.Model", "Store.Querying", "Store.Api", "Store.Fleet"],
    };

    /// <summary>Rows within Query/Promql.</summary>
    static readonly string[][] s_promqlRows = [["Parsing"], ["Planning", "Functions"], ["Execution"], [""], ["Scripts"]];

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
            return s_across.TryGetValue(from[0], out var allowed) && allowed.Contains(string.Join('.', used.Take(2)));
        }

        if (from[0] == "Store" && from.Length > 1 && used.Length > 1)
        {
            return from[1] == used[1] || Row(s_storeRows, used[1]) < Row(s_storeRows, from[1]);
        }

        if (from is ["Query", "Promql", ..] && used is ["Query", "Promql", ..])
        {
            var (own, other) = (from.Length > 2 ? from[2] : "", used.Length > 2 ? used[2] : "");
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

    [GeneratedRegex(@"^(?<global>global )?using (static )?(\w+ = )?Observe\.(?<name>(Store|Collector|Query)[\w.]*)", RegexOptions.Multiline)]
    private static partial Regex UsingLine();

    [GeneratedRegex(@"^\s*(public |internal |sealed |static |abstract |partial |readonly )*(class|struct|record|interface) +(record )?(?<name>\w*(Helper|Helpers|Utils|Util|Manager|Service|Processor|Provider|Impl))\b", RegexOptions.Multiline)]
    private static partial Regex EmptyName();
}
