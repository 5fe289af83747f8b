using System.Globalization;
using Observe.Tsdb.Bytes;

namespace Observe.Tsdb.Wal;

/// <summary>
/// What is still needed of segments that are to be dropped, as a small log of its own: <c>checkpoint.N</c> stands for all segments up to N.
/// </summary>
static class Checkpoint
{
    const string Prefix = "checkpoint.";
    const string Temporary = ".tmp";
    const int BatchBytes = 1 << 20;

    /// <summary>The newest checkpoint of a log; null when there is none.</summary>
    public static (string Path, int Index)? Last(string directory)
    {
        (string, int)? last = null;
        foreach (var (path, index) in List(directory))
        {
            if (last is null || index > last.Value.Item2)
            {
                last = (path, index);
            }
        }

        return last;
    }

    /// <summary>The files to replay, in order: those of the newest checkpoint, then the segments after it.</summary>
    public static (List<WalSegment> Checkpoint, List<WalSegment> Segments) Replay(string directory)
    {
        var last = Last(directory);
        var segments = WalSegment.List(directory);
        segments.RemoveAll(s => s.Index <= (last?.Index ?? -1));
        return (last is null ? [] : WalSegment.List(last.Value.Path), segments);
    }

    /// <summary>
    /// Writes the checkpoint for all segments up to <paramref name="upTo"/>, the last checkpoint among them, and removes those.
    /// Damaged records are left out and returned: what they held is lost already.
    /// </summary>
    /// <param name="keep">Whether a series is still needed; called from this thread only.</param>
    /// <param name="minTime">Samples before it are left out. Unix milliseconds.</param>
    /// <exception cref="IOException">The checkpoint could not be written: the log is as it was.</exception>
    public static IReadOnlyList<WalDamage> Create(
        string directory, int upTo, Func<ulong, bool> keep, long minTime, int segmentBytes, WalDisk? disk = null)
    {
        var (checkpoint, segments) = Replay(directory);
        segments.RemoveAll(s => s.Index > upTo);
        if (segments.Count == 0)
        {
            return [];
        }

        var path = Path.Combine(directory, Prefix + upTo.ToString("D8", CultureInfo.InvariantCulture));
        var temporary = path + Temporary;
        RemoveTemporary(directory);
        Directory.CreateDirectory(temporary);
        var damages = new List<WalDamage>();
        try
        {
            using (var writer = new SegmentWriter(temporary, 0, segmentBytes, disk ?? WalDisk.Real))
            {
                Copy(checkpoint, isComplete: true, writer, keep, minTime, damages);
                Copy(segments, isComplete: false, writer, keep, minTime, damages);
                writer.Sync();
            }

            DurableFile.SyncDirectory(temporary);
        }
        catch (IOException)
        {
            RemoveTemporary(directory);
            throw;
        }

        DurableFile.Rename(temporary, path);
        RemoveUpTo(directory, upTo);
        return damages;
    }

    /// <summary>
    /// Removes what a finished checkpoint stands for: a crash may have left some of it. Where the checkpoint is damaged and all of that is
    /// there, it is the checkpoint that goes.
    /// </summary>
    /// <returns>What is wrong with a checkpoint that was removed; null when none was.</returns>
    public static string? RemoveReplaced(string directory)
    {
        RemoveTemporary(directory);
        if (Last(directory) is not { } last)
        {
            return null;
        }

        if (IsReplaceable(directory, last) && Fault(last.Path) is { } fault)
        {
            DurableFile.Rename(last.Path, last.Path + Temporary);
            RemoveTemporary(directory);
            return $"{fault}: what is there of the segments that the checkpoint stood for is read instead";
        }

        RemoveUpTo(directory, last.Index);
        return null;
    }

    /// <summary>
    /// Whether all that a checkpoint was made of is still there: the checkpoint before it, and each segment since. Of one that has nothing
    /// it need not be all.
    /// </summary>
    static bool IsReplaceable(string directory, (string Path, int Index) checkpoint)
    {
        var before = List(directory).Where(other => other.Index < checkpoint.Index).Select(other => other.Index).DefaultIfEmpty(-1).Max();
        var segments = WalSegment.List(directory).Select(segment => segment.Index).ToHashSet();
        return Enumerable.Range(before + 1, checkpoint.Index - before).All(segments.Contains)
            || (WalSegment.List(checkpoint.Path).Count == 0 && segments.Any(index => index <= checkpoint.Index));
    }

