using System.Globalization;
using System.Text;
using Observe.Tsdb.Bytes;

namespace Observe.Query.Promql.Functions;

/// <summary>
/// The warnings and infos of an evaluation, each text once, in Prometheus's words. Not thread-safe: each worker has its own, and they are
/// merged at the end.
/// </summary>
sealed class Annotations
{
    readonly Dictionary<string, Annotation> _all = new(StringComparer.Ordinal);

    public void Add(Annotation annotation)
    {
        if (_all.TryGetValue(annotation.Text, out var known))
        {
            known.Merge(annotation);
        }
        else
        {
            _all[annotation.Text] = annotation;
        }
    }

    public void Add(Annotations other)
    {
        foreach (var annotation in other._all.Values)
        {
            Add(annotation);
        }
    }

    /// <summary>Texts with positions, sorted.</summary>
    public (IReadOnlyList<string> Warnings, IReadOnlyList<string> Infos) Format(string query)
    {
        var utf8 = Encoding.UTF8.GetBytes(query);
        var (warnings, infos) = (new List<string>(), new List<string>());
        foreach (var annotation in _all.Values)
        {
            (annotation.IsWarning ? warnings : infos).Add(annotation.Format(utf8));
        }

        warnings.Sort(StringComparer.Ordinal);
        infos.Sort(StringComparer.Ordinal);
        return (warnings, infos);
    }
}

/// <summary>One warning or info.</summary>
/// <param name="position">Offset in the query's UTF-8; negative where there is none.</param>
/// <param name="end">
/// Offset at which the evaluated expression ends: of several annotations with the same text, the position is that of the expression
/// evaluated last.
/// </param>
class Annotation(bool isWarning, string text, int position, int end)
{
    public bool IsWarning { get; } = isWarning;

    /// <summary>The text by which annotations are told apart: all but position and counts.</summary>
    public string Text { get; } = text;

    protected int Position { get; private set; } = position;

    int End { get; set; } = end;

    public virtual void Merge(Annotation other)
    {
        if (other.End > End || (other.End == End && other.Position < Position))
        {
            (Position, End) = (other.Position, other.End);
        }
    }

    public virtual string Format(ReadOnlySpan<byte> query) => $"{Text} ({Place(query)})";

    protected string Place(ReadOnlySpan<byte> query)
    {
        if (query.IsEmpty)
        {
            return "unknown position";
        }

        if (Position < 0 || Position > query.Length)
        {
            return "invalid position";
        }

        var before = query[..Position];
        return string.Create(CultureInfo.InvariantCulture, $"{before.Count((byte)'\n') + 1}:{Position - before.LastIndexOf((byte)'\n')}");
    }
}

/// <summary>The info about a classic histogram whose cumulative bucket counts fell.</summary>
sealed class ForcedMonotonicity(
    string text, int position, int end, long timestamp, double minBucket, double maxBucket, double maxDifference)
    : Annotation(false, text, position, end)
{
    long _minTime = timestamp;
    long _maxTime = timestamp;
    double _minBucket = minBucket;
    double _maxBucket = maxBucket;
    double _maxDifference = maxDifference;
    long _count = 1;

    public override void Merge(Annotation other)
    {
        base.Merge(other);
        if (other is ForcedMonotonicity o)
        {
            _minTime = Math.Min(_minTime, o._minTime);
            _maxTime = Math.Max(_maxTime, o._maxTime);
            _minBucket = Math.Min(_minBucket, o._minBucket);
            _maxBucket = Math.Max(_maxBucket, o._maxBucket);
            _maxDifference = Math.Max(_maxDifference, o._maxDifference);
            _count += o._count;
        }
    }

    public override string Format(ReadOnlySpan<byte> query) => string.Create(
        CultureInfo.InvariantCulture,
        $"{Text}, from buckets {GoText.FloatG(_minBucket)} to {GoText.FloatG(_maxBucket)}, with a max diff of {TwoDigits(_maxDifference)}, over {_count} samples from {Time(_minTime)} to {Time(_maxTime)} ({Place(query)})");

    // Prometheus divides by 1000, which goes towards 1970 and not back.
    static string Time(long milliseconds) => GoText.Rfc3339(milliseconds / 1000 * 1000);

    // %.2g
    static string TwoDigits(double value)
    {
        if (value == 0 || !double.IsFinite(value))
        {
            return GoText.Float(value);
        }

        var rounded = double.Parse(value.ToString("E1", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
        return Math.Abs(rounded) is < 1e-4 or >= 100 ? GoText.Exponent(rounded) : GoText.Float(rounded);
    }
}

/// <summary>The warning about samples whose start timestamp lies before the sample before them.</summary>
sealed class StartTimeOverlap(string metricName, int position, int end)
    : Annotation(true, $"{AnnotationTexts.StartTimeOverlap} for metric {GoText.Quote(metricName)}", position, end)
{
    long _count = 1;

    public override void Merge(Annotation other)
    {
        base.Merge(other);
        _count += other is StartTimeOverlap o ? o._count : 0;
    }

    public override string Format(ReadOnlySpan<byte> query) => _count > 1
        ? string.Create(CultureInfo.InvariantCulture, $"{Text} ({_count} occurrences) ({Place(query)})")
        : base.Format(query);
}
