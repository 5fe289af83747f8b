namespace Observe.Hosting;

/// <summary>The disk that a folder lies on.</summary>
static class DriveSpace
{
    /// <summary>Null where the system does not tell.</summary>
    public static DriveInfo? Of(string folder)
    {
        try
        {
            var drive = new DriveInfo(Path.GetFullPath(folder));
            return drive.IsReady ? drive : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            return null;
        }
    }
}
