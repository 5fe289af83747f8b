using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text.Unicode;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;
using ZstdSharp;

namespace Observe.Store.Live;

/// <summary>How the sections of a slice are compressed.</summary>
enum SliceCompression : byte
{
    None = 0,
    Zstd = 1,
}

/// <summary>The samples of a slice, unpacked.</summary>
/// <param name="series">Their labels, valid until this is disposed.</param>
/// <param name="floats">By series, then time.</param>
/// <param name="histograms">By series, then time.</param>
public sealed class SliceSamples(
    LabelsWriter memory, IReadOnlyList<Labels> series, ReadOnlyMemory<SliceSample> floats, IReadOnlyList<SliceHistogram> histograms) : IDisposable
{
    public IReadOnlyList<Labels> Series => series;

    public ReadOnlyMemory<SliceSample> Floats => floats;

    public IReadOnlyList<SliceHistogram> Histograms => histograms;

    public void Dispose() => memory.Dispose();
}

/// <summary>A sealed slice, whose hash was checked.</summary>
/// <remarks>Format: docs/format/live-slice.md.</remarks>
public sealed class Slice
{
    /// <summary>The most bytes that an object may have, and the sections of a slice when unpacked.</summary>
    public const int MaxSize = 64 << 20;

    /// <summary>The most series that a slice may have, and the most samples.</summary>
    public const int MaxCount = 4_000_000;

    const uint Magic = 0x0B5E11CE;
    const byte Version = 1;

    /// <summary>Magic, version and length.</summary>
    const int PrefixSize = 9;

    readonly ReadOnlyMemory<byte> _content;
    readonly string _source;
    readonly long _origin;

    Slice(SliceHeader header, ReadOnlyMemory<byte> hash, ReadOnlyMemory<byte> content, string source, long origin) =>
        (Header, Hash, _content, _source, _origin) = (header, hash, content, source, origin);

    public SliceHeader Header { get; }

    /// <summary>What the next slice names as the one before it.</summary>
    public ReadOnlyMemory<byte> Hash { get; }

    /// <summary>Seals samples; the hash is the last <see cref="SliceHeader.HashSize"/> bytes.</summary>
    public static byte[] Seal(SliceHeader header, PackedSamples samples)
    {
        using var head = new ByteWriter(512);
        header.Write(head);
        using var sealing = new ByteWriter(head.Length + samples.Content.Length + 64);
        sealing.UInt32(Magic);
        sealing.Byte(Version);
        sealing.UInt32(0);
        sealing.LengthPrefixed(head.Written);
        sealing.Raw(samples.Content.Span);
        var size = sealing.Length + SliceHeader.HashSize;
        BinaryPrimitives.WriteUInt32BigEndian(sealing.WrittenMutable[5..], (uint)(size - PrefixSize));
        var sealedBytes = new byte[size];
        sealing.Written.CopyTo(sealedBytes);
        SHA256.HashData(sealing.Written, sealedBytes.AsSpan(sealing.Length));
        return sealedBytes;
    }

    /// <summary>The slices of an object, each held against its hash.</summary>
    /// <param name="source">Names the object in errors.</param>
    /// <exception cref="CorruptionException">The object is no sequence of whole slices of a version that is known.</exception>
    public static IReadOnlyList<Slice> Parse(ReadOnlyMemory<byte> bytes, string source)
    {
        var slices = new List<Slice>();
        for (var at = 0; at < bytes.Length || at == 0;)
        {
            var rest = bytes[at..];
            var reader = new ByteReader(rest.Span, source, at);
            if (reader.UInt32() != Magic)
            {
                CorruptionException.Throw(source, at, "is no live slice");
            }

            if (reader.Byte() is var version && version != Version)
            {
                CorruptionException.Throw(source, at, $"is a live slice in version {version}, not {Version}");
            }

            var length = reader.UInt32();
            if (length < SliceHeader.HashSize || length > (uint)reader.Remaining)
            {
                CorruptionException.Throw(source, at, "ends before its slice does");
            }

            var size = PrefixSize + (int)length;
            slices.Add(Read(rest[..size], source, at));
            at += size;
        }

        return slices;
    }

