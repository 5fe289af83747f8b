using System.Text;
using Observe.Collector.Exposition;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Collector.Tests.Exposition;

static class Exposed
{
    /// <summary>All samples of a body as <c>name{label=value,…} value</c>, in order of text.</summary>
    /// <exception cref="ExpositionException">The body is malformed, or labels are none that a scrape would store.</exception>
    public static string Samples(ExpositionParser parser)
    {
        var samples = new List<string>();
        var labels = new LabelsBuilder();
        ExpositionEntry entry;
        while ((entry = parser.Next()) != ExpositionEntry.End)
        {
            if (entry == ExpositionEntry.Sample)
            {
                parser.Labels(labels);
                if (parser.Repeated(labels) is not null || !labels.Has("__name__"))
                {
                    throw new ExpositionException(0, "no name, or a label twice");
                }

                var rest = labels.ToList().Where(l => l.Key != "__name__").Select(l => $"{l.Key}={l.Value}");
                samples.Add($"{labels.Get("__name__")}{{{string.Join(',', rest)}}} {GoText.Float(parser.Value)}");
            }
        }

        samples.Sort(StringComparer.Ordinal);
        return string.Join(" | ", samples);
    }

    public static byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text);
}
