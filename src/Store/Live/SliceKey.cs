using System.Buffers;
using System.Globalization;
using Observe.Store.Fleet;
using Observe.Tsdb.Bytes;

namespace Observe.Store.Live;

/// <summary>Where live slices lie in a bucket.</summary>
/// <remarks>Format: docs/format/live-slice.md.</remarks>
public static class SliceKey
{
    public const string Folder = "observe/live/";

    static readonly SearchValues<char> s_hex = SearchValues.Create("0123456789abcdef");

    /// <summary>The highest number that a slice may have.</summary>
    public const int MaxSequence = 99_999_999;

    /// <summary>The folder of a collector's windows.</summary>
    /// <exception cref="ArgumentException">A name that is not valid.</exception>
    public static string OfCollector(string cluster, string collector) =>
        !FleetName.IsValid(cluster) ? throw new ArgumentException($"{GoText.Quote(cluster)} can't name a cluster: {FleetName.Rule}")
        : !FleetName.IsValid(collector) ? throw new ArgumentException($"{GoText.Quote(collector)} can't name a collector: {FleetName.Rule}")
        : $"{Folder}{cluster}/{collector}/";

    public static string Of(string cluster, string collector, string window, int sequence) =>
        string.Create(CultureInfo.InvariantCulture, $"{OfCollector(cluster, collector)}{window}/{sequence:D8}");

    /// <param name="run">Of the collector; another one after each start.</param>
    public static string Window(DateTimeOffset begin, uint run) =>
        string.Create(CultureInfo.InvariantCulture, $"{begin.ToUnixTimeMilliseconds():D13}-{run:x8}");

    /// <summary>When a window began, by its name; null where that names none.</summary>
    public static DateTimeOffset? BeginOf(string window) =>
        window.Length == 22 && window[13] == '-' && window.AsSpan(14).IndexOfAnyExcept(s_hex) < 0
        && long.TryParse(window.AsSpan(0, 13), NumberStyles.None, CultureInfo.InvariantCulture, out var begin)
        ? DateTimeOffset.FromUnixTimeMilliseconds(begin) : null;
}
