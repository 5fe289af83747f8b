using System.Globalization;

namespace Observe.Tsdb.Wal;

/// <summary>One file of a log: framed records in pages, named by its number in eight digits.</summary>
readonly record struct WalSegment(int Index, string Path)
{
    public const int PageSize = 32 * 1024;

    /// <summary>type 1, length 2, CRC-32C 4.</summary>
    public const int HeaderSize = 7;

    public const byte Full = 1;
    public const byte First = 2;
    public const byte Middle = 3;
    public const byte Last = 4;
    public const byte KindMask = 0x07;
    public const byte Snappy = 0x08;
    public const byte Zstd = 0x10;

    public static WalSegment At(string directory, int index) =>
        new(index, System.IO.Path.Combine(directory, index.ToString("D8", CultureInfo.InvariantCulture)));

    /// <summary>The segments of a folder in order, those that are missing left out; none when there is no folder.</summary>
    public static List<WalSegment> List(string directory)
    {
        var segments = new List<WalSegment>();
        if (Directory.Exists(directory))
        {
            foreach (var path in Directory.EnumerateFiles(directory))
            {
                if (int.TryParse(System.IO.Path.GetFileName(path), NumberStyles.None, CultureInfo.InvariantCulture, out var index))
                {
                    segments.Add(new WalSegment(index, path));
                }
            }
        }

        // Of two with one number the one that is named as here comes first.
        return [.. segments.OrderBy(s => s.Index).ThenBy(s => s.Path != At(directory, s.Index).Path).ThenBy(s => s.Path, StringComparer.Ordinal)];
    }
}
