namespace Observe.Tsdb.Model;

/// <summary>Which value of a downsampled window a reader wants. Of raw samples each counts as one window of its own.</summary>
public enum Aggregate : byte
{
    /// <summary>The samples as they are; of a downsampled window its average (sum / count).</summary>
    Raw,

    /// <summary>How many raw samples: 1 for each raw sample.</summary>
    Count,
    Sum,
    Min,
    Max,

    /// <summary>The counter's value, resets applied across chunks as Thanos's counter aggregate says.</summary>
    Counter,
}
