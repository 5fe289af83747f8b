using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Observe.Tsdb.Index;

/// <summary>
/// References of series, strictly rising, read once from front to back. A reference is what its index says: in a block's index
/// the entry's number (offset / 16), in the head its own numbering. Not thread-safe.
/// </summary>
public abstract class Postings
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

    static uint[] Union(List<Postings> lists)
    {
        var all = ArrayPool<uint>.Shared.Rent(SmallestBuffer);
        var count = 0;
        foreach (var list in lists)
        {
            count = list.AppendRest(ref all, count);
        }

        var union = Union(all.AsSpan(0, count));
        ArrayPool<uint>.Shared.Return(all);
        return union;
    }

    // Many lists are united through a bitmap where they are dense, and by sorting where they are not: both beat a heap of iterators.
    static uint[] Union(Span<uint> all)
    {
        if (all.IsEmpty)
        {
            return [];
        }

        var (min, max) = (uint.MaxValue, uint.MinValue);
        foreach (var reference in all)
        {
            (min, max) = (Math.Min(min, reference), Math.Max(max, reference));
        }

        if ((max - min) / 64 > (uint)all.Length)
        {
            all.Sort();
            var distinct = 1;
            foreach (var reference in all[1..])
            {
                if (reference != all[distinct - 1])
                {
                    all[distinct++] = reference;
                }
            }

            return all[..distinct].ToArray();
        }

        var words = new ulong[((max - min) / 64) + 1];
        foreach (var reference in all)
        {
            words[(reference - min) / 64] |= 1UL << (int)((reference - min) % 64);
        }

        var count = 0;
        foreach (var word in words)
        {
            count += System.Numerics.BitOperations.PopCount(word);
        }

        var union = new uint[count];
        var at = 0;
        for (var w = 0; w < words.Length; w++)
        {
            for (var word = words[w]; word != 0; word &= word - 1)
            {
                union[at++] = min + ((uint)w * 64) + (uint)System.Numerics.BitOperations.TrailingZeroCount(word);
            }
        }

        return union;
    }

    sealed class EmptyPostings : Postings
    {
        public override bool Next() => false;

        public override bool Seek(uint target) => false;
    }

    sealed class ArrayPostings(ReadOnlyMemory<uint> sorted) : Postings
    {
        int _at = -1;

        public override ReadOnlyMemory<uint> Rest()
        {
            var rest = sorted[Math.Min(_at + 1, sorted.Length)..];
            _at = sorted.Length;
            return rest;
        }

        internal override int AppendRest(ref uint[] all, int count)
        {
            var rest = Rest().Span;
            EnsureCapacity(ref all, count, rest.Length);
            rest.CopyTo(all.AsSpan(count));
            return count + rest.Length;
        }

        public override bool Next()
        {
            if (_at + 1 >= sorted.Length)
            {
                _at = sorted.Length;
                return false;
            }

            Current = sorted.Span[++_at];
            return true;
        }

        public override bool Seek(uint target)
        {
            if (_at >= 0 && _at < sorted.Length && Current >= target)
            {
                return true;
            }

            var span = sorted.Span;
            var low = Math.Max(_at, 0);
            // Galloping: most seeks of an intersection go a short way.
            var step = 1;
            var high = low;
            while (high < span.Length && span[high] < target)
            {
                low = high + 1;
                high += step;
                step *= 2;
            }

            high = Math.Min(high, span.Length);
            while (low < high)
            {
                var middle = (low + high) >>> 1;
                (low, high) = span[middle] < target ? (middle + 1, high) : (low, middle);
            }

            _at = low;
            if (low == span.Length)
            {
                return false;
            }

            Current = span[low];
            return true;
        }
    }

    sealed class BigEndianPostings(ReadOnlyMemory<byte> bytes) : Postings
    {
        readonly int _count = bytes.Length / 4;
        int _at = -1;

        public override ReadOnlyMemory<uint> Rest()
        {
            var rest = new uint[_count - Math.Min(_at + 1, _count)];
            DecodeRest(rest);
            return rest;
        }

        internal override int AppendRest(ref uint[] all, int count)
        {
            var length = _count - Math.Min(_at + 1, _count);
            EnsureCapacity(ref all, count, length);
            DecodeRest(all.AsSpan(count, length));
            return count + length;
        }

        void DecodeRest(Span<uint> rest)
        {
            var encoded = MemoryMarshal.Cast<byte, uint>(bytes.Span)[^rest.Length..];
            _at = _count;
            if (BitConverter.IsLittleEndian)
            {
                BinaryPrimitives.ReverseEndianness(encoded, rest);
            }
            else
            {
                encoded.CopyTo(rest);
            }
        }

        public override bool Next()
        {
            if (_at + 1 >= _count)
            {
                _at = _count;
                return false;
            }

            Current = At(bytes.Span, ++_at);
            return true;
        }

        public override bool Seek(uint target)
        {
            if (_at >= 0 && _at < _count && Current >= target)
            {
                return true;
            }

            var span = bytes.Span;
            var low = Math.Max(_at, 0);
            var step = 1;
            var high = low;
            while (high < _count && At(span, high) < target)
            {
                low = high + 1;
                high += step;
                step *= 2;
            }

            high = Math.Min(high, _count);
            while (low < high)
            {
                var middle = (low + high) >>> 1;
                (low, high) = At(span, middle) < target ? (middle + 1, high) : (low, middle);
            }

            _at = low;
            if (low == _count)
            {
                return false;
            }

            Current = At(span, low);
            return true;
        }

        static uint At(ReadOnlySpan<byte> span, int index) => BinaryPrimitives.ReadUInt32BigEndian(span[(index * 4)..]);
    }

    sealed class IntersectPostings(Postings[] all) : Postings
    {
        public override bool Next() => all[0].Next() && Align(all[0].Current);

        public override bool Seek(uint target) => all[0].Seek(target) && Align(all[0].Current);

        bool Align(uint target)
        {
            for (var agreed = 1; agreed < all.Length;)
            {
                var list = all[agreed];
                if (!list.Seek(target))
                {
                    return false;
                }

                if (list.Current == target)
                {
                    agreed++;
                    continue;
                }

                if (!all[0].Seek(list.Current))
                {
                    return false;
                }

                target = all[0].Current;
                agreed = 1;
            }

            Current = target;
            return true;
        }
    }

    sealed class UnionPostings(Postings left, Postings right) : Postings
    {
        bool _started, _left, _right;

        internal override int AppendRest(ref uint[] all, int count)
        {
            if (_started)
            {
                return base.AppendRest(ref all, count);
            }

            _started = true;
            uint[] a = ArrayPool<uint>.Shared.Rent(SmallestBuffer), b = ArrayPool<uint>.Shared.Rent(SmallestBuffer);
            var (countA, countB, i, j) = (left.AppendRest(ref a, 0), right.AppendRest(ref b, 0), 0, 0);
            EnsureCapacity(ref all, count, countA + countB);
            while (i < countA && j < countB)
            {
                var (x, y) = (a[i], b[j]);
                all[count++] = Math.Min(x, y);
                i += x <= y ? 1 : 0;
                j += y <= x ? 1 : 0;
            }

            a.AsSpan(i..countA).CopyTo(all.AsSpan(count));
            count += countA - i;
            b.AsSpan(j..countB).CopyTo(all.AsSpan(count));
            count += countB - j;
            ArrayPool<uint>.Shared.Return(a);
            ArrayPool<uint>.Shared.Return(b);
            return count;
        }

        public override bool Next()
        {
            if (!_started)
            {
                (_started, _left, _right) = (true, left.Next(), right.Next());
            }
            else
            {
                var (takenLeft, takenRight) = (_left && left.Current == Current, _right && right.Current == Current);
                _left = takenLeft ? left.Next() : _left;
                _right = takenRight ? right.Next() : _right;
            }

            return Settle();
        }

        public override bool Seek(uint target)
        {
            if (_started && (_left || _right) && Current >= target)
            {
                return true;
            }

            (_left, _right) = ((!_started || _left) && left.Seek(target), (!_started || _right) && right.Seek(target));
            _started = true;
            return Settle();
        }

        bool Settle()
        {
            if (!_left && !_right)
            {
                return false;
            }

            Current = !_right || (_left && left.Current < right.Current) ? left.Current : right.Current;
            return true;
        }
    }

    sealed class WithoutPostings(Postings full, Postings drop) : Postings
    {
        bool _dropEnded;

        public override bool Next() => full.Next() && Settle();

        public override bool Seek(uint target) => full.Seek(target) && Settle();

        bool Settle()
        {
            while (true)
            {
                _dropEnded = _dropEnded || !drop.Seek(full.Current);
                if (_dropEnded || drop.Current != full.Current)
                {
                    Current = full.Current;
                    return true;
                }

                if (!full.Next())
                {
                    return false;
                }
            }
        }
    }
}
