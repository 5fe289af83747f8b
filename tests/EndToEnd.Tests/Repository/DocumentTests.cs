using System.Text.RegularExpressions;
using Observe.Testkit;
using Xunit;

namespace Observe.EndToEnd.Tests.Repository;

/// <summary>What the documents say of the tree is so: every path they name exists, every folder has its heading.</summary>
public sealed partial class DocumentTests
{
    [Fact]
    public void Every_folder_of_the_source_has_a_heading_in_the_architecture()
    {
        var text = File.ReadAllText(Path.Combine(Checkout.Root, "ARCHITECTURE.md"));
        var headings = Heading().Matches(text).Select(m => m.Groups["path"].Value).ToHashSet();
        var folders = Directory.EnumerateFiles(Path.Combine(Checkout.Root, "src"), "*.cs", SearchOption.AllDirectories)
            .Select(f => Path.GetRelativePath(Checkout.Root, Path.GetDirectoryName(f)!).Replace('\\', '/'))
            .Where(f => !f.Contains("/obj", StringComparison.Ordinal) && !f.Contains("node_modules", StringComparison.Ordinal))
            .ToHashSet();
        Assert.Empty(folders.Except(headings));
        Assert.DoesNotContain(headings, h => !Directory.Exists(Path.Combine(Checkout.Root, h)));
    }

    [Fact]
    public void A_format_page_names_the_files_that_implement_it()
    {
        var pages = Directory.GetFiles(Path.Combine(Checkout.Root, "docs", "format"), "*.md");
        Assert.NotEmpty(pages);
        foreach (var page in pages)
        {
            var last = File.ReadAllText(page).TrimEnd().Split("\n\n")[^1];
            Assert.StartsWith("Implemented by:", last, StringComparison.Ordinal);
            foreach (Match path in PathName().Matches(last))
            {
                Assert.True(System.IO.Path.Exists(System.IO.Path.Combine(Checkout.Root, path.Value)), $"{page} names {path.Value}, which is not there");
            }
        }
    }

    [Fact]
    public void Links_between_documents_lead_somewhere()
    {
        var faults = from page in Pages()
                     from Match link in Link().Matches(File.ReadAllText(page))
                     let target = link.Groups["target"].Value
                     where !target.Contains("://", StringComparison.Ordinal)
                     where !System.IO.Path.Exists(System.IO.Path.Combine(System.IO.Path.GetDirectoryName(page)!, target))
                     select $"{page}: {target}";
        Assert.Empty(faults);
    }

    static IEnumerable<string> Pages() =>
        Directory.EnumerateFiles(Checkout.Root, "*.md").Concat(Directory.EnumerateFiles(System.IO.Path.Combine(Checkout.Root, "docs"), "*.md", SearchOption.AllDirectories));

    [GeneratedRegex(@"^#+ \[?`?(?<path>src/[\w/.]+?)/?`?[\]:(]", RegexOptions.Multiline)]
    private static partial Regex Heading();

    [GeneratedRegex(@"(src|tests|docs|deploy|dashboards)/[\w/.*-]+\w")]
    private static partial Regex PathName();

    [GeneratedRegex(@"\]\((?<target>[^)#\s]+)(#[^)]*)?\)")]
    private static partial Regex Link();
}