    /// <summary>Unpacks the samples.</summary>
    /// <exception cref="CorruptionException">They are not in the form of a slice.</exception>
    public SliceSamples Unpack()
    {
        var sections = new ByteReader(Unpacked(), _source, _origin);
        var symbols = new List<(int Start, int Length)>();
        ReadOnlySpan<byte> texts = default;
        var (memory, series) = (new LabelsWriter(), new List<Labels>());
        ReadOnlyMemory<SliceSample> floats = default;
        var histograms = new List<SliceHistogram>();
        try
        {
            while (!sections.AtEnd)
            {
                var type = sections.UVarint();
                var content = sections.LengthPrefixed();
                switch (type)
                {
                    case (ulong)SectionType.Symbols:
                        texts = content;
                        ReadSymbols(content, symbols);
                        break;
                    case (ulong)SectionType.Series:
                        ReadSeries(content, texts, symbols, memory, series);
                        break;
                    case (ulong)SectionType.Floats:
                        floats = FloatColumns.Read(content, series.Count, Header.Samples, _source, _origin);
                        break;
                    case (ulong)SectionType.Histograms:
                        ReadHistograms(content, series.Count, histograms);
                        break;
                    default:
                        break;
                }
            }

            if (series.Count != Header.Series || floats.Length + histograms.Count != Header.Samples)
            {
                CorruptionException.Throw(_source, _origin, "has other series or samples than its header says");
            }

            foreach (ref readonly var sample in floats.Span)
            {
                Check(sample.Time);
            }

            histograms.ForEach(sample => Check(sample.Time));

            return new SliceSamples(memory, series, floats, histograms);
        }
        catch
        {
            memory.Dispose();
            throw;
        }
    }

    void Check(long time)
    {
        if (time < Header.Range.MinTime || time > Header.Range.MaxTime)
        {
            CorruptionException.Throw(_source, _origin, "has samples of other times than its header says");
        }
    }

    static Slice Read(ReadOnlyMemory<byte> bytes, string source, long origin)
    {
        var hashed = bytes[..^SliceHeader.HashSize];
        var hash = bytes[^SliceHeader.HashSize..];
        if (!SHA256.HashData(hashed.Span).AsSpan().SequenceEqual(hash.Span))
        {
            CorruptionException.ThrowChecksum(source, origin);
        }

        var reader = new ByteReader(hashed.Span, source, origin);
        reader.Skip(PrefixSize);
        var header = SliceHeader.Read(reader.LengthPrefixed(), source, origin + PrefixSize);
        return new Slice(header, hash, hashed[reader.Position..], source, origin + reader.Position);
    }

    byte[] Unpacked()
    {
        var reader = new ByteReader(_content.Span, _source, _origin);
        var (compression, length) = ((SliceCompression)reader.Byte(), reader.UVarint());
        var packed = reader.LengthPrefixed();
        if (length > MaxSize || !reader.AtEnd || compression > SliceCompression.Zstd
            || (compression == SliceCompression.None && (ulong)packed.Length != length))
        {
            CorruptionException.Throw(_source, _origin, "has sections in no form that is known");
        }

        if (compression == SliceCompression.None)
        {
            return packed.ToArray();
        }

        try
        {
            var unpacked = new byte[length];
            using var decompressor = new Decompressor();
            return decompressor.Unwrap(packed, unpacked) == unpacked.Length
                ? unpacked : throw new CorruptionException(_source, _origin, "has sections shorter than it says");
        }
        catch (Exception e) when (e is ZstdException or InvalidDataException or ArgumentException)
        {
            throw new CorruptionException(_source, _origin, $"has sections that can't be unpacked: {e.Message}", e);
        }
    }

