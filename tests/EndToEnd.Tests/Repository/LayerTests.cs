using System.Text.RegularExpressions;
using Xunit;

namespace Observe.EndToEnd.Tests.Repository;

/// <summary>Who may use whom, by the names that the compiler finds in each file. The tables are the picture of the house.</summary>
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
            ["Fleet"],
            ["Api"],
            ["Gateway", "Compact", "Live", "Shipping"],
        ],
        ["Collector"] =
        [
            ["Config", "Exposition", "Sidecar"],
            ["Discovery"],
            ["Scrape"],
        ],
        ["Query"] =
        [
            ["Promql.Parsing"],
            ["Promql.Planning", "Promql.Functions"],
            ["Promql.Execution"],
            ["Promql.Execution.Selectors", "Promql.Execution.Aggregations", "Promql.Execution.Binary"],
            ["Promql.Execution.Calls"],
            ["Promql"],
            ["Promql.Scripts", "Fanout"],
            ["HttpApi"],
            ["GrpcApi", "Page"],
        ],
        ["Observe"] =
        [
            ["Hosting", "Demo"],
            ["Commands"],
            [""],
        ],
    };

    /// <summary>Projects, and folders of them, that a project may use.</summary>
    static readonly Dictionary<string, string[]> s_across = new()
    {
        ["Tsdb"] = [],
        ["Store"] = ["Tsdb"],
        ["Collector"] = ["Tsdb.Bytes", "Tsdb.Threading", "Tsdb.Model", "Tsdb.Histograms", "Tsdb.Regex", "Tsdb.Ingest", "Tsdb.Head", "Tsdb.Blocks", "Store.Fleet", "Store.Shipping", "Store.Bucket", "Store.Yaml"],
        ["Query"] = ["Tsdb.Bytes", "Tsdb.Model", "Tsdb.Histograms", "Tsdb.Regex", "Tsdb.Querying", "Tsdb.Threading", "Store.Api", "Store.Fleet"],
        ["Observe"] = ["Tsdb", "Store", "Collector", "Query"],
    };

    /// <summary>Files that hold one concept in several equal types, and why none of these is the main one.</summary>
    static readonly Dictionary<string, string> s_concepts = new()
    {
        ["Query/Promql/Execution/Binary/SetOperation.cs"] = "and, unless; or: a filter and a union, over the same signatures",
        ["Query/Promql/Execution/Binary/VectorMatch.cs"] = "what series of two sides are matched by, and the labels that a match has",
        ["Query/Promql/Execution/Calls/ElementFunctions.cs"] = "operators that work element by element, a few lines each",
        ["Query/Promql/Execution/ScalarOperators.cs"] = "operators between scalars and vectors, a few lines each",
        ["Query/Promql/Parsing/Ast.cs"] = "the nodes of the syntax tree",
        ["Store/Compact/DownsampleWindows.cs"] = "windows of floats and windows of histograms",
        ["Tsdb/Chunks/StartTimestamps.cs"] = "writer and reader of one part of a chunk",
        ["Tsdb/Chunks/Xor2Chunk.cs"] = "writer and reader of one encoding",
    };

    [Fact]
    public void Nothing_uses_what_lies_above_it() => None(
        SourceModel.Forbidden(Allowed).Select(use => $"{use.File.Path} uses {use.Name} of {use.Used}"));

    [Fact]
    public void Every_folder_stands_in_one_row_of_the_tables() => Assert.Equal(
        SourceModel.Files.Select(file => file.Folder).Distinct().Order(StringComparer.Ordinal),
        s_rows.SelectMany(project => project.Value.SelectMany(row => row).Select(folder => folder.Length == 0 ? project.Key : $"{project.Key}.{folder}"))
            .Order(StringComparer.Ordinal));

    [Fact]
    public void A_namespace_is_its_folder_and_nothing_is_used_everywhere()
    {
        Assert.Empty(SourceModel.Files.Where(file => file.Namespaces.Any(space => space != SourceModel.Namespace(file.Folder))).Select(file => file.Path));
        Assert.Empty(SourceModel.Files.Where(file => file.Root.Usings.Any(use => use.GlobalKeyword.ValueText.Length > 0)).Select(file => file.Path));
        Assert.DoesNotContain(
            Directory.EnumerateFiles(SourceModel.Source, "*.*proj", SearchOption.AllDirectories).Append(Path.Combine(SourceModel.Source, "Directory.Build.props")),
            file => File.ReadAllText(file).Contains("<Using ", StringComparison.Ordinal));
    }

    [Fact]
    public void A_file_is_named_after_a_type_that_it_declares_and_no_exception_is_left_over()
    {
        var unnamed = SourceModel.Files.Where(file => !file.Types.Contains(Path.GetFileName(file.Path).Split('.')[0])).Select(file => file.Path).ToList();
        None(unnamed.Except(s_concepts.Keys));
        None(s_concepts.Keys.Except(unnamed).Select(path => $"{path} needs no exception"));
    }

    [Fact]
    public void No_type_is_named_after_nothing() => Assert.Empty(
        from file in SourceModel.Files
        from type in file.Types
        where type != "ScrapeManager" && EmptyName().IsMatch(type)
        select $"{file.Path}: {type}");

    static void None(IEnumerable<string> faults) => Assert.True(!faults.Any(), string.Join('\n', faults));

    static bool Allowed(string from, string used)
    {
        var (project, folder) = Split(from);
        var (otherProject, otherFolder) = Split(used);
        return project == otherProject
            ? folder == otherFolder || Row(project, otherFolder) < Row(project, folder)
            : s_across[project].Contains(otherProject) || s_across[project].Contains(used);
    }

    static int Row(string project, string folder) => Array.FindIndex(s_rows[project], row => row.Contains(folder));

    static (string Project, string Folder) Split(string folder) =>
        folder.IndexOf('.', StringComparison.Ordinal) is var dot && dot < 0 ? (folder, "") : (folder[..dot], folder[(dot + 1)..]);

    [GeneratedRegex("(Helper|Helpers|Utils|Util|Manager|Service|Processor|Provider|Impl)$")]
    private static partial Regex EmptyName();
}
