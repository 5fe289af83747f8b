using Grpc.Core;
using Observe.Store.Api.Wire;

namespace Observe.Store.Api;

sealed class InfoServer(Func<StoreDescription> describe) : Info.InfoBase
{
    public override Task<InfoResponse> Info(InfoRequest request, ServerCallContext context)
    {
        var description = describe();
        var store = new StoreInfo
        {
            MinTime = description.Range.MinTime,
            MaxTime = description.Range.MaxTime,
            SupportsWithoutReplicaLabels = true,
        };
        var response = new InfoResponse
        {
            ComponentType = description.Component,
            Store = store,
            MetricMetadata = description.Apis.HasFlag(ServedApis.Metadata) ? new MetricMetadataInfo() : null,
            Targets = description.Apis.HasFlag(ServedApis.Targets) ? new TargetsInfo() : null,
            Query = description.Apis.HasFlag(ServedApis.Query) ? new QueryAPIInfo() : null,
        };
        foreach (var labels in description.LabelSets)
        {
            var set = WireLabels.ToWire(labels);
            response.LabelSets.Add(set);
            var range = description.RangeOf(labels);
            store.TsdbInfos.Add(new TSDBInfo { Labels = set, MinTime = range.MinTime, MaxTime = range.MaxTime });
        }

        response.Collector = description.Collector;
        response.Fleet.AddRange(description.Fleet.Select(WireFleet.ToWire));

        return Task.FromResult(response);
    }
}
