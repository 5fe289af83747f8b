using System.Diagnostics;
using System.Globalization;
using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;

namespace Observe.Benchmarks.Interference;

/// <summary>
/// A bucket in a folder, made once: of each of several clusters two replicas' blocks of two hours, which compaction makes one of, sample by
/// sample. The clusters' samples are the same bytes, linked.
/// </summary>
sealed class ReplicaBlocks(string folder, int series, int clusters)
{
    const long TwoHours = 7_200_000;
    const long Interval = 15_000;

    /// <summary>When the blocks begin; Unix milliseconds.</summary>
    public long Start { get; private set; }

    public long End => Start + TwoHours;

    string Bucket => Path.Combine(folder, "bucket");

    /// <summary>Makes the blocks, if they are not there.</summary>
    public async Task MakeAsync()
    {
        var done = Path.Combine(folder, "done");
        if (File.Exists(done))
        {
            Start = long.Parse(await File.ReadAllTextAsync(done), CultureInfo.InvariantCulture);
            return;
        }

        var now = TimeProvider.System.GetUtcNow();
        Start = (now.ToUnixTimeMilliseconds() / TwoHours * TwoHours) - (3 * TwoHours);
        var random = new Random(1);
        await using var bucket = new FileBucket(Bucket, TimeProvider.System);
        var blocks = new BucketBlocks(bucket);
        foreach (var replica in (string[])["a", "b"])
        {
            var id = BlockId.New(now, random);
            var folderOfBlock = Write(id, replica, random);
            for (var cluster = 0; cluster < clusters; cluster++)
            {
                var copy = BlockId.New(now.AddMilliseconds(cluster), random);
                var target = Path.Combine(folder, copy.ToString());
                await RunAsync("cp", "-rl", folderOfBlock, target);
                var path = Path.Combine(target, BlockMeta.FileName);
                var meta = BlockMeta.Parse(await File.ReadAllBytesAsync(path), path);
                File.Delete(path);
                await File.WriteAllBytesAsync(path, (meta with
                {
                    Id = copy,
                    Compaction = meta.Compaction with { Sources = [copy] },
                    Thanos = new ThanosSection { Labels = new Dictionary<string, string> { ["cluster"] = $"c{cluster}", ["replica"] = replica } },
                }).ToJson());
                await blocks.UploadAsync(target, now, default);
                Directory.Delete(target, recursive: true);
            }

            Directory.Delete(folderOfBlock, recursive: true);
        }

        await File.WriteAllTextAsync(done, Start.ToString(CultureInfo.InvariantCulture));
    }

    /// <summary>A bucket of its own for one run, with links to the files.</summary>
    public async Task LinkAsync(string bucket)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(bucket)!);
        await RunAsync("cp", "-rl", Bucket, bucket);
    }

    string Write(BlockId id, string replica, Random random)
    {
        using var writer = BlockWriter.Create(folder, id);
        for (var s = 0; s < series; s++)
        {
            var labels = Labels.Of(
                ("__name__", $"container_thing_{10 + (s * 20L / series)}_total"), ("job", $"job{s * 140L / series % 7}"), ("pod", s.ToString("D6", CultureInfo.InvariantCulture)));
            writer.Add(labels, Chunks(Start + (replica == "a" ? 0 : 5_000), random).ToList());
        }

        writer.Finish(new BlockMeta { Id = id, MinTime = Start, MaxTime = End });
        return Path.Combine(folder, id.ToString());
    }

    IEnumerable<Chunk> Chunks(long from, Random random)
    {
        var open = new XorAppender(new byte[1024]);
        var (first, value) = (from, 0.0);
        for (var time = from; time < End; time += Interval)
        {
            if (open.Count == 0)
            {
                (open, first) = (new XorAppender(new byte[1024]), time);
            }

            open.Append(time, value += random.Next(100));
            if (open.Count == XorChunk.TargetSamples || time + Interval >= End)
            {
                yield return new Chunk(first, time, ChunkEncoding.Xor, open.Written.ToArray());
                open = default;
            }
        }
    }

    static async Task RunAsync(string program, params string[] arguments)
    {
        using var process = Process.Start(program, arguments);
        await process.WaitForExitAsync();
        if (process.ExitCode != 0)
        {
            throw new InvalidOperationException($"{program} {string.Join(' ', arguments)}: exit {process.ExitCode}");
        }
    }
}
