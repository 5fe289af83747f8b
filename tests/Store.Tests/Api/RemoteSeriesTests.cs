using CsCheck;
using Google.Protobuf;
using Observe.Store.Api;
using Observe.Store.Api.Wire;
using Observe.Testkit;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;

namespace Observe.Store.Tests.Api;

public sealed class RemoteSeriesTests
{
    static readonly SelectHints s_all = new() { Range = TimeRange.All };

    [Fact]
    public void Frames_of_one_series_are_joined_and_the_next_one_ends_it()
    {
        RemoteSeries? series = null;
        Assert.Null(RemoteSeries.Join(ref series, Frame("a", 2, 3), s_all, "store"));
        Assert.Null(RemoteSeries.Join(ref series, Frame("a", 0, 1), s_all, "store"));
        var whole = RemoteSeries.Join(ref series, Frame("b", 5), s_all, "store");
        Assert.Equal([0, 1, 2, 3], Values(whole!));
        Assert.Equal([5], Values(series!));
    }

    [Fact]
    public void Labels_that_come_in_disorder_are_put_in_order()
    {
        var frame = new Observe.Store.Api.Wire.Series();
        foreach (var (name, value) in new[] { ("z", "1"), ("a", "2"), ("empty", "") })
        {
            frame.Labels.Add(new Label { Name = ByteString.CopyFromUtf8(name), Value = ByteString.CopyFromUtf8(value) });
        }

        Assert.Equal(Labels.Of(("a", "2"), ("z", "1")), WireLabels.FromWire(frame.Labels));
    }

    [Fact]
    public void A_chunk_without_data_or_of_an_unknown_encoding_is_corrupt()
    {
        Assert.Throws<CorruptionException>(() => WireChunks.FromWire(new AggrChunk { MinTime = 1, MaxTime = 2 }, "store"));
        var odd = new AggrChunk { Raw = new Observe.Store.Api.Wire.Chunk { Type = (Observe.Store.Api.Wire.Chunk.Types.Encoding)7 } };
        Assert.Contains("store", Assert.Throws<CorruptionException>(() => WireChunks.FromWire(odd, "store")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Any_bytes_are_read_or_refused()
    {
        var good = Frame("a", [.. Enumerable.Range(0, 300)]).ToByteArray();
        Gen.Select(Gen.Int[0, good.Length - 1], Gen.Byte, Gen.Int[0, good.Length]).Sample((at, value, length) =>
        {
            var bytes = good[..length];
            if (at < length)
            {
                bytes[at] = value;
            }

            try
            {
                RemoteSeries? series = null;
                RemoteSeries.Join(ref series, Observe.Store.Api.Wire.Series.Parser.ParseFrom(bytes), s_all, "store");
                Assert.InRange(Values(series!).Count, 0, 100_000);
            }
            catch (Exception e) when (e is InvalidProtocolBufferException or CorruptionException)
            {
                // Refused by name.
            }
        });
    }

    static Observe.Store.Api.Wire.Series Frame(string name, params int[] samples)
    {
        var frame = new Observe.Store.Api.Wire.Series();
        WireLabels.AddTo(frame.Labels, Labels.Of(("__name__", name)));
        var hints = new SelectHints { Range = TimeRange.All };
        var source = new MemoryQuerier([new TestSeries(Labels.Of(("__name__", name)), [.. samples.Select(i => ((long)i * 1_000, (double)i))])]);
        var series = source.SelectAsync(new QueryContext().Select(hints, [])).ToBlockingEnumerable().Single();
        frame.Chunks.AddRange(WireChunks.Of(series, [Aggr.Raw], Aggregate.Raw));
        return frame;
    }

    static List<double> Values(Observe.Tsdb.Querying.Series series)
    {
        var values = new List<double>();
        using var iterator = series.Samples();
        var batch = new SampleBatch();
        while (iterator.Read(batch))
        {
            values.AddRange(batch.Kind == SampleKind.Float ? batch.Values[..batch.Count] : new double[batch.Count]);
        }

        return values;
    }
}
