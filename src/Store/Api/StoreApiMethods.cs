using Google.Protobuf;
using Grpc.Core;
using Observe.Store.Api.Wire;

namespace Observe.Store.Api;

/// <summary>thanos.Store as it is generated, but for the messages of Series, which are <see cref="WireFrame"/>s.</summary>
[BindServiceMethod(typeof(StoreApiMethods), nameof(BindService))]
abstract class StoreApiMethods
{
    const string Name = "thanos.Store";

    public static Method<SeriesRequest, WireFrame> SeriesMethod { get; } = WireFrame.Stream(Name, "Series", SeriesRequest.Parser);

    static readonly Method<LabelNamesRequest, LabelNamesResponse> s_labelNames =
        Unary("LabelNames", LabelNamesRequest.Parser, LabelNamesResponse.Parser);

    static readonly Method<LabelValuesRequest, LabelValuesResponse> s_labelValues =
        Unary("LabelValues", LabelValuesRequest.Parser, LabelValuesResponse.Parser);

    public abstract Task Series(SeriesRequest request, IServerStreamWriter<WireFrame> responses, ServerCallContext context);

    public abstract Task<LabelNamesResponse> LabelNames(LabelNamesRequest request, ServerCallContext context);

    public abstract Task<LabelValuesResponse> LabelValues(LabelValuesRequest request, ServerCallContext context);

    /// <summary>Binds the methods of a service, or, where it is null, tells what methods there are.</summary>
    public static void BindService(ServiceBinderBase binder, StoreApiMethods? service)
    {
        binder.AddMethod(SeriesMethod, service is null ? null : service.Series);
        binder.AddMethod(s_labelNames, service is null ? null : service.LabelNames);
        binder.AddMethod(s_labelValues, service is null ? null : service.LabelValues);
    }

    static Method<TRequest, TResponse> Unary<TRequest, TResponse>(
        string name, MessageParser<TRequest> request, MessageParser<TResponse> response)
        where TRequest : class, IBufferMessage, IMessage<TRequest>
        where TResponse : class, IBufferMessage, IMessage<TResponse> =>
        new(MethodType.Unary, Name, name, WireFields.Marshaller(request), WireFields.Marshaller(response));
}
