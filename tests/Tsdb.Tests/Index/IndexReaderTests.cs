using System.Buffers.Binary;
using CsCheck;
using Observe.Testkit;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Index;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Tsdb.Tests.Index;

public class IndexReaderTests
{
    [Fact]
    public Task What_was_written_is_read() =>
        Gen.Select(IndexSeries.Generator, Gen.Long[-1L << 40, 1L << 40], Gen.Int[0, 5]).SampleAsync(
            async (series, start, count) =>
            {
                ChunkMeta[] Chunks(int i) =>
                    [.. Enumerable.Range(0, count).Select(c => new ChunkMeta(start + (c * 100), start + (c * 100) + 60 + (i % 40), (ulong)((i * 1000) + (c * 7))))];
                using var folder = new TemporaryFolder();
                using var index = new IndexReader(IndexSeries.Write(folder.Path, series, Chunks));
                var reader = index.Series();
                var all = index.Select([]).ToArray();
                Assert.Equal(series.Length, all.Length);
                for (var i = 0; i < all.Length; i++)
                {
                    reader.Read(all[i]);
                    Assert.Equal(series[i], reader.Labels);
                    Assert.Equal(Chunks(i), reader.Chunks);
                }

                Assert.Equal(
                    series.SelectMany(s => s.ToDictionary().Keys).Distinct().Order(Utf8Order.Instance), index.LabelNames());
                using var labels = index.Labels();
                foreach (var name in index.LabelNames())
                {
                    var values = series.Select(s => s.Get(name)).Where(v => v.Length > 0).ToList();
                    Assert.Equal(values.Distinct().Order(Utf8Order.Instance), await labels.ValuesAsync(name, [], int.MaxValue, default));
                    var size = index.Lists.Size(Utf8Order.Bytes(name));
                    Assert.Equal((values.Distinct().Count(), values.Count), (size.Values, size.References));
                    Assert.True(values.Count == series.Length || !size.HasAll);
                }
            },
            iter: 40);

    [Fact]
    public void Names_with_more_values_than_one_group_are_found_one_by_one_and_all_together()
    {
        var series = Enumerable.Range(0, 1_000).Select(i => Labels.Of(("__name__", "m"), ("pod", $"pod-{i}"))).Order().ToArray();
        using var folder = new TemporaryFolder();
        using var index = new IndexReader(IndexSeries.Write(folder.Path, series));
        foreach (var wanted in series)
        {
            var found = index.Select([new Matcher(Tsdb.Model.MatchType.Equal, "pod", wanted.Get("pod"))]);
            Assert.Equal([wanted], IndexSeries.Read(index, found));
        }

        Assert.Equal(series, IndexSeries.Read(index, index.Select([new Matcher(Tsdb.Model.MatchType.Regex, "pod", "pod-.*")])));
        Assert.False(index.Lists.TryGet("pod"u8, "pod-"u8, out _));
        Assert.False(index.Lists.TryGet("pod"u8, "zzz"u8, out _));
        Assert.False(index.Lists.TryGet("zzz"u8, "pod-1"u8, out _));
    }

    [Fact]
    public void A_flipped_byte_is_corruption_or_changes_nothing()
    {
        using var folder = new TemporaryFolder();
        var series = Enumerable.Range(0, 9).Select(i => Labels.Of(("__name__", "m"), ("i", $"{i}"), ("j", $"{i % 3}"))).Order().ToArray();
        var path = IndexSeries.Write(folder.Path, series);
        var good = File.ReadAllBytes(path);
        var damaged = Path.Combine(folder.Path, "damaged");
        var corrupt = 0;
        for (var at = 0; at < good.Length; at++)
        {
            var bytes = (byte[])good.Clone();
            bytes[at] ^= (byte)(1 << (at % 8));
            File.WriteAllBytes(damaged, bytes);
            try
            {
                using var index = new IndexReader(damaged);
                Assert.Equal(series, IndexSeries.Read(index, index.Select([])));
                foreach (var name in index.LabelNames())
                {
                    Assert.Equal(9, index.Select([new Matcher(Tsdb.Model.MatchType.Regex, name, ".{1,}")]).ToArray().Length);
                }
            }
            catch (CorruptionException)
            {
                corrupt++;
            }
        }

        // What is left is padding, and the two offsets of label indices.
        Assert.True(corrupt > good.Length * 0.8, $"{corrupt} of {good.Length} damages were noticed");
    }

    [Fact]
    public void A_cut_file_is_corruption()
    {
        using var folder = new TemporaryFolder();
        var good = File.ReadAllBytes(IndexSeries.Write(folder.Path, [Labels.Of(("a", "b"))]));
        var cut = Path.Combine(folder.Path, "cut");
        for (var length = 0; length < good.Length; length++)
        {
            File.WriteAllBytes(cut, good[..length]);
            Assert.Throws<CorruptionException>(() => new IndexReader(cut).Dispose());
        }
    }

