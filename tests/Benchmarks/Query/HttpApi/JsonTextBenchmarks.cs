using System.Text.Json;
using BenchmarkDotNet.Attributes;
using Observe.Query.HttpApi;
using Observe.Tsdb.Bytes;

namespace Observe.Benchmarks.Query.HttpApi;

/// <summary>Ten thousand points of a matrix as JSON: integers, and fractions with all their digits.</summary>
[MemoryDiagnoser]
[ShortRunJob]
public class JsonTextBenchmarks : IDisposable
{
    const int Points = 10_000;
    readonly JsonText _json = new();
    readonly MemoryStream _stream = new();
    double[] _values = [];

    [Params(true, false)]
    public bool Whole { get; set; }

    [GlobalSetup]
    public void SetUp() => _values = [.. Enumerable.Range(0, Points).Select(i => Whole ? i * 1_000.0 : Math.Sin(i) * 1_000)];

    [Benchmark(OperationsPerInvoke = Points)]
    public int JsonText()
    {
        _json.Clear();
        for (var i = 0; i < _values.Length; i++)
        {
            _json.Raw(i == 0 ? "[["u8 : ",["u8).Timestamp(1_700_000_000_000 + (i * 15_000)).Raw(","u8).Value(_values[i]).Raw("]"u8);
        }

        return _json.Raw("]"u8).Length;
    }

    [Benchmark(Baseline = true, OperationsPerInvoke = Points)]
    public long Utf8JsonWriterAndText()
    {
        _stream.Position = 0;
        using var json = new Utf8JsonWriter(_stream);
        json.WriteStartArray();
        for (var i = 0; i < _values.Length; i++)
        {
            json.WriteStartArray();
            json.WriteNumberValue((1_700_000_000_000 + (i * 15_000)) / 1000.0);
            json.WriteStringValue(GoText.Float(_values[i]));
            json.WriteEndArray();
        }

        json.WriteEndArray();
        json.Flush();
        return _stream.Position;
    }

    public void Dispose()
    {
        _json.Dispose();
        _stream.Dispose();
        GC.SuppressFinalize(this);
    }
}
