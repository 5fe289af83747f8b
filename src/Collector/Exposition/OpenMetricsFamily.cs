using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Collector.Exposition;

/// <summary>Checks a metric family of OpenMetrics 1.0 against the rules of its type, line by line.</summary>
/// <param name="name">The family's name, without the suffixes of its samples.</param>
sealed class OpenMetricsFamily(string name)
{
    readonly List<OpenMetricsLine> _samples = [];
    readonly HashSet<string> _groups = [];
    readonly HashSet<string> _seriesAtTime = [];
    string? _group;
    Int128? _time;

    public string Name { get; } = name;

    public MetricType? Type { get; set; }

    public string? Unit { get; set; }

    public bool HasHelp { get; set; }

    public bool HasSamples { get; private set; }

    /// <summary>Every name that the family takes: its own and those of its samples.</summary>
    public IEnumerable<string> Names => Suffixes.Append("").Distinct().Select(s => Name + s);

    string[] Suffixes => Type switch
    {
        MetricType.Counter => ["_total", "_created"],
        MetricType.Summary => ["", "_count", "_sum", "_created"],
        MetricType.Histogram => ["_count", "_sum", "_bucket", "_created"],
        MetricType.GaugeHistogram => ["_gcount", "_gsum", "_bucket"],
        MetricType.Info => ["_info"],
        _ => [""],
    };

    public bool Holds(string sample) => sample.StartsWith(Name, StringComparison.Ordinal) && Suffixes.Contains(sample[Name.Length..]);

    /// <exception cref="FormatException">The message says which rule the sample breaks.</exception>
    public void Add(OpenMetricsLine sample)
    {
        HasSamples = true;
        var suffix = sample.Name[Name.Length..];
        CheckLabels(sample, suffix);
        CheckValue(sample, suffix);
        if (sample.HasExemplar && !(suffix == "_bucket" || (suffix == "_total" && Type == MetricType.Counter)))
        {
            throw new FormatException("only buckets and the totals of counters have exemplars");
        }

        CheckOrder(sample);
    }

    /// <summary>Checks the rules that need all samples of the family.</summary>
    /// <exception cref="FormatException">The message says which rule the family breaks.</exception>
    public void Close()
    {
        if (!string.IsNullOrEmpty(Unit))
        {
            if (!Name.EndsWith("_" + Unit, StringComparison.Ordinal))
            {
                throw new FormatException($"unit {Unit} is not the end of the name {Name}");
            }

            if (Type is MetricType.Info or MetricType.StateSet)
            {
                throw new FormatException($"{Name}: an info or a stateset has no unit");
            }
        }

        if (Type is MetricType.Histogram or MetricType.GaugeHistogram)
        {
            CheckHistograms();
        }
    }

    void CheckLabels(OpenMetricsLine sample, string suffix)
    {
        if (Type == MetricType.StateSet && !sample.Labels.ContainsKey(Name))
        {
            throw new FormatException($"a sample of a stateset has the label {Name}");
        }

        if (suffix == "_bucket" && !IsCanonical(sample, "le", double.NegativeInfinity, double.PositiveInfinity))
        {
            throw new FormatException("a bucket has a label le, a number or +Inf");
        }

        if (Type == MetricType.Summary && suffix.Length == 0 && !IsCanonical(sample, "quantile", 0, 1))
        {
            throw new FormatException("a quantile has a label quantile from 0 to 1");
        }
    }

    void CheckValue(OpenMetricsLine sample, string suffix)
    {
        var value = sample.Value;
        if (suffix is "_bucket" or "_count" or "_gcount" && !double.IsNaN(value) && value != Math.Floor(value))
        {
            throw new FormatException("buckets and counts are whole numbers");
        }

        if (Type == MetricType.StateSet && value is not (0 or 1))
        {
            throw new FormatException("a state is 0 or 1");
        }

        if (Type == MetricType.Info && value != 1)
        {
            throw new FormatException("an info is 1");
        }

        if (Type == MetricType.Summary && suffix.Length == 0 && value < 0)
        {
            throw new FormatException("a quantile is not negative");
        }

        if (suffix is "_total" or "_sum" or "_count" or "_bucket" or "_gcount" or "_gsum"
            && (double.IsNaN(value) || (value < 0 && suffix != "_gsum")))
        {
            throw new FormatException($"a {suffix} is not NaN{(suffix == "_gsum" ? "" : " and not negative")}");
        }
    }

