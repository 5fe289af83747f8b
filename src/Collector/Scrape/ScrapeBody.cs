using System.Buffers;
using System.Buffers.Binary;
using System.IO.Compression;
using System.IO.Hashing;
using System.Numerics;

namespace Observe.Collector.Scrape;

/// <summary>A body read whole into one buffer, uncompressed. Dispose returns the buffer.</summary>
/// <remarks>Large buffers are not pooled: a pool would keep those of every size that a target has ever grown through.</remarks>
sealed class ScrapeBody : IDisposable
{
    /// <summary>Bytes of the largest buffer that is pooled.</summary>
    const int MaxPooled = 1 << 20;

    readonly BodyBudget _budget;
    byte[]? _buffer;

    ScrapeBody(byte[] buffer, BodyBudget budget) => (_buffer, _budget) = (buffer, budget);

    public int Length { get; private set; }

    public ReadOnlyMemory<byte> Memory => _buffer.AsMemory(0, Length);

    /// <summary>Reads a stream to its end; null when it reaches the limit.</summary>
    /// <param name="expected">The buffer's size at first, in bytes; waits until the budget allows it.</param>
    /// <param name="limit">Bytes; 0 for as much as an array holds.</param>
    /// <exception cref="BodyBudgetException">The body has grown beyond what was expected and what there is.</exception>
    public static async ValueTask<ScrapeBody?> ReadAsync(
        Stream stream, int expected, long limit, BodyBudget budget, CancellationToken cancellationToken)
    {
        var body = await NewAsync(Capacity(expected, limit), budget, cancellationToken);
        try
        {
            while (await stream.ReadAsync(body.Reserve(limit), cancellationToken) is > 0 and var read)
            {
                if (!body.Take(read, limit))
                {
                    body.Dispose();
                    return null;
                }
            }

            return body;
        }
        catch
        {
            body.Dispose();
            throw;
        }
    }

    /// <summary>Decompresses gzip; null when the uncompressed body reaches the limit. Disposes the compressed body.</summary>
    /// <exception cref="InvalidDataException">The body is no gzip, or is damaged.</exception>
    /// <exception cref="BodyBudgetException">It has grown beyond what was expected and what there is.</exception>
    public static async ValueTask<ScrapeBody?> DecompressAsync(ScrapeBody compressed, int expected, long limit, CancellationToken cancellationToken)
    {
        using (compressed)
        {
            var body = await NewAsync(Capacity(expected, limit), compressed._budget, cancellationToken);
            try
            {
                using var stream = new GZipStream(
                    new MemoryStream(compressed._buffer!, 0, compressed.Length, writable: false), CompressionMode.Decompress);
                while (stream.Read(body.Reserve(limit).Span) is > 0 and var read)
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    if (!body.Take(read, limit))
                    {
                        body.Dispose();
                        return null;
                    }
                }

                body.CheckTrailer(compressed.Memory.Span);
                return body;
            }
            catch
            {
                body.Dispose();
                throw;
            }
        }
    }

    /// <summary>
    /// A gzip ends with the CRC and the length of its last member: these show that the body is whole, since GZipStream does not tell a
    /// stream that breaks off from one that ends.
    /// </summary>
    void CheckTrailer(ReadOnlySpan<byte> compressed)
    {
        if (compressed.Length < 18)
        {
            throw new InvalidDataException("the gzip breaks off");
        }

        var crc = BinaryPrimitives.ReadUInt32LittleEndian(compressed[^8..]);
        var length = BinaryPrimitives.ReadUInt32LittleEndian(compressed[^4..]);
        if (length > Length || (length == 0 && Length > 0) || Crc32.HashToUInt32(_buffer.AsSpan(Length - (int)length, (int)length)) != crc)
        {
            throw new InvalidDataException("the gzip breaks off or is damaged");
        }
    }

    public void Dispose()
    {
        if (_buffer is { } buffer)
        {
            _buffer = null;
            Return(buffer, _budget);
        }
    }

    static async ValueTask<ScrapeBody> NewAsync(int size, BodyBudget budget, CancellationToken cancellationToken)
    {
        await budget.ReserveAsync(Charged(size), cancellationToken);
        return new ScrapeBody(Rent(size), budget);
    }

    static byte[] Rent(int size) =>
        size <= MaxPooled ? ArrayPool<byte>.Shared.Rent(Charged(size)) : GC.AllocateUninitializedArray<byte>(size);

    static void Return(byte[] buffer, BodyBudget budget)
    {
        if (buffer.Length <= MaxPooled)
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }

        budget.Return(buffer.Length);
    }

    /// <summary>What a buffer of at least that size has: the pool's come in powers of two.</summary>
    static int Charged(int size) => size <= MaxPooled ? Math.Max(16, (int)BitOperations.RoundUpToPowerOf2((uint)size)) : size;

    static int Capacity(int expected, long limit)
    {
        var capacity = Math.Max(expected + (expected / 8), 4096);
        return limit > 0 ? (int)Math.Min(capacity, limit) : capacity;
    }

    /// <summary>Memory for more bytes behind those that were read, hardly more than the limit allows.</summary>
    Memory<byte> Reserve(long limit)
    {
        if (Length == _buffer!.Length)
        {
            var capacity = Math.Min(_buffer.Length * 2L, limit > 0 ? limit : Array.MaxLength);
            if (capacity <= Length)
            {
                throw new InvalidDataException("the body is longer than any array");
            }

            _budget.Reserve(Charged((int)capacity));
            var larger = Rent((int)capacity);
            _buffer.AsSpan(0, Length).CopyTo(larger);
            Return(_buffer, _budget);
            _buffer = larger;
        }

        return _buffer.AsMemory(Length);
    }

    bool Take(int read, long limit)
    {
        Length += read;
        return limit <= 0 || Length < limit;
    }
}
