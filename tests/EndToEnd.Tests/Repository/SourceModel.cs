using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Observe.Testkit;

namespace Observe.EndToEnd.Tests.Repository;

/// <param name="Path">As from <c>src</c>, with slashes.</param>
/// <param name="Folder">Project and folders, apart by dots: <c>Tsdb.Bytes</c>.</param>
/// <param name="Tree">What the compiler reads in it.</param>
sealed record SourceFile(string Path, string Folder, SyntaxTree Tree)
{
    public CompilationUnitSyntax Root => (CompilationUnitSyntax)Tree.GetRoot();

    public IEnumerable<string> Namespaces => Root.DescendantNodes(node => node is CompilationUnitSyntax or BaseNamespaceDeclarationSyntax)
        .OfType<BaseNamespaceDeclarationSyntax>().Select(space => space.Name.ToString());

    /// <summary>The types that it declares outside of others.</summary>
    public IEnumerable<string> Types => Root.DescendantNodes(node => node is CompilationUnitSyntax or BaseNamespaceDeclarationSyntax).Select(node => node switch
    {
        BaseTypeDeclarationSyntax type => type.Identifier.Text,
        DelegateDeclarationSyntax type => type.Identifier.Text,
        GlobalStatementSyntax => "Program",
        _ => null,
    }).OfType<string>();
}

/// <summary>The source as the compiler understands it: every name that is used, led back to the folder of what it names.</summary>
/// <remarks>
/// A project is compiled against the assemblies that this test runs with. Its own is among them, for what generators and protobuf write
/// into it; where source and assembly have a type, the source's is taken.
/// </remarks>
static class SourceModel
{
    /// <summary>The assembly that may see what is internal in all others.</summary>
    const string Insider = "Observe.EndToEnd.Tests";

    const string ImplicitUsings = """
        global using System; global using System.Collections.Generic; global using System.IO; global using System.Linq;
        global using System.Net.Http; global using System.Threading; global using System.Threading.Tasks;
        """;

    static readonly CSharpParseOptions s_syntax = new(LanguageVersion.Latest, DocumentationMode.Parse);

    public static string Source { get; } = Path.Combine(Checkout.Root, "src");

    public static IReadOnlyList<SourceFile> Files { get; } = [.. Directory.EnumerateFiles(Source, "*.cs", SearchOption.AllDirectories)
        .Select(file => Path.GetRelativePath(Source, file).Replace('\\', '/'))
        .Where(path => !path.Contains("/obj/", StringComparison.Ordinal) && !path.Contains("/node_modules/", StringComparison.Ordinal))
        .Select(path => new SourceFile(
            path, Path.GetDirectoryName(path)!.Replace('/', '.'), CSharpSyntaxTree.ParseText(File.ReadAllText(Path.Combine(Source, path)), s_syntax, path)))
        .OrderBy(file => file.Path, StringComparer.Ordinal)];

    /// <summary>The namespace that a folder's files stand in.</summary>
    public static string Namespace(string folder) => folder == "Observe" || folder.StartsWith("Observe.", StringComparison.Ordinal) ? folder : "Observe." + folder;

    /// <summary>Names in files that lead to a type or a member of a folder that the file may not use.</summary>
    /// <remarks>
    /// Only names that such a folder declares, and no other that the file may use, are led back: to understand every name of every file takes
    /// the compiler a minute.
    /// </remarks>
    public static IReadOnlyList<(SourceFile File, string Name, string Used)> Forbidden(Func<string, string, bool> allowed)
    {
        var folders = Files.GroupBy(file => file.Folder).ToDictionary(folder => folder.Key, folder => folder.SelectMany(Declared).ToHashSet());
        var namespaces = folders.Keys.ToDictionary(Namespace);
        var references = ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator)
            .Select(path => MetadataReference.CreateFromFile(path)).ToList();
        var implicitUsings = CSharpSyntaxTree.ParseText(ImplicitUsings, s_syntax);
        var options = new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary, allowUnsafe: true, nullableContextOptions: NullableContextOptions.Enable);
        var faults = new List<(SourceFile, string, string)>();
        foreach (var project in Files.GroupBy(file => file.Path.Split('/')[0]))
        {
            var compilation = CSharpCompilation.Create(Insider, [implicitUsings, .. project.Select(file => file.Tree)], references, options);
            foreach (var folder in project.GroupBy(file => file.Folder))
            {
                var suspects = folders.Where(other => !allowed(folder.Key, other.Key)).SelectMany(other => other.Value).ToHashSet();
                suspects.ExceptWith(folders.Where(other => allowed(folder.Key, other.Key)).SelectMany(other => other.Value));
                foreach (var file in folder)
                {
                    var model = compilation.GetSemanticModel(file.Tree);
                    foreach (var node in file.Root.DescendantNodes(descendIntoTrivia: true).OfType<SimpleNameSyntax>())
                    {
                        if (suspects.Contains(node.Identifier.Text) && Origin(model, node) is { } origin
                            && namespaces.TryGetValue(origin, out var used) && !allowed(folder.Key, used))
                        {
                            faults.Add((file, node.Identifier.Text, used));
                        }
                    }
                }
            }
        }

        return faults;
    }

    /// <summary>The namespace of what a name stands for.</summary>
    static string? Origin(SemanticModel model, SimpleNameSyntax node)
    {
        var found = model.GetSymbolInfo(node);
        return (found.Symbol ?? found.CandidateSymbols.FirstOrDefault()) is { } symbol and not INamespaceSymbol
            ? symbol.ContainingNamespace?.ToDisplayString() : null;
    }

    /// <summary>The names of the types and members of a file.</summary>
    static IEnumerable<string> Declared(SourceFile file) => file.Root.DescendantNodes().Select(node => node switch
    {
        BaseTypeDeclarationSyntax type => type.Identifier.Text,
        DelegateDeclarationSyntax type => type.Identifier.Text,
        MethodDeclarationSyntax method => method.Identifier.Text,
        PropertyDeclarationSyntax property => property.Identifier.Text,
        EnumMemberDeclarationSyntax member => member.Identifier.Text,
        VariableDeclaratorSyntax { Parent.Parent: BaseFieldDeclarationSyntax } field => field.Identifier.Text,
        ParameterSyntax { Parent.Parent: RecordDeclarationSyntax } property => property.Identifier.Text,
        _ => null,
    }).OfType<string>();
}