    /// <summary>What is wrong with a checkpoint; null when it is whole.</summary>
    static string? Fault(string path)
    {
        var segments = WalSegment.List(path);
        if (segments is not [{ Index: 0 }, ..])
        {
            return $"{path}: its first segment is missing";
        }

        try
        {
            using var reader = new WalReader(segments, isComplete: true);
            while (reader.DamageCount == 0 && reader.Next())
            {
            }

            return reader.DamageCount > 0 ? reader.Damages[0].ToString() : null;
        }
        catch (IOException e)
        {
            return $"{path}: {e.Message}";
        }
    }

    static void RemoveUpTo(string directory, int index)
    {
        foreach (var segment in WalSegment.List(directory))
        {
            if (segment.Index <= index)
            {
                File.Delete(segment.Path);
            }
        }

        foreach (var (path, older) in List(directory))
        {
            if (older < index)
            {
                Directory.Delete(path, recursive: true);
            }
        }

        DurableFile.SyncDirectory(directory);
    }

    static void RemoveTemporary(string directory)
    {
        if (Directory.Exists(directory))
        {
            foreach (var path in Directory.EnumerateDirectories(directory, Prefix + "*" + Temporary))
            {
                Directory.Delete(path, recursive: true);
            }
        }
    }

    static IEnumerable<(string Path, int Index)> List(string directory)
    {
        if (!Directory.Exists(directory))
        {
            yield break;
        }

        foreach (var path in Directory.EnumerateDirectories(directory, Prefix + "*"))
        {
            if (int.TryParse(Path.GetFileName(path).AsSpan(Prefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out var index))
            {
                yield return (path, index);
            }
        }
    }

    static void Copy(
        List<WalSegment> from, bool isComplete, SegmentWriter writer, Func<ulong, bool> keep, long minTime, List<WalDamage> damages)
    {
        using var reader = new WalReader(from, isComplete);
        using var batch = new WalBatch();
        using var record = new ByteWriter(64 * 1024);
        var (series, samples, histograms, metadata) =
            (new List<WalSeries>(), new List<WalSample>(), new List<WalHistogram>(), new List<WalMetadata>());
        while (reader.Next())
        {
            record.Clear();
            try
            {
                switch ((WalRecordType)reader.Record[0])
                {
                    case WalRecordType.Series:
                        series.Clear();
                        WalRecords.Series(reader.Record, series, reader.File, reader.Offset);
                        series.RemoveAll(s => !keep(s.Ref));
                        AddSeries(batch, record, series);
                        break;
                    case WalRecordType.Samples or WalRecordType.SamplesV2:
                        samples.Clear();
                        WalRecords.Samples(reader.Record, samples, reader.File, reader.Offset);
                        samples.RemoveAll(s => s.Time < minTime || !keep(s.Ref));
                        AddSamples(batch, record, samples);
                        break;
                    case (>= WalRecordType.Histograms and <= WalRecordType.CustomBucketsFloatHistograms)
                        or WalRecordType.HistogramsV2 or WalRecordType.FloatHistogramsV2:
                        histograms.Clear();
                        WalRecords.Histograms(reader.Record, histograms, reader.File, reader.Offset);
                        histograms.RemoveAll(h => h.Time < minTime || !keep(h.Ref));
                        WalRecords.AddHistograms(batch, record, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(histograms));
                        break;
                    case WalRecordType.Metadata:
                        metadata.Clear();
                        WalRecords.Metadata(reader.Record, metadata, reader.File, reader.Offset);
                        metadata.RemoveAll(m => !keep(m.Ref));
                        AddMetadata(batch, record, metadata);
                        break;
                }
            }
            catch (CorruptionException e)
            {
                reader.Damaged(e.What);
            }

            if (batch.Length > BatchBytes)
            {
                Flush(writer, batch);
            }
        }

        Flush(writer, batch);
        damages.AddRange(reader.Damages);
    }

    static void AddSeries(WalBatch batch, ByteWriter record, List<WalSeries> series)
    {
        if (series.Count > 0)
        {
            WalRecords.BeginSeries(record);
            foreach (var (reference, labels) in series)
            {
                WalRecords.Add(record, reference, labels);
            }

            batch.Add(record.Written);
        }
    }

    static void AddSamples(WalBatch batch, ByteWriter record, List<WalSample> samples)
    {
        if (samples.Count > 0)
        {
            WalRecords.Samples(record, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(samples));
            batch.Add(record.Written);
        }
    }

    static void AddMetadata(WalBatch batch, ByteWriter record, List<WalMetadata> metadata)
    {
        if (metadata.Count > 0)
        {
            WalRecords.Metadata(record, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(metadata));
            batch.Add(record.Written);
        }
    }

    static void Flush(SegmentWriter writer, WalBatch batch)
    {
        if (batch.IsEmpty)
        {
            return;
        }

        if (writer.NeedsNext(batch))
        {
            writer.Sync();
            writer.Next();
        }

        writer.Write(batch);
        batch.Clear();
    }
}