    void ReadSymbols(ReadOnlySpan<byte> content, List<(int Start, int Length)> symbols)
    {
        var reader = new ByteReader(content, _source, _origin);
        for (var count = reader.Length(); count > 0; count--)
        {
            var length = reader.Length();
            symbols.Add((reader.Position, length));
            if (!Utf8.IsValid(reader.Take(length)))
            {
                reader.Fail("a symbol that is no text");
            }
        }
    }

    void ReadSeries(
        ReadOnlySpan<byte> content, ReadOnlySpan<byte> texts, List<(int Start, int Length)> symbols, LabelsWriter memory, List<Labels> series)
    {
        var reader = new ByteReader(content, _source, _origin);
        var (names, values) = (new List<int>(), new List<int>());
        var count = reader.Length();
        if (count != Header.Series)
        {
            reader.Fail("other series than the header says");
        }

        for (; count > 0; count--)
        {
            var labels = reader.UVarint();
            if (labels > (ulong)reader.Remaining + 1)
            {
                reader.Fail("more labels than bytes");
            }

            if (labels > 0)
            {
                names.Clear();
                for (var i = 1; i < (int)labels; i++)
                {
                    names.Add(Symbol(ref reader, (long)Math.Min(reader.UVarint(), long.MaxValue), symbols));
                }
            }

            values.RemoveRange(Math.Min(names.Count, values.Count), Math.Max(0, values.Count - names.Count));
            ReadOnlySpan<byte> last = default;
            for (var i = 0; i < names.Count; i++)
            {
                if (i == values.Count)
                {
                    values.Add(0);
                }

                values[i] = Symbol(ref reader, reader.Varint() + values[i], symbols);
                var name = Text(texts, symbols[names[i]]);
                var value = Text(texts, symbols[values[i]]);
                if (name.IsEmpty || value.IsEmpty || (i > 0 && name.SequenceCompareTo(last) <= 0))
                {
                    reader.Fail("labels that no series can have");
                }

                memory.Add(name, value);
                last = name;
            }

            series.Add(memory.Take());
        }

        if (!reader.AtEnd)
        {
            reader.Fail("bytes behind the last series");
        }
    }

    static int Symbol(ref ByteReader reader, long number, List<(int Start, int Length)> symbols)
    {
        if (number < 0 || number >= symbols.Count)
        {
            reader.Fail("a symbol that there is not");
        }

        return (int)number;
    }

    static ReadOnlySpan<byte> Text(ReadOnlySpan<byte> texts, (int Start, int Length) symbol) => texts.Slice(symbol.Start, symbol.Length);

    void ReadHistograms(ReadOnlySpan<byte> content, int series, List<SliceHistogram> histograms)
    {
        var reader = new ByteReader(content, _source, _origin);
        var batch = new SampleBatch();
        for (var count = reader.Length(); count > 0; count--)
        {
            var (number, encoding) = (reader.UVarint(), (ChunkEncoding)reader.Byte());
            var chunk = new Chunk(0, 0, encoding, reader.LengthPrefixed().ToArray());
            if (number >= (ulong)series)
            {
                reader.Fail("a histogram of no series");
            }

            if (encoding is not (ChunkEncoding.Histogram or ChunkEncoding.FloatHistogram
                or ChunkEncoding.HistogramWithStart or ChunkEncoding.FloatHistogramWithStart))
            {
                reader.Fail("a chunk of no histograms");
            }

            using var samples = ChunkIterators.Open(chunk, Aggregate.Raw, _source, _origin);
            while (samples.Read(batch))
            {
                if (histograms.Count + batch.Count > Header.Samples)
                {
                    reader.Fail("more histograms than the header says");
                }

                for (var i = 0; i < batch.Count; i++)
                {
                    histograms.Add(new SliceHistogram(
                        (int)number, batch.Timestamps[i], batch.Histograms[i], batch.HasStartTimestamps ? batch.StartTimestamps[i] : 0));
                }
            }
        }

        if (!reader.AtEnd)
        {
            reader.Fail("bytes behind the last histogram");
        }
    }
}
