using Observe.Tsdb.Histograms;

namespace Observe.Tsdb.Model;

public enum SampleKind : byte
{
    Float,
    Histogram,
}

/// <summary>
/// Room for a run of samples of one kind; the caller owns it and hands it to <see cref="ISampleIterator.Read"/> again and again.
/// </summary>
public sealed class SampleBatch(int capacity = SampleBatch.DefaultCapacity)
{
    public const int DefaultCapacity = 256;

    public int Capacity { get; } = capacity;

    public SampleKind Kind { get; set; }

    /// <summary>How many samples there are, at the front of the arrays.</summary>
    public int Count { get; set; }

    /// <summary>Unix milliseconds, strictly rising.</summary>
    public long[] Timestamps { get; } = new long[capacity];

    /// <summary>Set where <see cref="Kind"/> is Float; staleness markers are among them.</summary>
    public double[] Values { get; } = new double[capacity];

    /// <summary>
    /// Set where <see cref="Kind"/> is Histogram. A stale histogram has a <see cref="Histogram.Sum"/> that is the staleness marker.
    /// </summary>
    public Histogram[] Histograms => field ??= new Histogram[Capacity];

    /// <summary>
    /// When each sample's counter started, Unix milliseconds, 0 where unknown; meaningful only if <see cref="HasStartTimestamps"/>.
    /// </summary>
    public long[] StartTimestamps => field ??= new long[Capacity];

    public bool HasStartTimestamps { get; set; }

    /// <summary>How many raw samples each value is the average of; meaningful only if <see cref="HasWeights"/>, otherwise each is one.</summary>
    public double[] Weights => field ??= new double[Capacity];

    public bool HasWeights { get; set; }

    /// <summary>
    /// Milliseconds of the windows of downsampled data that the samples stand for, whose timestamps are the windows' ends; 0 where they are
    /// raw samples.
    /// </summary>
    public long ResolutionMs { get; set; }

    /// <summary>Which of the replicas that were made one series the samples are of, in order of preference.</summary>
    public int Replica { get; set; }

    /// <summary>Makes it an empty batch of raw samples, as which every <see cref="ISampleIterator.Read"/> begins.</summary>
    public void Clear() => (Count, HasStartTimestamps, HasWeights, ResolutionMs, Replica) = (0, false, false, 0, 0);
}

/// <summary>
/// The samples of one series in order of time. Synchronous, not thread-safe, read once from front to back. Disposed once, and not touched
/// after that: its source may have it serve another series then.
/// </summary>
/// <exception cref="Bytes.CorruptionException">A chunk is damaged; thrown by Read and Seek, names the file and offset.</exception>
public interface ISampleIterator : IDisposable
{
    /// <summary>
    /// Overwrites the batch with the next samples, all of one kind; false at the end. Never returns true with an empty batch.
    /// </summary>
    bool Read(SampleBatch batch);

    /// <summary>Skips to the first sample at or after a time, for the next Read. Never goes back.</summary>
    void Seek(long timestamp);
}
