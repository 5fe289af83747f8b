using System.Numerics;
using System.Runtime.InteropServices;

namespace Observe.Tsdb.Head;

/// <summary>
/// Many small runs of bytes in a few large arrays: no object, no header for each. A run is named by a number and has the
/// capacity of its size class; freed runs are used again by the same class. Allocation is thread-safe; the bytes of a run belong to its
/// owner.
/// </summary>
sealed class ByteArena
{
    public const int MaxSize = BlockSize / 2;

    const int Unit = 16;
    const int BlockSize = 1 << 20;
    const int UnitsPerBlock = BlockSize / Unit;

    // 16..256 in steps of 16, then eight classes to each power of two.
    const int SmallClasses = 16;
    const int ClassesPerDoubling = 8;

    readonly Lock _lock = new();
    readonly uint[] _free = new uint[SmallClasses + (ClassesPerDoubling * 12)];
    byte[][] _blocks = [];
    int _blockCount;
    int _usedUnits = UnitsPerBlock;

    /// <summary>Bytes in use, slack of size classes included.</summary>
    public long UsedBytes { get; private set; }

    /// <summary>Bytes of all arrays.</summary>
    public long TotalBytes => (long)Volatile.Read(ref _blockCount) * BlockSize;

    /// <summary>A run of at least so many bytes, at most <see cref="MaxSize"/>; its bytes are whatever they were.</summary>
    /// <returns>Never 0.</returns>
    public uint Allocate(int size)
    {
        var sizeClass = ClassOf(size);
        var capacity = CapacityOf(sizeClass);
        lock (_lock)
        {
            UsedBytes += capacity;
            var run = _free[sizeClass];
            if (run != 0)
            {
                _free[sizeClass] = MemoryMarshal.Read<uint>(Span(run, sizeof(uint)));
                return run;
            }

            var units = capacity / Unit;
            if (_usedUnits + units > UnitsPerBlock)
            {
                FreeRest();
                AddBlock();
            }

            run = (uint)(((_blockCount - 1) * UnitsPerBlock) + _usedUnits);
            _usedUnits += units;
            return run;
        }
    }

    /// <param name="size">What it was allocated for.</param>
    public void Free(uint run, int size)
    {
        var sizeClass = ClassOf(size);
        lock (_lock)
        {
            UsedBytes -= CapacityOf(sizeClass);
            Push(run, sizeClass);
        }
    }

    /// <summary>The first bytes of a run.</summary>
    public Span<byte> Span(uint run, int length) =>
        new(Volatile.Read(ref _blocks)[run / UnitsPerBlock], (int)(run % UnitsPerBlock) * Unit, length);

    static int ClassOf(int size)
    {
        if (size <= SmallClasses * Unit)
        {
            return Math.Max(0, (size - 1) / Unit);
        }

        ArgumentOutOfRangeException.ThrowIfGreaterThan(size, MaxSize);
        var power = BitOperations.Log2((uint)(size - 1));
        var step = 1 << (power - 3);
        return SmallClasses + ((power - 8) * ClassesPerDoubling) + ((size - 1 - (1 << power)) / step);
    }

    static int CapacityOf(int sizeClass)
    {
        if (sizeClass < SmallClasses)
        {
            return (sizeClass + 1) * Unit;
        }

        var (doublings, steps) = Math.DivRem(sizeClass - SmallClasses, ClassesPerDoubling);
        return (1 << (doublings + 8)) + ((steps + 1) << (doublings + 5));
    }

    void AddBlock()
    {
        var blocks = _blocks;
        if (_blockCount == blocks.Length)
        {
            Array.Resize(ref blocks, Math.Max(8, blocks.Length * 2));
        }

        blocks[_blockCount] = GC.AllocateUninitializedArray<byte>(BlockSize);
        Volatile.Write(ref _blocks, blocks);
        Volatile.Write(ref _blockCount, _blockCount + 1);

        // Run 0 is none.
        _usedUnits = _blockCount == 1 ? 1 : 0;
    }

    /// <summary>What is left of a block that is too short for a run goes to the small classes.</summary>
    void FreeRest()
    {
        while (_usedUnits < UnitsPerBlock)
        {
            var units = Math.Min(SmallClasses, UnitsPerBlock - _usedUnits);
            Push((uint)(((_blockCount - 1) * UnitsPerBlock) + _usedUnits), units - 1);
            _usedUnits += units;
        }
    }

    void Push(uint run, int sizeClass)
    {
        MemoryMarshal.Write(Span(run, sizeof(uint)), _free[sizeClass]);
        _free[sizeClass] = run;
    }
}
