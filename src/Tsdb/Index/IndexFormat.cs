using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Index;

/// <summary>Constants of the index file. Its layout is in docs/format/index.md.</summary>
public static class IndexFormat
{
    public const uint Magic = 0xBAAAD700;
    public const int HeaderSize = 5;
    public const int TocSize = (6 * 8) + 4;
    public const int SeriesAlignment = 16;

    /// <summary>One symbol and one entry of the offset table in so many is kept in memory.</summary>
    public const int Sampling = 32;
}

/// <summary>Where the index's sections start; 0 where one is absent.</summary>
public readonly record struct IndexToc(
    long Symbols, long Series, long LabelIndices, long LabelIndicesTable, long Postings, long PostingsTable)
{
    /// <param name="bytes">The last <see cref="IndexFormat.TocSize"/> bytes of the file.</param>
    /// <param name="position">Where they stand: no section starts later.</param>
    public static IndexToc Parse(ReadOnlySpan<byte> bytes, string source, long position)
    {
        var reader = new ByteReader(bytes, source, position);
        var content = bytes[..^4];
        var toc = new IndexToc(
            Offset(ref reader), Offset(ref reader), Offset(ref reader), Offset(ref reader), Offset(ref reader), Offset(ref reader));
        if (reader.UInt32() != Crc32C.Of(content))
        {
            CorruptionException.ThrowChecksum(source, position);
        }

        return toc;

        long Offset(ref ByteReader reader)
        {
            var offset = reader.UInt64();
            if (offset > (ulong)position)
            {
                reader.Fail("a section starts past the end");
            }

            return (long)offset;
        }
    }
}

/// <summary>Where a postings list lies in an index: from its length field to, at most, where the next one starts.</summary>
public readonly record struct PostingsRange(long Start, long End);

/// <summary>Symbols of an index by their reference: a number from 0, in version 1 the offset in the file.</summary>
public interface ISymbols
{
    /// <exception cref="CorruptionException">There is no such symbol.</exception>
    ReadOnlySpan<byte> Symbol(uint reference);
}

/// <summary>The codec of one entry of the series section, without its length and checksum.</summary>
public static class SeriesEntry
{
    /// <param name="labels">Gets the labels, which are to be taken or dropped then.</param>
    /// <param name="chunks">Cleared, then filled in order of time; null to leave chunks out.</param>
    public static void Decode(
        ReadOnlySpan<byte> entry, string source, long origin, ISymbols symbols, LabelsWriter labels, List<ChunkMeta>? chunks)
    {
        labels.Drop();
        chunks?.Clear();
        var reader = new ByteReader(entry, source, origin);
        for (var count = reader.UVarint(); count > 0; count--)
        {
            var name = symbols.Symbol(Reference(ref reader));
            var value = symbols.Symbol(Reference(ref reader));
            if (!value.IsEmpty)
            {
                labels.Add(name, value);
            }
        }

        if (chunks is not null)
        {
            DecodeChunks(ref reader, chunks);
        }
    }

    /// <summary>Adds the names of an entry's labels to others.</summary>
    /// <param name="known">References of the names that are there; gets those that are added.</param>
    public static void DecodeNames(
        ReadOnlySpan<byte> entry, string source, long origin, ISymbols symbols, HashSet<uint> known, HashSet<string> names)
    {
        var reader = new ByteReader(entry, source, origin);
        for (var count = reader.UVarint(); count > 0; count--)
        {
            var (name, value) = (Reference(ref reader), Reference(ref reader));
            if (!known.Contains(name) && !symbols.Symbol(value).IsEmpty)
            {
                known.Add(name);
                names.Add(System.Text.Encoding.UTF8.GetString(symbols.Symbol(name)));
            }
        }
    }

    public static void EncodeChunks(ReadOnlySpan<ChunkMeta> chunks, ByteWriter output)
    {
        output.UVarint((ulong)chunks.Length);
        for (var i = 0; i < chunks.Length; i++)
        {
            var chunk = chunks[i];
            if (i == 0)
            {
                output.Varint(chunk.MinTime);
                output.UVarint((ulong)(chunk.MaxTime - chunk.MinTime));
                output.UVarint(chunk.Ref);
            }
            else
            {
                output.UVarint((ulong)(chunk.MinTime - chunks[i - 1].MaxTime));
                output.UVarint((ulong)(chunk.MaxTime - chunk.MinTime));
                output.Varint((long)(chunk.Ref - chunks[i - 1].Ref));
            }
        }
    }

    static void DecodeChunks(ref ByteReader reader, List<ChunkMeta> chunks)
    {
        ChunkMeta last = default;
        for (var count = reader.UVarint(); count > 0; count--)
        {
            var first = chunks.Count == 0;
            var minTime = first ? reader.Varint() : last.MaxTime + (long)reader.UVarint();
            var maxTime = minTime + (long)reader.UVarint();
            last = new ChunkMeta(minTime, maxTime, first ? reader.UVarint() : last.Ref + (ulong)reader.Varint());
            chunks.Add(last);
        }
    }

    static uint Reference(ref ByteReader reader)
    {
        var reference = reader.UVarint();
        if (reference > uint.MaxValue)
        {
            reader.Fail("a symbol's reference is larger than 32 bits");
        }

        return (uint)reference;
    }
}
