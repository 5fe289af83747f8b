using System.IO.Hashing;
using Observe.Store.Api.Wire;
using Observe.Tsdb.Model;

namespace Observe.Store.Api;

/// <summary>
/// Whether a series belongs to a shard: xxHash64 of the shard's labels, each name and value ended by 0xff, as Thanos has it.
/// </summary>
sealed class ShardMatcher
{
    readonly XxHash64 _hash = new();
    readonly HashSet<string> _names;
    readonly ShardInfo _shard;

    ShardMatcher(ShardInfo shard) => (_shard, _names) = (shard, [.. shard.Labels]);

    public static ShardMatcher? Of(ShardInfo? shard) => shard is { TotalShards: >= 1 } ? new ShardMatcher(shard) : null;

    public bool Matches(Labels labels)
    {
        foreach (var label in labels)
        {
            if (_names.Contains(label.NameText) == _shard.By)
            {
                _hash.Append(label.Name);
                _hash.Append([0xff]);
                _hash.Append(label.Value);
                _hash.Append([0xff]);
            }
        }

        var hash = _hash.GetCurrentHashAsUInt64();
        _hash.Reset();
        return hash % (ulong)_shard.TotalShards == (ulong)_shard.ShardIndex;
    }
}