    /// <summary>Version 1: symbols and series are referred to by offset, and the offset table is in no order.</summary>
    [Fact]
    public async Task Version_1_is_read()
    {
        using var folder = new TemporaryFolder();
        var path = Path.Combine(folder.Path, "index");
        File.WriteAllBytes(path, VersionOne());
        using var index = new IndexReader(path);
        Assert.Equal(1, index.Version);
        Assert.Equal([Labels.Of(("a", "x")), Labels.Of(("a", "y"))], IndexSeries.Read(index, index.Select([])));
        Assert.Equal([Labels.Of(("a", "y"))], IndexSeries.Read(index, index.Select([new Matcher(Tsdb.Model.MatchType.Equal, "a", "y")])));
        Assert.Equal([Labels.Of(("a", "x"))], IndexSeries.Read(index, index.Select([new Matcher(Tsdb.Model.MatchType.NotRegex, "a", "y|z")])));
        using var labels = index.Labels();
        Assert.Equal(["x", "y"], await labels.ValuesAsync("a", [], int.MaxValue, default));
        Assert.Equal(2, index.Lists.Size("a"u8).Values);
    }

    [Fact]
    public void Golden_indexes_are_written_again_byte_for_byte()
    {
        var files = Directory.GetFiles(Required.Shared("blocks"), "index", SearchOption.AllDirectories);
        Assert.Equal(7, files.Length);
        foreach (var file in files)
        {
            using var folder = new TemporaryFolder();
            using var index = new IndexReader(file);
            var reader = index.Series();
            if (index.Symbols.Symbol(0).Length > 0)
            {
                Assert.Contains("thanos", file, StringComparison.Ordinal);
                continue; // its writer left "" out of the symbols, which Prometheus does not
            }

            var path = Path.Combine(folder.Path, "index");
            using (var writer = new IndexWriter(path))
            {
                for (var all = index.Select([]); all.Next();)
                {
                    reader.Read(all.Current);
                    writer.Add(reader.Labels, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(reader.Chunks));
                }

                writer.Finish();
            }

            var (theirs, ours) = (File.ReadAllBytes(file), File.ReadAllBytes(path));
            if (index.Toc.LabelIndices == index.Toc.Postings)
            {
                Assert.Equal(theirs, ours);
                continue;
            }

            // Older writers put label indices between series and postings, which shifts all after them.
            using var written = new IndexReader(path);
            Assert.Equal(theirs[5..(int)index.Toc.LabelIndices], ours[5..(int)index.Toc.LabelIndices]);
            var (start, end) = ((int)index.Toc.Postings, (int)index.Toc.LabelIndicesTable);
            Assert.Equal(theirs[start..end], ours[((int)written.Toc.PostingsTable - (end - start))..(int)written.Toc.PostingsTable]);
        }
    }

    static byte[] VersionOne()
    {
        using var file = new ByteWriter();
        file.UInt32(0xBAAAD700);
        file.Byte(1);
        var symbols = file.Length;
        var offsets = new List<uint>();
        using (var content = new ByteWriter())
        {
            content.UInt32(3);
            foreach (var symbol in new[] { "a", "x", "y" })
            {
                offsets.Add((uint)(symbols + 4 + content.Length));
                content.LengthPrefixed(Utf8Order.Bytes(symbol));
            }

            Section(file, content);
        }

        var series = new List<uint>();
        var seriesStart = file.Length;
        foreach (var value in offsets.Skip(1))
        {
            using var entry = new ByteWriter();
            entry.UVarint(1);
            entry.UVarint(offsets[0]);
            entry.UVarint(value);
            entry.UVarint(0);
            series.Add((uint)file.Length);
            file.LengthPrefixed(entry.Written);
            file.UInt32(Crc32C.Of(entry.Written));
        }

        var postings = file.Length;
        var table = new List<(string Name, string Value, int Offset)>();
        foreach (var (name, value, references) in new (string, string, uint[])[] { ("a", "y", [series[1]]), ("a", "x", [series[0]]), ("", "", [.. series]) })
        {
            table.Add((name, value, file.Length));
            using var list = new ByteWriter();
            list.UInt32((uint)references.Length);
            foreach (var reference in references)
            {
                list.UInt32(reference);
            }

            Section(file, list);
        }

        var tableStart = file.Length;
        using (var content = new ByteWriter())
        {
            content.UInt32((uint)table.Count);
            foreach (var (name, value, offset) in table)
            {
                content.UVarint(2);
                content.LengthPrefixed(Utf8Order.Bytes(name));
                content.LengthPrefixed(Utf8Order.Bytes(value));
                content.UVarint((ulong)offset);
            }

            Section(file, content);
        }

        var toc = file.Length;
        foreach (var position in new[] { symbols, seriesStart, 0, 0, postings, tableStart })
        {
            file.UInt64((ulong)position);
        }

        file.UInt32(Crc32C.Of(file.Written[toc..]));
        return file.Written.ToArray();
    }

    static void Section(ByteWriter file, ByteWriter content)
    {
        file.UInt32((uint)content.Length);
        file.Raw(content.Written);
        Span<byte> checksum = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(checksum, Crc32C.Of(content.Written));
        file.Raw(checksum);
    }
}
