using System.Globalization;
using System.Text;
using BenchmarkDotNet.Attributes;
using Observe.Collector.Exposition;

namespace Observe.Benchmarks.Exposition;

/// <summary>A body of 1 000 samples as a node_exporter writes them, read to its end; the time is of one sample.</summary>
[MemoryDiagnoser]
public class ExpositionBenchmarks
{
    const int Samples = 1000;

    byte[] _body = [];

    [Params("text/plain", "application/openmetrics-text")]
    public string ContentType { get; set; } = "";

    [GlobalSetup]
    public void Write()
    {
        var text = new StringBuilder();
        var random = new Random(1);
        for (var i = 0; i < Samples; i++)
        {
            if (i % 10 == 0)
            {
                text.Append(CultureInfo.InvariantCulture, $"# HELP node_thing_{i}_total Things that a node counted since it was started.\n# TYPE node_thing_{i}_total counter\n");
            }

            text.Append(CultureInfo.InvariantCulture, $"node_thing_{i - (i % 10)}_total{{cpu=\"{i % 10}\",mode=\"iowait\"}} {Math.Round(random.NextDouble() * 1e6, 2)}\n");
        }

        _body = Encoding.UTF8.GetBytes(text.Append("# EOF\n").ToString());
    }

    [Benchmark(OperationsPerInvoke = Samples)]
    public double Read()
    {
        ExpositionParser.TryCreate(ContentType, null, _body, out var parser, out _);
        double sum = 0;
        for (var entry = parser!.Next(); entry != ExpositionEntry.End; entry = parser.Next())
        {
            sum += entry == ExpositionEntry.Sample ? parser.Value : 0;
        }

        return sum;
    }
}
