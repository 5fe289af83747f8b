using Grpc.Core;
using Observe.Store.Api.StatusWire;
using Observe.Tsdb.Querying;

namespace Observe.Store.Api;

/// <summary>Serves targets as thanos.Targets.</summary>
sealed class TargetsServer(ITargetSource source, StoreApiGate gate) : Targets.TargetsBase
{
    public override Task Targets(TargetsRequest request, IServerStreamWriter<TargetsResponse> responses, ServerCallContext context) =>
        gate.RunAsync(context, query => StoreApiServer.Guard(async () =>
        {
            var targets = await source.TargetsAsync(query);
            StoreApiServer.Check(query.Coverage, false, request.PartialResponseStrategy);
            foreach (var frame in WireTargets.ToWire(targets, request.State))
            {
                await responses.WriteAsync(frame, query.CancellationToken);
            }

            foreach (var warning in query.Coverage.Warnings())
            {
                await responses.WriteAsync(new TargetsResponse { Warning = warning }, query.CancellationToken);
            }
        }));
}
