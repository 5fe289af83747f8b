namespace Observe.EndToEnd.Tests.CrashStates;

enum DiskChange
{
    /// <summary>A file or folder is entered into a folder.</summary>
    Create,

    Rename,

    /// <summary>A file or folder leaves a folder.</summary>
    Remove,

    Write,
    Truncate,
    Sync,
}

/// <summary>One thing that a program did to its data folder. Files and folders go by numbers that survive renames; 0 is the folder itself.</summary>
/// <param name="Began">The place in the log at which the call began; its own place is where it ended.</param>
/// <param name="Time">Unix seconds.</param>
/// <param name="Node">The file or folder.</param>
/// <param name="Folder">The folder whose entry changes; of a rename, the one that it leaves.</param>
sealed record DiskOperation(DiskChange Change, int Began, double Time, int Node, int Folder = 0, string Name = "")
{
    public bool IsFolder { get; init; }

    public int NewFolder { get; init; }

    public string NewName { get; init; } = "";

    public long Offset { get; init; }

    public byte[] Data { get; init; } = [];
}
