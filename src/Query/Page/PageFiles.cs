using System.IO.Compression;
using System.Reflection;
using System.Security.Cryptography;

namespace Observe.Query.Page;

/// <summary>A file of the page, as the server sends it.</summary>
/// <param name="Gzip">Null where it would not be shorter.</param>
/// <param name="Tag">Strong ETag, quotes included.</param>
sealed record PageFile(string ContentType, byte[] Content, byte[]? Gzip, string Tag)
{
    /// <summary>Whether the file's name has a hash of its content, so that the file never changes.</summary>
    public bool IsHashed { get; init; }
}

/// <summary>The bundle of src/Query/ui that was embedded when the assembly was built; empty when there was none.</summary>
sealed class PageFiles
{
    const string Prefix = "page/";
    const int CompressFromBytes = 1024;
    readonly Dictionary<string, Lazy<PageFile>> _files;

    /// <param name="files">By path; read when first asked for.</param>
    public PageFiles(IEnumerable<(string Path, Func<byte[]> Read)> files) =>
        _files = files.ToDictionary(f => f.Path, f => new Lazy<PageFile>(() => Prepare(f.Path, f.Read())), StringComparer.Ordinal);

    /// <summary>An assembly's resources named <c>page/PATH</c>.</summary>
    public static PageFiles Of(Assembly assembly) => new(
        from name in assembly.GetManifestResourceNames()
        where name.StartsWith(Prefix, StringComparison.Ordinal)
        select (name[Prefix.Length..].Replace('\\', '/'), (Func<byte[]>)(() => Read(assembly, name))));

    /// <summary>The file at a path; null when the assembly was built without it.</summary>
    public PageFile? Index => Find("index.html");

    public PageFile? Find(string path) => _files.TryGetValue(path, out var file) ? file.Value : null;

    static byte[] Read(Assembly assembly, string name)
    {
        using var resource = assembly.GetManifestResourceStream(name)!;
        var content = new byte[resource.Length];
        resource.ReadExactly(content);
        return content;
    }

    static PageFile Prepare(string path, byte[] content)
    {
        using var packed = new MemoryStream();
        if (content.Length >= CompressFromBytes)
        {
            using var gzip = new GZipStream(packed, CompressionLevel.SmallestSize, leaveOpen: true);
            gzip.Write(content);
        }

        return new PageFile(
            ContentType(path),
            content,
            packed.Length > 0 && packed.Length < content.Length ? packed.ToArray() : null,
            $"\"{Convert.ToHexStringLower(SHA256.HashData(content).AsSpan(0, 12))}\"")
        {
            IsHashed = path.StartsWith("assets/", StringComparison.Ordinal),
        };
    }

    static string ContentType(string path) => Path.GetExtension(path) switch
    {
        ".html" => "text/html; charset=utf-8",
        ".js" => "text/javascript; charset=utf-8",
        ".css" => "text/css; charset=utf-8",
        ".svg" => "image/svg+xml",
        ".json" => "application/json",
        ".txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    };
}
