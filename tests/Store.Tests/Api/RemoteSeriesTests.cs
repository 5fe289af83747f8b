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
    [Fact]
    public void Frames_of_one_series_are_joined_and_the_next_one_ends_it()
    {
        using var selection = Selection();
        var read = Read(selection, Message(Frame("a", 2, 3)), Message(Frame("a", 0, 1)), Message(Frame("b", 5)));
        Assert.Equal([[0, 1, 2, 3], [5]], read.Select(Values));
        Assert.Equal(["a", "b"], read.Select(series => series.Labels.Get("__name__")));
    }

    [Fact]
    public void Series_of_a_batch_are_read_as_those_that_come_alone()
    {
        using var selection = Selection();
        var batch = new SeriesResponse { Batch = new SeriesBatch { Series = { Frame("a", 1), Frame("b", 2), Frame("b", 3), Frame("c") } } };
        Assert.Equal([[1], [2, 3], [], [4]], Read(selection, batch, Message(Frame("d", 4))).Select(Values));
    }

    [Fact]
    public void Labels_that_come_in_disorder_are_put_in_order()
    {
        var labels = new[] { ("b", "0"), ("z", "1"), ("a", "2"), ("empty", "") };
        var frame = new Observe.Store.Api.Wire.Series();
        foreach (var (name, value) in labels)
        {
            frame.Labels.Add(new Label { Name = ByteString.CopyFromUtf8(name), Value = ByteString.CopyFromUtf8(value) });
        }

        using var selection = Selection();
        Assert.Equal(Labels.Of(("a", "2"), ("b", "0"), ("z", "1")), WireLabels.FromWire(frame.Labels));
        Assert.Equal(Labels.Of(("a", "2"), ("b", "0"), ("z", "1")), Assert.Single(Read(selection, Message(frame))).Labels);
    }

    [Fact]
    public void A_label_may_have_its_value_before_its_name()
    {
        static byte[] Field(int number, byte[] content) => [(byte)((number << 3) | 2), (byte)content.Length, .. content];
        byte[] series =
        [
            .. Field(1, [.. Field(2, "first"u8.ToArray()), .. Field(1, "a_rather_long_name"u8.ToArray())]),
            .. Field(1, [.. Field(1, "b"u8.ToArray()), .. Field(2, "second"u8.ToArray())]),
        ];
        using var selection = Selection();
        Assert.Equal(Labels.Of(("a_rather_long_name", "first"), ("b", "second")), Assert.Single(Read(selection, Field(1, series))).Labels);
    }

    [Fact]
    public void Labels_behind_chunks_are_labels_too()
    {
        var late = new Observe.Store.Api.Wire.Series();
        WireLabels.AddTo(late.Labels, Labels.Of(("a", "1"), ("z", "2")));
        byte[] series = [.. Frame("up", 7).ToByteArray(), .. late.ToByteArray()];
        using var selection = Selection();
        var read = Assert.Single(Read(selection, [0x0a, (byte)series.Length, .. series]));
        Assert.Equal(Labels.Of(("__name__", "up"), ("a", "1"), ("z", "2")), read.Labels);
        Assert.Equal([7], Values(read));
    }

    [Fact]
    public void Any_labels_arrive_as_they_were_sent() => Gen.Select(
        Gen.Dictionary(Gen.String[1, 200], Gen.String[1, 300])[0, 20], Gen.Dictionary(Gen.String[1, 5], Gen.String[1, 5])[0, 3]).Sample((one, two) =>
    {
        var (labels, replica) = (Labels.Of(one), Labels.Of(two));
        var frame = new Observe.Store.Api.Wire.Series { Replica = WireLabels.ToWire(replica) };
        WireLabels.AddTo(frame.Labels, labels);
        using var selection = Selection();
        var read = Assert.Single(Read(selection, Message(frame)));
        Assert.Equal((labels, replica, true), (read.Labels, read.Replica, read.TellsReplica));
    });

    [Fact]
    public void A_chunk_without_data_or_of_an_unknown_encoding_is_corrupt()
    {
        using var selection = Selection();
        var empty = new Observe.Store.Api.Wire.Series { Chunks = { new AggrChunk { MinTime = 1, MaxTime = 2 } } };
        Assert.Throws<CorruptionException>(() => Read(selection, Message(empty)));
        var odd = new AggrChunk { Raw = new Observe.Store.Api.Wire.Chunk { Type = (Observe.Store.Api.Wire.Chunk.Types.Encoding)7 } };
        var unknown = new Observe.Store.Api.Wire.Series { Chunks = { odd } };
        Assert.Contains("peer", Assert.Throws<CorruptionException>(() => Read(selection, Message(unknown))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Any_bytes_are_read_or_refused()
    {
        var good = new SeriesResponse { Batch = new SeriesBatch { Series = { Frame("a", [.. Enumerable.Range(0, 300)]), Frame("b", 1) } } }.ToByteArray();
        Gen.Select(Gen.Int[0, good.Length - 1], Gen.Byte, Gen.Int[0, good.Length]).Sample((at, value, length) =>
        {
            var bytes = good[..length];
            if (at < length)
            {
                bytes[at] = value;
            }

            using var selection = Selection();
            try
            {
                Assert.InRange(Read(selection, bytes).Sum(series => Values(series).Count), 0, 100_000);
            }
            catch (CorruptionException)
            {
                // Refused by name.
            }
        });
    }

    [Fact]
    public void A_series_that_is_read_too_late_says_so()
    {
        var selection = Selection();
        var series = Assert.Single(Read(selection, Message(Frame("a", 1, 2))));
        Assert.Equal([1, 2], Values(series));
        selection.Dispose();
        Assert.Throws<ObjectDisposedException>(() => Values(series));
        Assert.Throws<ObjectDisposedException>(() => series.Chunks());
    }

    static RemoteSelection Selection() => new("peer", new SelectHints { Range = TimeRange.All }, new Budget());

    static SeriesResponse Message(Observe.Store.Api.Wire.Series series) => new() { Series = series };

    static List<RemoteSeries> Read(RemoteSelection selection, params SeriesResponse[] messages) =>
        Read(selection, [.. messages.Select(message => message.ToByteArray())]);

    static List<RemoteSeries> Read(RemoteSelection selection, params byte[][] messages)
    {
        var (reader, read) = (new SeriesFrameReader(selection), new List<RemoteSeries>());
        foreach (var message in messages)
        {
            var frame = WireFrame.Copy(new System.Buffers.ReadOnlySequence<byte>(message));
            selection.Add(frame);
            reader.Open(frame);
            while (reader.Next() is { } next)
            {
                read.AddRange(next is RemoteSeries series ? [series] : []);
            }
        }

        return reader.Last() is { } last ? [.. read, last] : read;
    }

    static Observe.Store.Api.Wire.Series Frame(string name, params int[] samples)
    {
        var frame = new Observe.Store.Api.Wire.Series();
        WireLabels.AddTo(frame.Labels, Labels.Of(("__name__", name)));
        var hints = new SelectHints { Range = TimeRange.All };
        var source = new MemoryQuerier([new TestSeries(Labels.Of(("__name__", name)), [.. samples.Select(i => ((long)i * 1_000, (double)i))])]);
        var series = source.SelectAsync(new QueryContext().Select(hints, [])).ToBlockingEnumerable().SingleOrDefault();
        if (series is null)
        {
            return frame;
        }

        var chunks = new WireChunks(new SeriesRequest());
        using var opened = chunks.Open(series);
        using var fields = new ByteWriter();
        chunks.Write(fields, opened.All);
        Assert.Equal(fields.Length, opened.All.Sum(chunks.Size));
        frame.MergeFrom(fields.Written.ToArray());
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
