using Grpc.Core;
using Observe.Store.Api.StatusWire;
using Observe.Tsdb.Querying;

namespace Observe.Store.Api;

/// <summary>Serves metadata of metrics as thanos.Metadata.</summary>
sealed class MetadataServer(ITargetSource source, StoreApiGate gate) : StatusWire.Metadata.MetadataBase
{
    public override Task MetricMetadata(
        MetricMetadataRequest request, IServerStreamWriter<MetricMetadataResponse> responses, ServerCallContext context) =>
        gate.RunAsync(context, query => StoreApiServer.Guard(async () =>
        {
            var metadata = await source.MetadataAsync(request.Metric, request.Limit, query);
            StoreApiServer.Check(query.Coverage, false, request.PartialResponseStrategy);
            foreach (var frame in WireTargets.ToWire(metadata))
            {
                await responses.WriteAsync(frame, query.CancellationToken);
            }

            foreach (var warning in query.Coverage.Warnings())
            {
                await responses.WriteAsync(new MetricMetadataResponse { Warning = warning }, query.CancellationToken);
            }
        }));
}
