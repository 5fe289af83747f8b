using Observe.Tsdb.Bytes;
using Observe.Tsdb.Index;
using Observe.Tsdb.Model;

namespace Observe.Tsdb.Head;

/// <summary>What became of a series of the log.</summary>
enum RestoreResult
{
    Restored,
    ImpossibleReference,
    ReferenceOfAnotherSeries,
    TooManyLabels,
}

/// <summary>
/// The series of a head by reference and by labels. References only rise; slots, in which the series lie, are used again.
/// </summary>
/// <remarks>
/// Thread-safe: labels and membership under a lock of its own, while <see cref="TryGetSlot"/> and <see cref="At"/> take none. What is in
/// a series besides its labels is guarded by the lock of its stripe; whoever acquires that checks that the slot still has the same series.
/// </remarks>
sealed class SeriesTable
{
    const int PageBits = 10;
    const int PageSize = 1 << PageBits;
    const int StripeCount = 256;

    readonly Lock _lock = new();
    readonly Lock[] _stripes = new Lock[StripeCount];
    readonly ByteArena _arena;
    readonly SymbolPool _symbols;
    readonly Dictionary<uint, uint> _aliases = [];
    MemSeries[][] _slots = [];
    int[]?[] _slotOf = [];
    int[] _buckets = new int[64];
    int _slotCount;
    int _free;
    uint _lastRef;
    long _count;

    public SeriesTable(ByteArena arena)
    {
        (_arena, _symbols) = (arena, new SymbolPool(arena));
        for (var i = 0; i < _stripes.Length; i++)
        {
            _stripes[i] = new Lock();
        }
    }

    public MemPostings Postings { get; } = new();

    public long Count => Volatile.Read(ref _count);

    /// <summary>Slots that were ever in use; a slot may be free.</summary>
    public int SlotCount => Volatile.Read(ref _slotCount);

    public int Symbols
    {
        get
        {
            lock (_lock)
            {
                return _symbols.Count;
            }
        }
    }

    /// <summary>The highest reference that was ever given to a series.</summary>
    public uint LastRef
    {
        get
        {
            lock (_lock)
            {
                return _lastRef;
            }
        }
    }

    /// <summary>Gives no reference up to this one to a new series.</summary>
    public void SkipTo(uint reference)
    {
        lock (_lock)
        {
            _lastRef = Math.Max(_lastRef, reference);
        }
    }

    public Lock Stripe(int slot) => _stripes[slot & (StripeCount - 1)];

    public ref MemSeries At(int slot) => ref Volatile.Read(ref _slots)[slot >> PageBits][slot & (PageSize - 1)];

    public bool TryGetSlot(ulong reference, out int slot)
    {
        var pages = Volatile.Read(ref _slotOf);
        slot = -1;
        if (reference >> PageBits < (ulong)pages.Length && pages[reference >> PageBits] is { } page)
        {
            slot = page[reference & (PageSize - 1)] - 1;
        }

        return slot >= 0;
    }

    /// <summary>The series with these labels, made when it is new; 0 when the labels are too many: tens of thousands.</summary>
    public uint GetOrAdd(Labels labels, out bool created)
    {
        lock (_lock)
        {
            var hash = (uint)labels.Hash();
            created = false;
            if (TryFind(labels, hash, out var slot))
            {
                return At(slot).Ref;
            }

            if (_lastRef == uint.MaxValue)
            {
                throw new InvalidOperationException("the head has made 4 294 967 295 series; restart the process");
            }

            var reference = Add(labels, hash, _lastRef + 1, SeriesFlags.None);
            if (reference == 0)
            {
                return 0;
            }

            created = true;
            Postings.Add(reference, labels);
            return reference;
        }
    }

    /// <summary>The series with these labels; 0 where there is none.</summary>
    public uint Find(Labels labels)
    {
        lock (_lock)
        {
            return TryFind(labels, (uint)labels.Hash(), out var slot) ? At(slot).Ref : 0;
        }
    }

