using Observe.Tsdb.Blocks;

namespace Observe.Collector.Sidecar;

/// <summary>
/// Keeps the local blocks that are served in step with the folder of a Prometheus: young ones, and those that the bucket lacks or may not
/// show yet.
/// </summary>
/// <param name="folder">Nothing is ever written there.</param>
/// <param name="pending">The folders of blocks that are not in the bucket.</param>
/// <param name="retention">From a block's newest sample on.</param>
/// <param name="grace">How long a block is served after its upload.</param>
public sealed class PrometheusBlocks(
    string folder, LocalBlocks served, Func<IReadOnlyList<string>> pending, TimeSpan retention, TimeSpan grace, TimeProvider time)
{
    readonly Dictionary<string, BlockMeta> _known = [];
    readonly Dictionary<string, DateTimeOffset> _wanted = [];

    /// <summary>
    /// Samples before it are in blocks, which are served as far as they have to be; long.MinValue before the first block. A block that claims
    /// to end in the future does not count: what the head has must not go for its sake. Unix milliseconds.
    /// </summary>
    public long End { get; private set; } = long.MinValue;

    /// <summary>What of the folder could not be read at the last look, and is tried at the next; "" when there is none.</summary>
    public string Fault { get; private set; } = "";

    /// <summary>Looks into the folder. What was joined is served before its parts are left.</summary>
    /// <exception cref="IOException">The folder can't be read at present.</exception>
    public void Sync()
    {
        Fault = "";
        var here = Directory.EnumerateDirectories(folder)
            .Where(path => BlockId.TryParse(Path.GetFileName(path), out _)).ToHashSet();
        foreach (var path in here.Where(path => !_known.ContainsKey(path)))
        {
            if (Read(path) is { } meta)
            {
                _known.Add(path, meta);
            }
        }

        foreach (var gone in _known.Keys.Where(path => !here.Contains(path)).ToList())
        {
            _known.Remove(gone);
        }

        var (now, waiting) = (time.GetUtcNow(), pending().ToHashSet());
        var oldest = (now - retention).ToUnixTimeMilliseconds();
        foreach (var (path, meta) in _known)
        {
            if (meta.MaxTime <= oldest && !waiting.Contains(path))
            {
                continue;
            }

            if (!_wanted.ContainsKey(path) && !TryServe(path))
            {
                continue;
            }

            _wanted[path] = now;
        }

        foreach (var path in _wanted.Where(one => !_known.ContainsKey(one.Key) || one.Value + grace < now).Select(one => one.Key).ToList())
        {
            served.Remove(path);
            _wanted.Remove(path);
        }

        var present = now.ToUnixTimeMilliseconds();
        End = _known.Values.Select(meta => meta.MaxTime).Where(end => end <= present).DefaultIfEmpty(long.MinValue).Max();
    }

    bool TryServe(string path)
    {
        try
        {
            served.Add(path);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Note(path, e);
            return false;
        }
    }

    /// <summary>A block that was deleted meanwhile is no fault.</summary>
    void Note(string path, Exception e) => Fault = Directory.Exists(path) ? $"{path}: {e.Message}" : Fault;

    /// <summary>Null where it is no block, which the shipper says, or can't be read at present.</summary>
    BlockMeta? Read(string path)
    {
        try
        {
            return BlockMeta.Read(path);
        }
        catch (Tsdb.Bytes.CorruptionException)
        {
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Note(path, e);
            return null;
        }
    }
}
