using Observe.Tsdb.Bytes;

namespace Observe.Tsdb.Index;

/// <summary>
/// The symbols section of an index or index-header. Every 32nd symbol's position is in memory; the groups between are read when they
/// are asked for, and the last few hundred kept. Thread-safe.
/// </summary>
public sealed class SymbolsReader : ISymbols
{
    const int CachedGroups = 512;

    /// <summary>Bytes of symbols that are all kept in memory, with the place of each.</summary>
    const int Small = 4 << 20;

    readonly IndexFile _file;
    readonly int _version;
    readonly long _shift;
    readonly List<long> _groups = [];
    readonly long _end;
    readonly Group?[] _cache = [];
    readonly byte[]? _all;
    readonly int[] _places = [];

    sealed record Group(int Number, byte[] Bytes);

    /// <param name="position">Of the section's length field in the file.</param>
    /// <param name="indexPosition">
    /// The same in the index that the section was copied from: references of version 1 are offsets in it.
    /// </param>
    public SymbolsReader(IndexFile file, long position, int version, long? indexPosition = null)
    {
        (_file, _version, _shift) = (file, version, (indexPosition ?? position) - position);
        var reader = SequentialReader.OfSection(file, position);
        Count = reader.UInt32();
        var length = file.ReadUInt32(position);
        if (version > 1 && length <= Small && Count <= length)
        {
            _end = position + 4 + length;
            _all = new byte[length];
            _places = new int[Count + 1];
            var at = 0;
            for (uint i = 0; i < Count; i++)
            {
                var symbol = reader.LengthPrefixed();
                symbol.CopyTo(_all.AsSpan(at));
                _places[i + 1] = at += symbol.Length;
            }

            Array.Resize(ref _all, at);
            reader.VerifyChecksum();
            return;
        }

        _cache = new Group?[CachedGroups];
        for (uint i = 0; i < Count; i++)
        {
            if (i % IndexFormat.Sampling == 0)
            {
                _groups.Add(reader.Position);
            }

            reader.LengthPrefixed();
        }

        _end = reader.Position;
        reader.VerifyChecksum();
    }

    public uint Count { get; }

    public ReadOnlySpan<byte> Symbol(uint reference) => _version == 1 ? AtOffset(reference - _shift) : AtNumber(reference);

    /// <summary>All symbols in order.</summary>
    public IEnumerable<byte[]> All()
    {
        for (uint i = 0; i < Count; i++)
        {
            yield return AtNumber(i).ToArray();
        }
    }

    ReadOnlySpan<byte> AtNumber(uint number)
    {
        if (number >= Count)
        {
            CorruptionException.Throw(_file.Path, _end, $"there is no symbol {number} among {Count}");
        }

        if (_all is not null)
        {
            return _all.AsSpan(_places[number], _places[number + 1] - _places[number]);
        }

        var group = (int)(number / IndexFormat.Sampling);
        var reader = new ByteReader(Bytes(group), _file.Path, _groups[group]);
        for (var skip = number % IndexFormat.Sampling; skip > 0; skip--)
        {
            reader.LengthPrefixed();
        }

        return reader.LengthPrefixed();
    }

    ReadOnlySpan<byte> AtOffset(long position)
    {
        var group = _groups.BinarySearch(position);
        group = group >= 0 ? group : ~group - 1;
        if (group < 0 || position >= _end)
        {
            CorruptionException.Throw(_file.Path, position, "there is no symbol here");
        }

        var reader = new ByteReader(Bytes(group), _file.Path, _groups[group]);
        reader.Skip((int)(position - _groups[group]));
        return reader.LengthPrefixed();
    }

    byte[] Bytes(int number)
    {
        ref var slot = ref _cache[number % CachedGroups];
        var group = Volatile.Read(ref slot);
        if (group?.Number != number)
        {
            var end = number + 1 < _groups.Count ? _groups[number + 1] : _end;
            group = new Group(number, _file.Read(_groups[number], checked((int)(end - _groups[number]))));
            Volatile.Write(ref slot, group);
        }

        return group.Bytes;
    }
}