    /// <summary>
    /// Adds a series of the log under the reference that it has there; an alias where a series with these labels exists. What is selected
    /// finds it after <see cref="EnterRestored"/> only, because scrapes that overlapped have logged their series in any order.
    /// </summary>
    public RestoreResult Restore(ulong reference, Labels labels)
    {
        if (reference is 0 or > uint.MaxValue)
        {
            return RestoreResult.ImpossibleReference;
        }

        lock (_lock)
        {
            if (TryGetSlot(reference, out var slot))
            {
                return Equal(At(slot), labels) ? RestoreResult.Restored : RestoreResult.ReferenceOfAnotherSeries;
            }

            _lastRef = Math.Max(_lastRef, (uint)reference);
            var hash = (uint)labels.Hash();
            if (!TryFind(labels, hash, out slot))
            {
                return Add(labels, hash, (uint)reference, SeriesFlags.Logged) == 0 ? RestoreResult.TooManyLabels : RestoreResult.Restored;
            }

            _aliases[(uint)reference] = At(slot).Ref;
            return RestoreResult.Restored;
        }
    }

    /// <summary>Enters all series that were restored into the postings, before any other is added.</summary>
    public void EnterRestored()
    {
        lock (_lock)
        {
            foreach (var page in _slotOf)
            {
                foreach (var slotPlusOne in page ?? [])
                {
                    if (slotPlusOne != 0)
                    {
                        ref readonly var series = ref At(slotPlusOne - 1);
                        Postings.Add(series.Ref, LabelsOf(series));
                    }
                }
            }
        }
    }

    /// <summary>Whether the series of a reference in the log still exists.</summary>
    public bool IsKnown(ulong reference) => TryGetSlot(Resolve(reference), out _);

    /// <summary>The reference of the series for which the log may have another one, an alias.</summary>
    public ulong Resolve(ulong reference)
    {
        if (_aliases.Count == 0 || reference > uint.MaxValue)
        {
            return reference;
        }

        lock (_lock)
        {
            return _aliases.TryGetValue((uint)reference, out var series) ? series : reference;
        }
    }

    /// <summary>False when the series was dropped.</summary>
    public bool TryGetLabels(uint reference, out Labels labels)
    {
        lock (_lock)
        {
            labels = default;
            if (!TryGetSlot(reference, out var slot))
            {
                return false;
            }

            labels = LabelsOf(At(slot));
            return true;
        }
    }

    /// <summary>Adds the labels of a series to a list, as numbers of a map: name, value, name, value…; false when the series was dropped.</summary>
    public bool TryReadSymbols(uint reference, SymbolMap map, List<int> numbers)
    {
        lock (_lock)
        {
            if (!TryGetSlot(reference, out var slot))
            {
                return false;
            }

            map.Follow(_symbols);
            ref readonly var series = ref At(slot);
            for (ReadOnlySpan<byte> rest = series.LabelsLength == 0 ? [] : _arena.Span(series.Labels, series.LabelsLength); !rest.IsEmpty;)
            {
                numbers.Add(map.NumberOf(ReadSymbol(ref rest)));
            }

            return true;
        }
    }

    /// <summary>Removes series. The caller has freed their chunks, and nothing is appended meanwhile.</summary>
    public void Drop(IReadOnlySet<uint> references)
    {
        Postings.Delete(references);
        lock (_lock)
        {
            foreach (var reference in references)
            {
                if (TryGetSlot(reference, out var slot))
                {
                    Remove(reference, slot);
                }
            }
        }
    }

    bool TryFind(Labels labels, uint hash, out int slot)
    {
        for (var i = _buckets[hash & (_buckets.Length - 1)]; i != 0; i = At(i - 1).Next)
        {
            ref readonly var series = ref At(i - 1);
            if (series.Hash == hash && (series.Flags & SeriesFlags.Dropped) == 0 && Equal(series, labels))
            {
                slot = i - 1;
                return true;
            }
        }

        slot = -1;
        return false;
    }

    /// <returns>0 when the labels are too many.</returns>
    uint Add(Labels labels, uint hash, uint reference, SeriesFlags flags)
    {
        using var encoded = new ByteWriter(128);
        foreach (var label in labels)
        {
            encoded.UVarint((ulong)_symbols.Use(label.Name));
            encoded.UVarint((ulong)_symbols.Use(label.Value));
        }

        if (encoded.Length > ushort.MaxValue)
        {
            Release(encoded.Written);
            return 0;
        }

        var slot = AllocateSlot();
        ref var series = ref At(slot);
        series = new MemSeries
        {
            Ref = reference,
            Hash = hash,
            Flags = flags,
            MaxTime = long.MinValue,
            LabelsLength = (ushort)encoded.Length
        };
        if (encoded.Length > 0)
        {
            series.Labels = _arena.Allocate(encoded.Length);
            encoded.Written.CopyTo(_arena.Span(series.Labels, encoded.Length));
        }

        Volatile.Write(ref _count, _count + 1);
        if (_count > _buckets.Length)
        {
            Rehash(slot);
        }

        Link(slot);
        SetSlot(reference, slot + 1);
        _lastRef = Math.Max(_lastRef, reference);
        return reference;
    }

