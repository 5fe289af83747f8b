using System.Collections.Concurrent;
using System.IO.Hashing;
using System.Text;
using Observe.Tsdb.Model;

namespace Observe.Collector.Scrape;

/// <summary>One target's metadata of a metric family. Immutable; targets with equal metadata share one object.</summary>
sealed class MetricFamily(byte[] name, MetricType type, byte[] help, byte[] unit)
{
    public byte[] Name { get; } = name;

    public MetricType Type { get; } = type;

    public byte[] Help { get; } = help;

    public byte[] Unit { get; } = unit;
}

/// <summary>The metadata objects that targets of one pool share. Thread-safe.</summary>
sealed class MetricFamilyTable
{
    // Beyond this count the pool of shared objects is emptied, and targets scraped later hold copies of their own.
    const int MaxFamilies = 100_000;

    readonly ConcurrentDictionary<UInt128, MetricFamily> _families = [];

    // Counted here, since the dictionary's Count property takes all its locks.
    int _count;

    public MetricFamily Share(MetricFamily family)
    {
        if (Volatile.Read(ref _count) > MaxFamilies)
        {
            _families.Clear();
            Volatile.Write(ref _count, 0);
        }

        var hash = new XxHash128();
        ReadOnlySpan<byte> type = [(byte)family.Type];
        foreach (var part in new[] { family.Name, family.Help, family.Unit })
        {
            hash.Append(BitConverter.GetBytes(part.Length));
            hash.Append(part);
        }

        hash.Append(type);
        var shared = _families.GetOrAdd(hash.GetCurrentHashAsUInt128(), family);
        if (ReferenceEquals(shared, family))
        {
            Interlocked.Increment(ref _count);
        }

        return shared;
    }
}

/// <summary>
/// The metadata of one target, kept in the order of its exposition: while the exposition repeats the metadata of the scrape before, nothing
/// is allocated. Written by the target's scrape loop only; <see cref="Families"/> is thread-safe.
/// </summary>
sealed class MetadataStore(MetricFamilyTable table)
{
    // A family is dropped by the first scrape that lacks it; a scrape without any families keeps them all.
    const int MaxFamilies = 50_000;

    volatile MetricFamily[] _families = [];
    readonly List<MetricFamily> _next = [];
    bool _changed;
    int _position;

    byte[]? _name;
    MetricFamily? _guess;
    MetricType _type;
    byte[]? _help;
    byte[]? _unit;
    bool _helpSame;
    bool _unitSame;

    /// <summary>The families of the last scrape that went well.</summary>
    public IReadOnlyList<MetricFamily> Families => _families;

    public void Begin()
    {
        _next.Clear();
        (_changed, _position, _name) = (false, 0, null);
    }

    public void Type(ReadOnlySpan<byte> name, MetricType type)
    {
        Enter(name);
        _type = type;
    }

    public void Help(ReadOnlySpan<byte> name, ReadOnlySpan<byte> text)
    {
        Enter(name);
        _helpSame = _guess is not null && text.SequenceEqual(_guess.Help);
        _help = _helpSame ? null : text.ToArray();
    }

    public void Unit(ReadOnlySpan<byte> name, ReadOnlySpan<byte> text)
    {
        Enter(name);
        _unitSame = _guess is not null && text.SequenceEqual(_guess.Unit);
        _unit = _unitSame ? null : text.ToArray();
    }

    public void Complete()
    {
        Leave();
        if (_changed || (_position > 0 && _position != _families.Length))
        {
            var kept = _changed ? _next.ToArray() : _families[.._position];
            _families = kept;
        }
    }

    void Enter(ReadOnlySpan<byte> name)
    {
        if (_name is not null && name.SequenceEqual(_name))
        {
            return;
        }

        Leave();
        _guess = _position < _families.Length && name.SequenceEqual(_families[_position].Name) ? _families[_position] : null;
        _name = _guess?.Name ?? name.ToArray();
        (_type, _help, _unit, _helpSame, _unitSame) = (MetricType.Unknown, null, null, false, false);
    }

    void Leave()
    {
        if (_name is null)
        {
            return;
        }

        var help = _helpSame ? _guess!.Help : _help ?? [];
        var unit = _unitSame ? _guess!.Unit : _unit ?? [];
        var same = _guess is not null
            && _guess.Type == _type && ReferenceEquals(help, _guess.Help) | (help.Length == 0 && _guess.Help.Length == 0)
            && ReferenceEquals(unit, _guess.Unit) | (unit.Length == 0 && _guess.Unit.Length == 0);
        if (!same && !_changed)
        {
            _changed = true;
            _next.AddRange(_families.AsSpan(0, _position));
        }

        if (_changed && _next.Count < MaxFamilies)
        {
            _next.Add(same ? _guess! : table.Share(new MetricFamily(_name, _type, help, unit)));
        }

        _position++;
        _name = null;
    }

    public static MetricMetadata Describe(Labels target, MetricFamily family) => new(
        target, Encoding.UTF8.GetString(family.Name), family.Type, Encoding.UTF8.GetString(family.Help), Encoding.UTF8.GetString(
        family.Unit));
}
