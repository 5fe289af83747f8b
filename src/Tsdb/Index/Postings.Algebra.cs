using System.Buffers;

namespace Observe.Tsdb.Index;

public abstract partial class Postings
{
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