    void Remove(uint reference, int slot)
    {
        ref var series = ref At(slot);
        ref var link = ref _buckets[series.Hash & (_buckets.Length - 1)];
        while (link != slot + 1)
        {
            link = ref At(link - 1).Next;
        }

        link = series.Next;
        if (series.LabelsLength > 0)
        {
            Release(_arena.Span(series.Labels, series.LabelsLength));
            _arena.Free(series.Labels, series.LabelsLength);
        }

        SetSlot(reference, 0);
        lock (Stripe(slot))
        {
            series = new MemSeries { Next = _free };
        }

        _free = slot + 1;
        Volatile.Write(ref _count, _count - 1);
    }

    void Release(ReadOnlySpan<byte> encoded)
    {
        while (!encoded.IsEmpty)
        {
            _symbols.Release(ReadSymbol(ref encoded));
        }
    }

    int AllocateSlot()
    {
        if (_free != 0)
        {
            var slot = _free - 1;
            _free = At(slot).Next;
            return slot;
        }

        if (_slotCount >> PageBits == _slots.Length)
        {
            var slots = _slots;
            Array.Resize(ref slots, _slots.Length + 1);
            slots[^1] = new MemSeries[PageSize];
            Volatile.Write(ref _slots, slots);
        }

        var fresh = _slotCount;
        Volatile.Write(ref _slotCount, fresh + 1);
        return fresh;
    }

    void SetSlot(uint reference, int slotPlusOne)
    {
        var page = (int)(reference >> PageBits);
        var pages = _slotOf;
        if (page >= pages.Length)
        {
            Array.Resize(ref pages, Math.Max(page + 1, pages.Length + (pages.Length / 2)));
        }

        var slots = pages[page] ??= new int[PageSize];
        Volatile.Write(ref slots[reference & (PageSize - 1)], slotPlusOne);
        if (slotPlusOne == 0 && slots.AsSpan().IndexOfAnyExcept(0) < 0)
        {
            pages[page] = null;
        }

        Volatile.Write(ref _slotOf, pages);
    }

    void Rehash(int except)
    {
        _buckets = new int[_buckets.Length * 2];
        for (var slot = 0; slot < _slotCount; slot++)
        {
            if (slot != except && At(slot).Ref != 0)
            {
                Link(slot);
            }
        }
    }

    void Link(int slot)
    {
        ref var bucket = ref _buckets[At(slot).Hash & (_buckets.Length - 1)];
        At(slot).Next = bucket;
        bucket = slot + 1;
    }

    static int ReadSymbol(ref ReadOnlySpan<byte> encoded)
    {
        var id = (int)Varint.ReadUnsigned(encoded, out var size);
        encoded = encoded[size..];
        return id;
    }

    bool Equal(in MemSeries series, Labels labels)
    {
        ReadOnlySpan<byte> encoded = series.LabelsLength == 0 ? [] : _arena.Span(series.Labels, series.LabelsLength);
        foreach (var label in labels)
        {
            if (encoded.IsEmpty || !_symbols.Text(ReadSymbol(ref encoded)).SequenceEqual(label.Name)
                || !_symbols.Text(ReadSymbol(ref encoded)).SequenceEqual(label.Value))
            {
                return false;
            }
        }

        return encoded.IsEmpty;
    }

    Labels LabelsOf(in MemSeries series)
    {
        if (series.LabelsLength == 0)
        {
            return default;
        }

        var length = 0;
        ReadOnlySpan<byte> symbols = _arena.Span(series.Labels, series.LabelsLength);
        for (var rest = symbols; !rest.IsEmpty;)
        {
            var size = _symbols.Text(ReadSymbol(ref rest)).Length;
            length += Varint.SizeUnsigned((ulong)size) + size;
        }

        var encoded = new byte[length];
        var at = 0;
        for (var rest = symbols; !rest.IsEmpty;)
        {
            var text = _symbols.Text(ReadSymbol(ref rest));
            at += Varint.WriteUnsigned(encoded.AsSpan(at), (ulong)text.Length);
            text.CopyTo(encoded.AsSpan(at));
            at += text.Length;
        }

        return new Labels(encoded);
    }
}
