using System.CommandLine;
using System.Globalization;
using Observe.Hosting;
using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;
using Spectre.Console;

namespace Observe.Commands;

/// <summary><c>observe bucket ls | inspect | verify | upload</c>: the blocks of a bucket.</summary>
static class BucketCommand
{
    public static Command Build()
    {
        var objstore = new ObjstoreFlags();
        var command = new Command("bucket", "look after the blocks of a bucket");

        var list = new Command("ls", "name the blocks, one a line");
        objstore.AddTo(list);
        list.SetAction((flags, cancellationToken) => WithBlocksAsync(objstore, flags, async blocks =>
        {
            await foreach (var id in blocks.ListAsync(cancellationToken))
            {
                await Console.Out.WriteLineAsync(id.ToString());
            }

            return 0;
        }));

        var inspect = new Command("inspect", "a table of the blocks: time, labels, size, level, resolution, marks");
        objstore.AddTo(inspect);
        inspect.SetAction(
            (flags, cancellationToken) => WithBlocksAsync(objstore, flags, blocks => InspectAsync(blocks, cancellationToken)));

        var verify = new Command("verify", "fetch blocks and check every checksum, hash and order; faults are listed");
        var only = Flags.Many("--id", "only this block; repeatable");
        var folder = Flags.Text("--data-dir", "where blocks are fetched to (default the system's temporary folder)");
        objstore.AddTo(verify);
        verify.Options.Add(only);
        verify.Options.Add(folder);
        verify.SetAction((flags, cancellationToken) => WithBlocksAsync(
            objstore, flags, blocks =>
            VerifyAsync(blocks, flags.GetValue(only)!, flags.GetValue(folder) ?? Path.GetTempPath(), cancellationToken)));

        var upload = new Command("upload", "verify local blocks and upload them");
        var paths = new Argument<string[]>("BLOCK") { Description = "a block's folder", Arity = ArgumentArity.OneOrMore };
        var labels = Flags.Many("--label", "external label NAME=VALUE for blocks that have none; repeatable");
        objstore.AddTo(upload);
        upload.Arguments.Add(paths);
        upload.Options.Add(labels);
        upload.SetAction((flags, cancellationToken) => WithBlocksAsync(
            objstore, flags, blocks => UploadAsync(blocks, flags.GetValue(paths)!, flags.GetValue(labels)!, cancellationToken)));

        command.Subcommands.Add(list);
        command.Subcommands.Add(inspect);
        command.Subcommands.Add(verify);
        command.Subcommands.Add(upload);
        return command;
    }

    static async Task<int> WithBlocksAsync(ObjstoreFlags objstore, ParseResult flags, Func<BucketBlocks, Task<int>> run)
    {
        var (content, source) = objstore.Required(flags);
        await using var bucket = BucketConfig.Parse(content, source).Open(TimeProvider.System, null);
        return await run(new BucketBlocks(bucket));
    }

    static async Task<int> InspectAsync(BucketBlocks blocks, CancellationToken cancellationToken)
    {
        var table = new Table().Border(AnsiConsole.Profile.Out.IsTerminal ? TableBorder.Rounded : TableBorder.None);
        foreach (var column in (
            string[])["BLOCK", "FROM", "UNTIL", "SPAN", "SERIES", "SAMPLES", "CHUNKS", "LEVEL", "RESOLUTION", "LABELS", "SOURCE", "MARKS"])
        {
            table.AddColumn(new TableColumn(column).NoWrap());
        }

        var faults = 0;
        var files = new SortedDictionary<BlockId, HashSet<string>>();
        await foreach (var (id, path, _) in blocks.ListFilesAsync(cancellationToken))
        {
            files.TryAdd(id, []);
            files[id].Add(path);
        }

        foreach (var (id, paths) in files)
        {
            try
            {
                var marks = Markup.Escape(string.Join(", ", await MarksAsync(blocks, id, paths, cancellationToken)));
                if (!paths.Contains(BlockMeta.FileName) || await blocks.MetaAsync(id, cancellationToken) is not { } meta)
                {
                    table.AddRow(id.ToString(), "partial: no meta.json", "", "", "", "", "", "", "", "", "", marks);
                    continue;
                }

                table.AddRow(
                    id.ToString(), GoText.Rfc3339(meta.MinTime), GoText.Rfc3339(meta.MaxTime), Duration.Format(meta.MaxTime - meta.MinTime),
                    Number(meta.Stats.Series),
                    Number(meta.Stats.Samples), Number(meta.Stats.Chunks), Number(meta.Compaction.Level),
                    meta.ResolutionMs == 0 ? "raw"
                        : Duration.Format(meta.ResolutionMs), Markup.Escape(meta.ExternalLabels.ToString()), meta.Thanos?.Source ?? "",
                    marks);
            }
            catch (CorruptionException e)
            {
                faults++;
                table.AddRow(id.ToString(), Markup.Escape(e.Message), "", "", "", "", "", "", "", "", "", "");
            }
        }

        if (!AnsiConsole.Profile.Out.IsTerminal)
        {
            AnsiConsole.Profile.Width = 400;
        }

        AnsiConsole.Write(table);
        return faults == 0 ? 0 : 1;
    }

