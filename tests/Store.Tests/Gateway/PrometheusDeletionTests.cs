using System.Globalization;
using System.Text.Json;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;

namespace Observe.Store.Tests.Gateway;

/// <summary>What Prometheus deletes is read as Prometheus reads it.</summary>
public sealed class PrometheusDeletionTests : IAsyncDisposable
{
    const long Start = 1_700_006_400_000;
    const long Interval = 15_000;
    const int Samples = 480;

    readonly string _folder = Checkout.NewFolder("prometheus-deletes");
    readonly StoreFixture _fixture = new();

    public async ValueTask DisposeAsync()
    {
        await _fixture.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task After_deletions_a_block_and_a_bucket_answer_as_prometheus_does()
    {
        var series = Enumerable.Range(0, 5).Select(i => new TestSeries(
            Labels.Of(("__name__", "m"), ("i", $"{i}")),
            [.. Enumerable.Range(0, Samples).Select(s => (Start + (s * Interval), (double)(s + i)))])).ToList();
        await TestBlocks.WriteAsync(_folder, TestBlocks.Id(1), series);
        var directory = Path.Combine(_folder, TestBlocks.Id(1).ToString());
        Dictionary<string, List<(long, double)>> expected;
        await using (var server = await PrometheusServer.StartAsync(_folder, flags: "--web.enable-admin-api"))
        {
            using var http = new HttpClient { BaseAddress = server.Url };
            foreach (var (matcher, from, to) in new[]
            {
                ("{i=\"0\"}", -1_000, 1_000), ("{i=\"1\"}", 120, 239), ("{i=\"2\"}", 7, 7), ("{i=\"2\"}", 9, 50), ("{i=\"2\"}", 40, 130), ("{i=~\"2|3\"}", 470, 1_000),
            })
            {
                var query = $"match[]={Uri.EscapeDataString(matcher)}&start={Seconds(Start + (from * Interval))}&end={Seconds(Start + (to * Interval))}";
                using var answer = await http.PostAsync(new Uri($"api/v1/admin/tsdb/delete_series?{query}", UriKind.Relative), null);
                Assert.True(answer.IsSuccessStatusCode, await answer.Content.ReadAsStringAsync());
            }

            using var json = JsonDocument.Parse(await http.GetStringAsync(
                new Uri($"api/v1/query?query=m[1d]&time={Seconds(Start + (Samples * Interval))}", UriKind.Relative)));
            expected = json.RootElement.GetProperty("data").GetProperty("result").EnumerateArray().ToDictionary(
                one => one.GetProperty("metric").GetProperty("i").GetString()!,
                one => one.GetProperty("values").EnumerateArray().Select(value => (
                    (long)Math.Round(value[0].GetDouble() * 1_000), double.Parse(value[1].GetString()!, CultureInfo.InvariantCulture))).ToList());
        }

        Assert.Equal(["1", "2", "3", "4"], expected.Keys.Order());
        Assert.True(File.Exists(Path.Combine(directory, Tombstones.FileName)));
        using (var block = Block.Open(directory))
        {
            Assert.Equal(expected, TestBlocks.Read(block).ToDictionary(s => s.Labels.Get("i"), s => s.Samples));
        }

        await _fixture.Blocks.UploadAsync(directory, DateTimeOffset.UnixEpoch, default);
        await using var store = _fixture.Open();
        await store.SyncAsync(default);
        Assert.Equal(expected, (await StoreFixture.ReadAsync(store)).ToDictionary(s => s.Labels.Get("i"), s => s.Samples));
        Assert.Equal(["1", "2", "3", "4"], await store.LabelValuesAsync("i", new QueryContext().Select(new SelectHints { Range = TimeRange.All }, [])));
    }

    static string Seconds(long milliseconds) => (milliseconds / 1_000.0).ToString("F3", CultureInfo.InvariantCulture);
}
