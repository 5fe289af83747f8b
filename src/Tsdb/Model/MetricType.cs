namespace Observe.Tsdb.Model;

/// <summary>What kind of metric a family is, as its exposition says.</summary>
public enum MetricType : byte
{
    Unknown,
    Counter,
    Gauge,
    Histogram,
    GaugeHistogram,
    Summary,
    Info,
    StateSet,
}
