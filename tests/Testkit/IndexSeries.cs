using CsCheck;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Index;
using Observe.Tsdb.Model;

namespace Observe.Testkit;

/// <summary>Series for indexes, and an index file of them.</summary>
public static class IndexSeries
{
    static readonly Gen<string> s_value = Gen.OneOf(
        OneOf("a", "b", "ab", "", "prod-1", "prod-2", "dev", "ü", "\U0001F600"), Gen.String[Gen.Char['a', 'e'], 0, 3]);

    /// <summary>Series with few names and values, so that they share many; sorted, each once.</summary>
    public static Gen<Labels[]> Generator { get; } =
        Gen.Dictionary(OneOf("__name__", "job", "instance", "zone", "cluster"), s_value)[0, 4].Array[0, 80]
            .Select(all => all.Select(labels => Labels.Of(labels.AsEnumerable())).Distinct().Order().ToArray());

    public static Gen<T> OneOf<T>(params T[] values) => Gen.Int[0, values.Length - 1].Select(i => values[i]);

    public static string Write(string directory, IReadOnlyList<Labels> series, Func<int, ChunkMeta[]>? chunks = null)
    {
        var path = Path.Combine(directory, "index");
        using var writer = new IndexWriter(path);
        for (var i = 0; i < series.Count; i++)
        {
            writer.Add(series[i], chunks is null ? [new ChunkMeta(0, 10, (ulong)(8 + (i * 20)))] : chunks(i));
        }

        writer.Finish();
        return path;
    }

    public static IReadOnlyList<Labels> Read(IndexReader index, Postings postings)
    {
        var found = new List<Labels>();
        var reader = index.Series();
        while (postings.Next())
        {
            reader.Read(postings.Current);
            found.Add(reader.Labels);
        }

        return found;
    }
}

public sealed class TemporaryFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("observe-test-").FullName;

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
