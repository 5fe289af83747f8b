using BenchmarkDotNet.Attributes;
using Observe.Store.Chunks;
using Observe.Store.Model;

namespace Observe.Benchmarks.Chunks;

/// <summary>Appending to and decoding one chunk of 120 samples. Divide by 120 for a sample.</summary>
[MemoryDiagnoser]
public class XorDecoding
{
    readonly SampleBatch _batch = new();
    readonly byte[] _buffer = new byte[2048];
    (long Timestamp, double Value)[] _samples = [];
    byte[] _chunk = [];
    XorDecoder _decoder;

    /// <summary>What the samples are: a value that stays, a counter of integers, or a gauge of arbitrary floats; all with some jitter.</summary>
    [Params("constant", "counter", "gauge")]
    public string Kind { get; set; } = "";

    [GlobalSetup]
    public void Setup()
    {
        var random = new Random(1);
        var value = 1000.0;
        _samples = [.. Enumerable.Range(0, 120).Select(i => (
            1_700_000_000_000 + (i * 15_000L) + (random.Next(10) == 0 ? random.Next(5) : 0),
            value = Kind switch { "constant" => value, "counter" => value + random.Next(100), _ => random.NextDouble() }))];
        var open = new XorAppender(new byte[32]);
        foreach (var (timestamp, v) in _samples)
        {
            open.Append(timestamp, v);
        }

        _chunk = open.Written.ToArray();
    }

    [Benchmark]
    public int Decode()
    {
        _decoder = new XorDecoder(XorChunk.Count(_chunk));
        return _decoder.Read(_chunk, _batch.Timestamps, _batch.Values, "benchmark", 0);
    }

    [Benchmark]
    public int Append()
    {
        var open = new XorAppender(_buffer);
        foreach (var (timestamp, value) in _samples)
        {
            open.Append(timestamp, value);
        }

        return open.Length;
    }
}
