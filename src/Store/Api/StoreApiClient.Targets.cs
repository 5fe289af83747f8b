using Grpc.Core;
using Observe.Store.Api.StatusWire;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Querying;

namespace Observe.Store.Api;

/// <summary>What a peer knows of targets. Its messages are read entry by entry, so that none of them makes more of itself than it may.</summary>
public sealed partial class StoreApiClient : ITargetSource
{
    /// <summary>Bytes of all messages of one answer, of one entry, and how many entries there may be.</summary>
    const int MaxAnswerBytes = 64 << 20;
    const int MaxEntryBytes = 1 << 20;
    const int MaxEntries = 500_000;

    static readonly Method<TargetsRequest, WireFrame> s_targets = WireFrame.Stream("thanos.Targets", "Targets", TargetsRequest.Parser);

    static readonly Method<MetricMetadataRequest, WireFrame> s_metadata =
        WireFrame.Stream("thanos.Metadata", "MetricMetadata", MetricMetadataRequest.Parser);

    public async Task<ApiTargets> TargetsAsync(QueryContext query)
    {
        var gathered = new WireTargets.Gathered();
        await EntriesAsync(s_targets, new TargetsRequest(), gathered.Add, query);
        return gathered.All();
    }

    public async Task<IReadOnlyList<ApiMetadata>> MetadataAsync(string metric, int limit, QueryContext query)
    {
        var all = new List<ApiMetadata>();
        var request = new MetricMetadataRequest { Metric = metric, Limit = limit };
        await EntriesAsync(s_metadata, request, (_, content) => all.AddRange(WireTargets.MetadataOf(content)), query);
        return ApiMetadata.Merge(all, metric, limit);
    }

    /// <summary>Reads messages whose first field is a list of entries and whose second is a warning.</summary>
    /// <param name="add">Gets an entry: the number of its field within the list, and its content.</param>
    async Task EntriesAsync<TRequest>(
        Method<TRequest, WireFrame> method, TRequest request, Action<int, ReadOnlySpan<byte>> add, QueryContext query)
        where TRequest : class
    {
        using var cancel = CancellationTokenSource.CreateLinkedTokenSource(query.CancellationToken);
        using var call = _channel.CreateCallInvoker().AsyncServerStreamingCall(method, null, Options(query, cancel.Token), request);
        using var held = new Budget(outer: query.Bytes);
        var (bytes, entries) = (0L, 0);
        while (await NextAsync(call.ResponseStream, cancel, query))
        {
            using var frame = call.ResponseStream.Current;
            held.Take(frame.Bytes.Length);
            if ((bytes += frame.Bytes.Length) > MaxAnswerBytes)
            {
                throw new StoreApiException(Endpoint, $"its answer to {method.Name} is longer than {MaxAnswerBytes} bytes");
            }

            var response = new ByteReader(frame.Bytes.Span, Endpoint);
            while (!response.AtEnd)
            {
                var tag = response.UVarint();
                if (tag == ((2 << 3) | 2))
                {
                    WireCoverage.AddTo(query.Coverage, System.Text.Encoding.UTF8.GetString(response.LengthPrefixed()));
                }
                else if (tag == ((1 << 3) | 2))
                {
                    entries += Entries(response.LengthPrefixed(), MaxEntries - entries, method.Name, add);
                }
                else
                {
                    WireFields.Skip(ref response, tag);
                }
            }
        }
    }

    int Entries(ReadOnlySpan<byte> list, int most, string name, Action<int, ReadOnlySpan<byte>> add)
    {
        var count = 0;
        var fields = new ByteReader(list, Endpoint);
        while (!fields.AtEnd)
        {
            if (fields.UVarint() is var tag && (tag & 7) != 2)
            {
                WireFields.Skip(ref fields, tag);
                continue;
            }

            var entry = fields.LengthPrefixed();
            if (entry.Length > MaxEntryBytes || ++count > most)
            {
                throw new StoreApiException(
                    Endpoint, $"its answer to {name} has more than {MaxEntries} entries, or one that is longer than {MaxEntryBytes} bytes");
            }

            add((int)Math.Min(tag >> 3, int.MaxValue), entry);
        }

        return count;
    }
}
