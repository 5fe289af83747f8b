using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.Extensions.Logging;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Bytes;

namespace Observe.Tsdb.Head;

/// <summary>
/// What was cut before a start. The state file tells it, and a block that a crash left newer than the file; neither is believed against the
/// log: a head is only cut up to its newest sample, so where the log has samples and all are older, something is damaged.
/// </summary>
public sealed partial class HeadBlock
{
    const string StateName = "head.json";

    string StatePath => Path.Combine(_options.Directory, StateName);

    /// <summary>The times up to which samples were cut, each with the file that says so.</summary>
    List<(string Path, long Time)> CutTimes()
    {
        var times = new List<(string Path, long Time)>();
        var state = ReadState();
        if (state is not null)
        {
            times.Add((StatePath, state.CutTime));
        }

        foreach (var block in Blocks().Where(block => state?.Blocks?.Contains(block) != true))
        {
            var folder = Path.Combine(_options.Directory, block);
            try
            {
                times.Add((folder, BlockMeta.Read(folder).MaxTime));
            }
            catch (IOException e)
            {
                LogStateDamaged(e, Path.Combine(folder, BlockMeta.FileName));
            }
        }

        return times;
    }

    /// <summary>
    /// The newest of the times that fit the newest sample of the log; the others are named. Where the log has no sample, nothing stands
    /// against them but the clock.
    /// </summary>
    long CutTime(List<(string Path, long Time)> times, long newest)
    {
        var (time, latest) = (long.MinValue, newest == long.MinValue ? LatestTime() : newest + 1);
        foreach (var (path, cut) in times)
        {
            if (cut <= latest)
            {
                time = Math.Max(time, cut);
            }
            else
            {
                LogCutTimeDoubted(path, cut, newest == long.MinValue ? "clock" : "newest sample of the write-ahead log", latest);
            }
        }

        return time;
    }

    void SetCutTime(long time)
    {
        _cutTime = _visibleFrom = _truncatedBefore = _blockEnd = time;
    }

    /// <summary>Ids of the folder's blocks.</summary>
    IEnumerable<string> Blocks() =>
        Directory.EnumerateDirectories(_options.Directory).Where(folder => File.Exists(Path.Combine(folder, BlockMeta.FileName)))
            .Select(folder => Path.GetFileName(folder)!).Where(name => BlockId.TryParse(name, out _));

    HeadState? ReadState()
    {
        try
        {
            return StateFile.Read(StatePath) is { } json ? JsonSerializer.Deserialize(json, HeadJson.Default.HeadState) : null;
        }
        catch (Exception e) when (e is JsonException or IOException)
        {
            LogStateDamaged(e, StatePath);
            return null;
        }
    }

    void SaveState(long cutTime)
    {
        try
        {
            StateFile.Write(StatePath, JsonSerializer.SerializeToUtf8Bytes(new HeadState(cutTime, [.. Blocks()]), HeadJson.Default.HeadState));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            LogStateNotSaved(e, StatePath);
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "{path} can't be read or believed: which samples were cut is told by the blocks of the folder")]
    partial void LogStateDamaged(Exception e, string path);

    [LoggerMessage(Level = LogLevel.Error, Message = "{path} says that samples before {time} were cut, which does not fit the {against}, {latest}: it is not believed")]
    partial void LogCutTimeDoubted(string path, long time, string against, long latest);

    [LoggerMessage(Level = LogLevel.Error, Message = "{path} not written: until the next block only the blocks of the folder tell what was cut")]
    partial void LogStateNotSaved(Exception e, string path);
}

/// <summary>What <c>head.json</c> says.</summary>
/// <param name="CutTime">
/// Samples before it are in blocks, wherever these are now; long.MinValue when nothing of the log is. Unix milliseconds.
/// </param>
/// <param name="Blocks">The blocks that were in the folder then: what they span is in the time already.</param>
sealed record HeadState(long CutTime, IReadOnlyList<string>? Blocks);

[JsonSerializable(typeof(HeadState))]
sealed partial class HeadJson : JsonSerializerContext;