    /// <summary>The samples of one metric stand together, and their times do not fall.</summary>
    void CheckOrder(OpenMetricsLine sample)
    {
        var group = Group(sample);
        if (group == _group)
        {
            if (sample.Time.HasValue != _time.HasValue)
            {
                throw new FormatException("samples of one metric all have a timestamp, or none has");
            }

            if (sample.Time < _time && Type != MetricType.Info)
            {
                throw new FormatException("timestamps of one metric do not fall");
            }
        }
        else if (_groups.Contains(group))
        {
            throw new FormatException("the samples of one metric stand together");
        }

        if (group != _group || sample.Time != _time)
        {
            _seriesAtTime.Clear();
        }

        // Times are finer than the milliseconds that a reader may keep, so that two samples of a series may have the same time; the first
        // one counts.
        if (_seriesAtTime.Add(Key(sample.Name, sample.Labels)))
        {
            _samples.Add(sample);
        }

        (_group, _time) = (group, sample.Time);
        _groups.Add(group);
    }

    void CheckHistograms()
    {
        for (var start = 0; start < _samples.Count;)
        {
            var (group, time) = (Group(_samples[start]), _samples[start].Time);
            var end = start + 1;
            while (end < _samples.Count && _samples[end].Time == time && Group(_samples[end]) == group)
            {
                end++;
            }

            CheckHistogram(_samples.GetRange(start, end - start));
            start = end;
        }
    }

    void CheckHistogram(List<OpenMetricsLine> samples)
    {
        double? bound = null, count = null, sum = null, gaugeSum = null;
        double value = 0;
        var negative = false;
        foreach (var sample in samples)
        {
            switch (sample.Name[Name.Length..])
            {
                case "_bucket":
                    var le = OpenMetricsLine.Number(sample.Labels["le"], "le");
                    negative |= le < 0;
                    if (le <= bound || sample.Value < value)
                    {
                        throw new FormatException($"{Name}: buckets rise, in their bounds and in their values");
                    }

                    (bound, value) = (le, sample.Value);
                    break;
                case "_count" or "_gcount":
                    count = sample.Value;
                    break;
                case "_sum":
                    sum = sample.Value;
                    break;
                case "_gsum":
                    gaugeSum = sample.Value;
                    break;
            }
        }

        var fault = bound != double.PositiveInfinity ? "a histogram has a bucket +Inf"
            : count is not null && count != value ? "the count is the value of the bucket +Inf"
            : (sum ?? gaugeSum) is not null && count is null ? "a sum comes with a count"
            : (sum ?? gaugeSum) is null && count is not null ? "a count comes with a sum"
            : negative && sum is not null ? "with negative buckets there is no sum"
            : !negative && gaugeSum < 0 ? "a sum is negative only with negative buckets"
            : null;
        if (fault is not null)
        {
            throw new FormatException($"{Name}: {fault}");
        }
    }

    /// <summary>
    /// The metric of the family that a sample belongs to: the sample's labels without <c>le</c> or <c>quantile</c> and the like.
    /// </summary>
    string Group(OpenMetricsLine sample)
    {
        var without = Type switch
        {
            MetricType.Info => null,
            MetricType.Summary when sample.Name == Name => "quantile",
            MetricType.StateSet => Name,
            MetricType.Histogram or MetricType.GaugeHistogram when sample.Name.Length == Name.Length
                + 7 && sample.Name.EndsWith("_bucket", StringComparison.Ordinal) => "le",
            _ => "",
        };
        return without is null ? "" : Key("", sample.Labels.Where(l => l.Key != without));
    }

    static string Key(string name, IEnumerable<KeyValuePair<string, string>> labels) =>
        name + "{" + string.Join(',', labels.Select(l => l.Key + "=" + GoText.Quote(l.Value)));

    static bool IsCanonical(OpenMetricsLine sample, string label, double min, double max)
    {
        if (!sample.Labels.TryGetValue(label, out var text))
        {
            return false;
        }

        var number = OpenMetricsLine.Number(text, label);
        return number >= min && number <= max && (!double.IsPositiveInfinity(number) || text == "+Inf");
    }
}
