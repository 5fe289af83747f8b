using Microsoft.Extensions.Logging;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Model;

namespace Observe.Store.Shipping;

/// <summary>A damaged block is never shipped: what is whole in it becomes a block of its own, and it is set aside.</summary>
public sealed partial class Shipper
{
    readonly HashSet<BlockId> _verified = [];
    readonly Dictionary<string, string> _damaged = [];

    /// <summary>Folders of blocks that were made of damaged ones.</summary>
    readonly HashSet<string> _salvaged = [];

    /// <summary>Verifies what a reader found damaged: it is opened anew when that has passed, or replaced by what is whole in it.</summary>
    async Task VerifySuspectsAsync(List<OutboxBlock> blocks, CancellationToken cancellationToken)
    {
        foreach (var folder in _options.Salvaged is null ? [] : _options.Suspects())
        {
            var at = blocks.FindIndex(block => block.Folder == folder);
            if (at < 0)
            {
                continue;
            }

            _verified.Remove(blocks[at].Meta.Id);
            if (Faults(blocks[at], cancellationToken) is not { } fault)
            {
                await (_options.Deleting?.Invoke(folder, cancellationToken) ?? ValueTask.CompletedTask);
                await _options.Salvaged!(folder, cancellationToken);
            }
            else
            {
                await ReplaceAsync(blocks, at, fault, cancellationToken);
            }
        }
    }

    async Task ReplaceAsync(List<OutboxBlock> blocks, int at, string fault, CancellationToken cancellationToken)
    {
        var damaged = blocks[at];
        var salvaged = await SetAsideAsync(damaged.Folder, damaged.Entry, fault, cancellationToken);
        if (!_damaged.ContainsKey(damaged.Folder))
        {
            blocks.RemoveAt(at);
            if (salvaged is not null)
            {
                blocks.Insert(at, salvaged);
            }
        }
    }

    /// <summary>Writes what is whole in a damaged block into a new one, and moves the damaged one out of the readers' way.</summary>
    /// <param name="entry">What is known of the damaged one: the new one is as far as that.</param>
    /// <returns>The new block; null when there is none.</returns>
    async Task<OutboxBlock?> SetAsideAsync(string folder, OutboxEntry? entry, string fault, CancellationToken cancellationToken)
    {
        if (_options.Salvaged is null || _salvaged.Contains(folder))
        {
            Damaged(folder, fault);
            return null;
        }

        var id = BlockId.New(_options.Time.GetUtcNow(), _options.Random);
        var salvage = BlockSalvage.Run(folder, _options.Directory, id, cancellationToken);
        var written = Path.Combine(_options.Directory, id.ToString());
        _salvaged.Add(written);
        if (salvage.Meta is not null)
        {
            await _options.Salvaged(written, cancellationToken);
        }

        await (_options.Deleting?.Invoke(folder, cancellationToken) ?? ValueTask.CompletedTask);
        Damaged(
            Outbox.SetAside(folder),
            salvage.Meta is null
                ? $"{fault}; nothing in it is whole"
                : $"{fault}; what is whole in it is block {id}, {salvage.LostChunks} chunks and {salvage.LostStretches} stretches of the index are lost: {string.Join("; ", salvage.Faults)}");
        if (salvage.Meta is null)
        {
            // Its times are those that it had when it was found.
            var lost = BlockId.Parse(Path.GetFileName(folder));
            if ((entry ?? _outbox.Find(lost)) is { Shipped: null, Times: { } times })
            {
                _outbox.Lose(lost, new TimeRange(times.MinTime, times.MaxTime), "damaged on the collector's disk", _options.Time.GetUtcNow());
            }

            return null;
        }

        var block = _outbox.Read(out _, out _).Single(block => block.Meta.Id == id);
        return entry is null ? block : _outbox.Set(block, entry);
    }

    /// <summary>Verifies a block by decoding every sample, once for each block, however often its upload is tried; null when it is whole.</summary>
    string? Faults(OutboxBlock block, CancellationToken cancellationToken)
    {
        if (_verified.Contains(block.Meta.Id))
        {
            return null;
        }

        var faults = BlockVerifier.Verify(block.Folder, decode: true, cancellationToken);
        if (faults.Count == 0)
        {
            _verified.Add(block.Meta.Id);
            return null;
        }

        return string.Join("; ", faults.Take(BlockSalvage.MaxFaults));
    }

    void Damaged(string folder, string fault)
    {
        if (_damaged.TryAdd(folder, fault))
        {
            _options.Metrics.Corrupted.Inc();
            LogDamaged(_options.Logger, folder, fault);
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "block is damaged and kept here: {Folder}: {Fault}")]
    private static partial void LogDamaged(ILogger logger, string folder, string fault);
}
