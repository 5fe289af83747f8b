using System.Buffers;

namespace Observe.Tsdb.Index;

/// <summary>
/// References of series, strictly rising, read once from front to back. A reference is what its index says: in a block's index
/// the entry's number (offset / 16), in the head its own numbering. Not thread-safe.
/// </summary>
public abstract partial class Postings
{
    const int SmallestBuffer = 256;

    public static Postings Empty { get; } = new EmptyPostings();

    /// <summary>The reference that the last successful Next or Seek stopped at.</summary>
    public uint Current { get; protected set; }

    public abstract bool Next();

    /// <summary>Goes to the first reference at or after <paramref name="target"/>; stays where it is when it is there already.</summary>
    public abstract bool Seek(uint target);

    /// <param name="sorted">Strictly rising; not copied, not to be changed while it is read.</param>
    public static Postings Of(ReadOnlyMemory<uint> sorted) => sorted.IsEmpty ? Empty : new ArrayPostings(sorted);

    /// <summary>Over big-endian references as they lie in an index file.</summary>
    /// <param name="bytes">A multiple of four bytes; not copied.</param>
    public static Postings OfBigEndian(ReadOnlyMemory<byte> bytes) => bytes.IsEmpty ? Empty : new BigEndianPostings(bytes);

    /// <summary>What is in all of them; nothing for none.</summary>
    public static Postings Intersect(params IReadOnlyList<Postings> all)
    {
        if (all.Count == 0 || all.Any(p => p is EmptyPostings))
        {
            return Empty;
        }

        return all.Count == 1 ? all[0] : new IntersectPostings([.. all]);
    }

    /// <summary>What is in at least one of them.</summary>
    public static Postings Merge(params IReadOnlyList<Postings> all)
    {
        var some = all.Where(p => p is not EmptyPostings).ToList();
        return some.Count switch
        {
            0 => Empty,
            1 => some[0],
            2 => new UnionPostings(some[0], some[1]),
            _ => Of(Union(some)),
        };
    }

    /// <summary>As <see cref="Merge"/>, without reading more of the lists than is asked for.</summary>
    public static Postings MergeLazily(ReadOnlySpan<Postings> all) => all.Length switch
    {
        0 => Empty,
        1 => all[0],
        _ => new UnionPostings(MergeLazily(all[..(all.Length / 2)]), MergeLazily(all[(all.Length / 2)..])),
    };

    /// <summary>What is in the first and not in the second.</summary>
    public static Postings Without(Postings full, Postings drop) =>
        full is EmptyPostings || drop is EmptyPostings ? full : new WithoutPostings(full, drop);

    /// <summary>Whether a list that was not read yet has any of these references.</summary>
    /// <param name="sorted">Strictly rising.</param>
    public static bool Overlap(Postings list, ReadOnlySpan<uint> sorted)
    {
        while (!sorted.IsEmpty && list.Seek(sorted[0]))
        {
            var step = 1;
            while (step < sorted.Length && sorted[step] < list.Current)
            {
                step *= 2;
            }

            var (low, high) = (step / 2, Math.Min(step + 1, sorted.Length));
            while (low < high)
            {
                var middle = (low + high) >>> 1;
                (low, high) = sorted[middle] < list.Current ? (middle + 1, high) : (low, middle);
            }

            if (low < sorted.Length && sorted[low] == list.Current)
            {
                return true;
            }

            sorted = sorted[low..];
        }

        return false;
    }

    /// <summary>All that is left, read at once.</summary>
    /// <returns>Not to be changed.</returns>
    public virtual ReadOnlyMemory<uint> Rest()
    {
        var all = ArrayPool<uint>.Shared.Rent(SmallestBuffer);
        var rest = AppendRest(ref all, 0);
        var copy = all.AsSpan(0, rest).ToArray();
        ArrayPool<uint>.Shared.Return(all);
        return copy;
    }

    /// <summary>The next ones, as many as there are and fit.</summary>
    /// <returns>How many.</returns>
    public int Take(Span<uint> references)
    {
        var count = 0;
        while (count < references.Length && Next())
        {
            references[count++] = Current;
        }

        return count;
    }

    /// <summary>As <see cref="Rest"/>, for the caller to keep.</summary>
    public uint[] ToArray() => Rest().ToArray();

    /// <summary>All that is left, into an array of the shared pool, which is replaced where it is too small.</summary>
    /// <returns>How many there are in it then.</returns>
    internal virtual int AppendRest(ref uint[] all, int count)
    {
        while (Next())
        {
            EnsureCapacity(ref all, count, 1);
            all[count++] = Current;
        }

        return count;
    }

    private protected static void EnsureCapacity(ref uint[] all, int count, int more)
    {
        if (all.Length - count < more)
        {
            var larger = ArrayPool<uint>.Shared.Rent(Math.Max(count * 2, count + more));
            all.AsSpan(0, count).CopyTo(larger);
            ArrayPool<uint>.Shared.Return(all);
            all = larger;
        }
    }
}
