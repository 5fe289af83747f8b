using System.Globalization;
using Observe.Tsdb.Chunks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Benchmarks.Promql;

/// <summary>Counters of a made-up fleet in XOR chunks of 120 samples, as a block holds them: what an engine reads, without files.</summary>
public sealed class SyntheticFleet : IQuerier
{
    public const long StepMs = 15_000;

    readonly (Labels Labels, List<Chunk> Chunks)[] _series;

    /// <param name="samples">For each series, one every 15 s from time 0.</param>
    public SyntheticFleet(int series, int samples)
    {
        _series = new (Labels, List<Chunk>)[series];
        for (var i = 0; i < series; i++)
        {
            var labels = Labels.Of(
                ("__name__", "http_requests_total"),
                ("cluster", "c" + (i % 3).ToString(CultureInfo.InvariantCulture)),
                ("instance", string.Create(CultureInfo.InvariantCulture, $"10.0.{i / 250}.{i % 250}:9100")),
                ("job", "job" + (i % 20).ToString(CultureInfo.InvariantCulture)));
            _series[i] = (labels, Encode(new Random(i), samples, i * 7 % 15_000));
        }

        Array.Sort(_series, static (a, b) => a.Labels.CompareTo(b.Labels));
    }

    public async IAsyncEnumerable<Series> SelectAsync(Selection selection)
    {
        await Task.CompletedTask;
        foreach (var (labels, chunks) in _series)
        {
            if (Matcher.All(selection.Matchers, labels))
            {
                yield return new ChunkSeries(labels, chunks, selection.Hints);
            }
        }
    }

    public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection) => throw new NotSupportedException();

    public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection) =>
        throw new NotSupportedException();

    static List<Chunk> Encode(Random random, int samples, long jitter)
    {
        var chunks = new List<Chunk>();
        var value = 0.0;
        for (var start = 0; start < samples; start += XorChunk.TargetSamples)
        {
            var appender = new XorAppender(new byte[4096]);
            var count = Math.Min(XorChunk.TargetSamples, samples - start);
            for (var i = 0; i < count; i++)
            {
                value += random.Next(0, 100);
                appender.Append(((start + i) * StepMs) + jitter, value);
            }

            chunks.Add(new Chunk((start * StepMs) + jitter, appender.MaxTime, ChunkEncoding.Xor, appender.Written.ToArray()));
        }

        return chunks;
    }

    sealed class ChunkSeries(Labels labels, List<Chunk> chunks, SelectHints hints) : Series(labels)
    {
        public override ISampleIterator Samples() => new ChunkSeriesIterator(chunks, Aggregate.Raw, hints.Range, "memory");
    }
}
