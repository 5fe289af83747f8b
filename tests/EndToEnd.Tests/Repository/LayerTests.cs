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
            ["Api", "Fleet"],
            ["Gateway", "Compact", "Shipping"],
        ],
        ["Collector"] =
        [
            ["Config", "Exposition"],
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
            ["Page"],
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

    /// <summary>Types of the engine that stand above their users, since a namespace sees what its parent declares; each is to move below them.</summary>
    static readonly string[] s_misplaced = ["EngineOptions", "ExplainedOperator", "IsBadData", "QueryException", "TypeAndUnitLabels"];

    /// <summary>Files that hold one concept in several types, none of which is the main one.</summary>
    static readonly string[] s_concepts =
    [
        "Query/Promql/Execution/Aggregations/Accumulators.cs", "Query/Promql/Execution/Aggregations/Grouping.cs",
        "Query/Promql/Execution/Binary/SetOperation.cs", "Query/Promql/Execution/Binary/VectorMatch.cs",
        "Query/Promql/Execution/Calls/ElementFunctions.cs", "Query/Promql/Execution/Calls/LabelOperators.cs",
        "Query/Promql/Execution/ScalarOperators.cs", "Query/Promql/Parsing/Ast.cs", "Query/Promql/Scripts/ScriptCommands.cs",
        "Store/Blocks/Markers.cs", "Store/Compact/DownsampleWindows.cs",
        "Tsdb/Chunks/HistogramChunk.cs", "Tsdb/Chunks/StartTimestamps.cs", "Tsdb/Chunks/Xor2Chunk.cs",
        "Tsdb/Head/HeadCut.cs", "Tsdb/Head/HeadIsolation.cs", "Tsdb/Head/HeadQuerier.cs",
        "Tsdb/Histograms/HistogramArithmetic.cs", "Tsdb/Histograms/HistogramBuckets.cs", "Tsdb/Histograms/HistogramTrim.cs",
        "Tsdb/Model/Relabel.cs", "Tsdb/Model/Samples.cs", "Tsdb/Wal/WalHistogramRecords.cs",
    ];

    [Fact]
    public void Nothing_uses_what_lies_above_it() => None(SourceModel.Forbidden(Allowed)
        .Where(use => use.Used != "Query.Promql" || !s_misplaced.Contains(use.Name)).Select(use => $"{use.File.Path} uses {use.Name} of {use.Used}"));

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
    public void A_file_is_named_after_a_type_that_it_declares() => None(
        SourceModel.Files.Where(file => !file.Types.Contains(Path.GetFileName(file.Path).Split('.')[0])).Select(file => file.Path).Except(s_concepts));

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