    /// <summary>What is to become of a block, and since when.</summary>
    /// <exception cref="CorruptionException">A mark can't be read.</exception>
    static async Task<List<string>> MarksAsync(
        BucketBlocks blocks, BlockId id, HashSet<string> paths, CancellationToken cancellationToken)
    {
        var marks = new List<string>();
        if (paths.Contains(DeletionMark.FileName) && await blocks.DeletionMarkAsync(id, cancellationToken) is { } deletion)
        {
            Add("deletion", deletion.TimeSeconds, deletion.Details);
        }

        if (paths.Contains(NoCompactMark.FileName) && await blocks.NoCompactMarkAsync(id, cancellationToken) is { } noCompact)
        {
            Add("no-compact", noCompact.TimeSeconds, noCompact.Reason);
        }

        if (paths.Contains(NoDownsampleMark.FileName) && await blocks.NoDownsampleMarkAsync(id, cancellationToken) is { } noDownsample)
        {
            Add("no-downsample", noDownsample.TimeSeconds, noDownsample.Reason);
        }

        return marks;

        void Add(string mark, long seconds, string why) =>
            marks.Add($"{mark} since {GoText.Rfc3339(seconds * 1000)}{(why.Length > 0 ? $" ({why})" : "")}");
    }

    static async Task<int> VerifyAsync(BucketBlocks blocks, string[] only, string parent, CancellationToken cancellationToken)
    {
        var work = Directory.CreateDirectory(Path.Combine(parent, $"observe-verify-{Guid.NewGuid():N}")).FullName;
        var (whole, faulty) = (0, 0);
        try
        {
            await foreach (var id in blocks.ListAsync(cancellationToken))
            {
                if (only.Length > 0 && !only.Contains(id.ToString()))
                {
                    continue;
                }

                var faults = await FaultsAsync(blocks, id, work, cancellationToken);
                if (faults.Count == 0)
                {
                    whole++;
                    await Console.Out.WriteLineAsync($"{id}: whole");
                }
                else
                {
                    faulty++;
                    foreach (var fault in faults)
                    {
                        await Console.Out.WriteLineAsync($"{id}: {fault}");
                    }
                }
            }
        }
        finally
        {
            Directory.Delete(work, recursive: true);
        }

        await Console.Out.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"{whole} blocks are whole, {faulty} have faults"));
        return faulty == 0 ? 0 : 1;
    }

    static async Task<IReadOnlyList<string>> FaultsAsync(BucketBlocks blocks, BlockId id, string work, CancellationToken cancellationToken)
    {
        try
        {
            await blocks.DownloadAsync(id, work, cancellationToken);
            return BlockVerifier.Verify(Path.Combine(work, id.ToString()), decode: true, cancellationToken);
        }
        catch (Exception e) when (e is CorruptionException or ObjectNotFoundException)
        {
            return [e.Message];
        }
        finally
        {
            var folder = Path.Combine(work, id.ToString());
            if (Directory.Exists(folder))
            {
                Directory.Delete(folder, recursive: true);
            }
        }
    }

    static async Task<int> UploadAsync(BucketBlocks blocks, string[] paths, string[] labels, CancellationToken cancellationToken)
    {
        var external = Labels.Of(labels.Select(l => l.Split('=', 2) is [var name, var value]
            ? KeyValuePair.Create(name, value)
            : throw new FlagException($"--label: {GoText.Quote(l)} is not NAME=VALUE")));
        var failed = 0;
        foreach (var path in paths)
        {
            var faults = BlockVerifier.Verify(path, decode: true, cancellationToken);
            var meta = faults.Count == 0 ? BlockMeta.Read(path) : null;
            if (meta is not null && meta.ExternalLabels.IsEmpty && external.IsEmpty)
            {
                faults = ["has no external labels; give --label cluster=NAME"];
            }
            else if (meta is not null && meta.ExternalLabels.IsEmpty)
            {
                meta = meta with
                {
                    Thanos = (meta.Thanos ?? new ThanosSection { Version = 1 }) with { Labels = external.ToDictionary(), Source = "bucket.upload" },
                };
            }

            if (faults.Count > 0)
            {
                failed++;
                foreach (var fault in faults)
                {
                    await Console.Out.WriteLineAsync($"{path}: {fault}");
                }

                continue;
            }

            var uploaded = await blocks.UploadAsync(path, meta!, TimeProvider.System.GetUtcNow(), cancellationToken);
            await Console.Out.WriteLineAsync($"{uploaded.Id}: uploaded to {blocks.Bucket.Name}");
        }

        return failed == 0 ? 0 : 1;
    }

    static string Number(long value) => value.ToString(CultureInfo.InvariantCulture);
}
