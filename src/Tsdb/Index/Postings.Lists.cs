using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Observe.Tsdb.Index;

public abstract partial class Postings
{
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
}
