using System.Text;
using System.Text.Json.Nodes;
using CsCheck;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Tsdb.Tests.Blocks;

public class BlockMetaTests
{
    const string Full = """
        {
        	"ulid": "01M81NBR67YRKMJPBZFV4RV2R3",
        	"minTime": 1757548800000,
        	"maxTime": 1758758340001,
        	"stats": {
        		"numSamples": 10,
        		"numSeries": 2,
        		"numChunks": 3
        	},
        	"compaction": {
        		"level": 2,
        		"sources": [
        			"01M81NAZ4087NV9H57PAF1QPG2"
        		],
        		"parents": [
        			{
        				"ulid": "01M81NBQVWMA5ZPCAE44BJY6Z1",
        				"minTime": 1757548800000,
        				"maxTime": 1757721540001
        			}
        		],
        		"hints": [
        			"from-out-of-order"
        		]
        	},
        	"version": 1,
        	"thanos": {
        		"version": 1,
        		"labels": {
        			"cluster": "a<b",
        			"replica": "a"
        		},
        		"downsample": {
        			"resolution": 300000
        		},
        		"source": "compactor",
        		"segment_files": [
        			"000001"
        		],
        		"files": [
        			{
        				"rel_path": "index",
        				"size_bytes": 3930,
        				"hash": {
        					"hashFunc": "SHA256",
        					"value": "ab"
        				}
        			},
        			{
        				"rel_path": "meta.json"
        			}
        		],
        		"index_stats": {
        			"series_max_size": 288,
        			"chunk_max_size": 4121
        		},
        		"extensions": {
        			"observe": {
        				"collector": "c"
        			}
        		},
        		"upload_time": "2026-11-22T12:58:09.5+00:00"
        	}
        }
        """;

    [Fact]
    public void A_meta_is_written_as_prometheus_and_thanos_write_it()
    {
        var text = Full.ReplaceLineEndings("\n");
        Assert.Equal(text, Encoding.UTF8.GetString(BlockMeta.Parse(Encoding.UTF8.GetBytes(text), "m").ToJson()));
    }

    [Fact]
    public void Fields_that_are_not_known_are_kept()
    {
        var json = JsonNode.Parse(Full)!;
        json["new"] = 1;
        json["stats"]!["new"] = "x";
        json["compaction"]!["new"] = new JsonArray(1, 2);
        json["thanos"]!["rewrites"] = new JsonArray(new JsonObject { ["sources"] = new JsonArray("a") });
        var meta = BlockMeta.Parse(Encoding.UTF8.GetBytes(json.ToJsonString()), "m") with { MinTime = 5 };
        json["minTime"] = 5;
        Assert.True(JsonNode.DeepEquals(json, JsonNode.Parse(meta.ToJson())), Encoding.UTF8.GetString(meta.ToJson()));
    }

    [Fact]
    public void Metas_of_others_are_read_and_say_the_same_when_they_are_written()
    {
        var blocks = Required.Shared("blocks");
        foreach (var file in Directory.GetFiles(blocks, BlockMeta.FileName, SearchOption.AllDirectories))
        {
            var meta = BlockMeta.Parse(File.ReadAllBytes(file), file);
            var (before, after) = (JsonNode.Parse(File.ReadAllBytes(file))!, JsonNode.Parse(meta.ToJson())!);
            if (before["thanos"]?["upload_time"] is not null)
            {
                // Nanoseconds become .NET's ticks.
                before["thanos"]!["upload_time"] = after["thanos"]!["upload_time"]!.DeepClone();
            }

            Assert.True(JsonNode.DeepEquals(before, after), file);
        }

        var golden = Path.Combine(blocks, "golden", "01M81NBR67YRKMJPBZFV4RV2R3", BlockMeta.FileName);
        var downsampled = BlockMeta.Parse(File.ReadAllBytes(golden), golden);
        Assert.Equal(300_000, downsampled.ResolutionMs);
        Assert.Equal(Labels.Of(("cluster", "golden"), ("replica", "a")), downsampled.ExternalLabels);
        Assert.Equal(new TimeRange(1757548800000, 1758758340000), downsampled.Range);
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("{}")]
    [InlineData("[1]")]
    [InlineData("""{"ulid":"01M81NBR67YRKMJPBZFV4RV2R3","minTime":1,"maxTime":2,"version":2}""")]
    [InlineData("""{"ulid":"01M81NBR67YRKMJPBZFV4RV2RU","minTime":1,"maxTime":2,"version":1}""")]
    [InlineData("""{"ulid":"01M81NBR67YRKMJPBZFV4RV2R3","minTime":3,"maxTime":2,"version":1}""")]
    [InlineData("""{"ulid":"01M81NBR67YRKMJPBZFV4RV2R3","minTime":1,"maxTime":2,"version":1,"thanos":{"labels":{"a":null,"a":1}}}""")]
    public void What_is_no_meta_is_corruption(string json) =>
        Assert.Contains("m at ", Assert.Throws<CorruptionException>(() => BlockMeta.Parse(Encoding.UTF8.GetBytes(json), "m")).Message, StringComparison.Ordinal);

    [Fact]
    public void Sections_that_are_null_are_empty()
    {
        var meta = BlockMeta.Parse(
            """{"ulid":"01M81NBR67YRKMJPBZFV4RV2R3","minTime":1,"maxTime":2,"version":1,"stats":null,"compaction":{"sources":null},"thanos":{"labels":null,"downsample":null}}"""u8,
            "m");
        Assert.True(meta.ExternalLabels.IsEmpty);
        Assert.Equal((0, 0, 0), (meta.ResolutionMs, meta.Stats.Series, meta.Compaction.Sources.Count));
    }

    [Fact]
    public void An_id_reads_back_from_its_text_and_sorts_as_its_text() =>
        Gen.Select(Gen.Long[0, (1L << 48) - 1], Gen.Int, Gen.Long[0, (1L << 48) - 1]).Sample((time, seed, other) =>
        {
            var id = BlockId.New(DateTimeOffset.FromUnixTimeMilliseconds(time % 253402300799999), new Random(seed));
            var second = BlockId.New(DateTimeOffset.FromUnixTimeMilliseconds(other % 253402300799999), new Random(seed + 1));
            Assert.Equal(id, BlockId.Parse(id.ToString()));
            Assert.Equal(time % 253402300799999, id.Timestamp);
            Assert.Equal(Math.Sign(id.CompareTo(second)), Math.Sign(string.CompareOrdinal(id.ToString(), second.ToString())));
        });

    [Theory]
    [InlineData("0000XSNJG0MQJHBF4QX1EFD6Y3", 1_000_000_000)]
    [InlineData("7ZZZZZZZZZZZZZZZZZZZZZZZZZ", (1L << 48) - 1)]
    [InlineData("00000000000000000000000000", 0)]
    public void An_id_tells_its_time(string text, long time) => Assert.Equal(time, BlockId.Parse(text).Timestamp);

    [Theory]
    [InlineData("")]
    [InlineData("8ZZZZZZZZZZZZZZZZZZZZZZZZZ")]
    [InlineData("01M81NBR67YRKMJPBZFV4RV2R")]
    [InlineData("01M81NBR67YRKMJPBZFV4RV2RI")]
    [InlineData("01M81NBR67YRKMJPBZFV4RV2R/")]
    public void What_is_no_id_is_refused(string text) => Assert.False(BlockId.TryParse(text, out _));
}
