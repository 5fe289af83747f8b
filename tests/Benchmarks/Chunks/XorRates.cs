using System.Diagnostics;
using System.Globalization;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;

namespace Observe.Benchmarks.Chunks;

/// <summary>
/// CPU time of appending and decoding floats, by what they are, in chunks of 120; in CPU time since that does not depend on what else
/// the machine does. <c>dotnet run -c Release -- chunks</c>
/// </summary>
static class XorRates
{
    const int Rounds = 100_000;

    public static void Run()
    {
        foreach (var kind in new[] { "constant", "counter", "gauge" })
        {
            var samples = Samples(kind);
            var buffer = new byte[2048];
            var batch = new SampleBatch();
            var chunk = Append(samples, buffer).ToArray();
            Measure($"append {kind}", () => Append(samples, buffer).Length);
            Measure($"decode {kind}", () => new XorDecoder(XorChunk.Count(chunk)).Read(chunk, batch.Timestamps, batch.Values, "benchmark", 0));
        }
    }

    static ReadOnlySpan<byte> Append((long Timestamp, double Value)[] samples, byte[] buffer)
    {
        var open = new XorAppender(buffer);
        foreach (var (timestamp, value) in samples)
        {
            open.Append(timestamp, value);
        }

        return open.Written;
    }

    static void Measure(string what, Func<int> run)
    {
        var sum = 0L;
        for (var i = 0; i < Rounds / 5; i++)
        {
            sum += run();
        }

        var process = Process.GetCurrentProcess();
        var before = process.UserProcessorTime;
        for (var i = 0; i < Rounds; i++)
        {
            sum += run();
        }

        process.Refresh();
        var elapsed = process.UserProcessorTime - before;
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"{what}: {elapsed.TotalNanoseconds / Rounds / XorChunk.TargetSamples:F1} ns a sample ({sum % 7})"));
    }

    /// <summary>A value that stays, a counter of integers, or arbitrary floats; every tenth a few milliseconds late.</summary>
    static (long Timestamp, double Value)[] Samples(string kind)
    {
        var random = new Random(1);
        var value = 1000.0;
        return [.. Enumerable.Range(0, XorChunk.TargetSamples).Select(i => (
            1_700_000_000_000 + (i * 15_000L) + (random.Next(10) == 0 ? random.Next(5) : 0),
            value = kind switch { "constant" => value, "counter" => value + random.Next(100), _ => random.NextDouble() }))];
    }
}
