using Microsoft.Extensions.Logging.Abstractions;
using Observe.Hosting;
using Observe.Query.Promql.Scripts;
using Observe.Store.Blocks;
using Observe.Store.Bucket;
using Observe.Store.Gateway;
using Observe.Tsdb.Head;
using Observe.Tsdb.Ingest;
using Observe.Tsdb.Querying;
using Prometheus;

namespace Observe.Commands;

/// <summary>
/// The storages that a script's series can be kept in while it runs: in memory, in a head, or in blocks of a bucket that are read back as a
/// store reads them.
/// </summary>
static class ScriptStorages
{
    /// <returns>Null for memory.</returns>
    public static OpenScriptStorage? Named(string name) => name switch
    {
        "memory" => null,
        "head" => OpenHeadAsync,
        "bucket" => OpenBucketAsync,
        _ => throw new FlagException($"--storage: {name} is none of memory, head, bucket"),
    };

    static async Task<IQuerier> OpenHeadAsync(IReadOnlyList<ScriptSeries> series, CancellationToken cancellationToken)
    {
        var folder = NewFolder();
        var head = await FillAsync(folder, series, cancellationToken);
        return new Opened(head, folder, head);
    }

    static async Task<IQuerier> OpenBucketAsync(IReadOnlyList<ScriptSeries> series, CancellationToken cancellationToken)
    {
        var folder = NewFolder();
        var bucket = new FileBucket(Path.Combine(folder, "bucket"), TimeProvider.System);
        await using (var head = await FillAsync(folder, series, cancellationToken))
        {
            var blocks = new BucketBlocks(bucket);
            foreach (var path in await head.CutAsync(force: true, cancellationToken))
            {
                await blocks.UploadAsync(path, TimeProvider.System.GetUtcNow(), cancellationToken);
            }
        }

        var store = new BucketStore(
            bucket,
            new BucketStoreOptions { Directory = Path.Combine(folder, "store"), Time = TimeProvider.System },
            new BucketStoreMetrics(Metrics.NewCustomRegistry()),
            NullLogger.Instance);
        await store.SyncAsync(cancellationToken);
        return new Opened(store, folder, store, bucket);
    }

    static async Task<HeadBlock> FillAsync(string folder, IReadOnlyList<ScriptSeries> series, CancellationToken cancellationToken)
    {
        var head = await HeadBlock.OpenAsync(
            new HeadOptions
            {
                Directory = Path.Combine(
            folder, "head"),
                Time = TimeProvider.System,
                WalSyncInterval = TimeSpan.FromMinutes(1),
                BlockRangeMs = 1L << 50
            },
            cancellationToken);
        using var appender = head.Appender();
        foreach (var one in series)
        {
            var reference = appender.GetOrAdd(one.Labels);
            bool? histograms = null;
            foreach (var sample in one.Samples)
            {
                // A series has samples of one kind within one append, as within a scrape.
                if (histograms != (sample.Histogram is not null) && histograms is not null)
                {
                    appender.Commit();
                }

                histograms = sample.Histogram is not null;
                var result = sample.Histogram is { } histogram
                    ? appender.Append(reference, sample.Timestamp, histogram, sample.StartTimestamp)
                    : appender.Append(reference, sample.Timestamp, sample.Value, sample.StartTimestamp);
                if (result != AppendResult.Appended)
                {
                    throw new InvalidDataException($"{one.Labels} at {sample.Timestamp}: {result}");
                }
            }

            appender.Commit();
        }

        return head;
    }

    static string NewFolder() => Directory.CreateTempSubdirectory("observe-script-").FullName;

    /// <summary>A querier with the objects that it reads from, which are disposed with it.</summary>
    sealed class Opened(IQuerier querier, string folder, params IAsyncDisposable[] owned) : IQuerier, IAsyncDisposable
    {
        public IAsyncEnumerable<Series> SelectAsync(Selection selection) => querier.SelectAsync(selection);

        public ValueTask<IReadOnlyList<string>> LabelNamesAsync(Selection selection) => querier.LabelNamesAsync(selection);

        public ValueTask<IReadOnlyList<string>> LabelValuesAsync(string name, Selection selection) =>
            querier.LabelValuesAsync(name, selection);

        public async ValueTask DisposeAsync()
        {
            foreach (var one in owned)
            {
                await one.DisposeAsync();
            }

            Directory.Delete(folder, recursive: true);
        }
    }
}
