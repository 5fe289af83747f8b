using System.CommandLine;
using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;

namespace Observe.Hosting;

/// <summary>The addresses that a process listens on: HTTP always, gRPC where a role serves the store API.</summary>
static class Listeners
{
    /// <exception cref="FlagException">A flag's value is no address.</exception>
    public static void Add(WebApplicationBuilder builder, ParseResult flags, ServerFlags server, bool serveStoreApi)
    {
        var addresses =
            new List<(string Flag, IPEndPoint Address, HttpProtocols Protocols)> { Of(flags, server.HttpAddress, HttpProtocols.Http1) };
        if (serveStoreApi)
        {
            addresses.Add(Of(flags, server.GrpcAddress, HttpProtocols.Http2));
        }

        builder.WebHost.UseKestrelCore();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = 32 << 20;

            // Twice what is answered, so that a request that is too long is told so; Kestrel's own refusal has no text.
            kestrel.Limits.MaxRequestLineSize = 2 * RequestPaths.MaxTarget;
            kestrel.Limits.MaxRequestBufferSize = 2 * RequestPaths.MaxTarget;
            kestrel.Limits.MaxRequestHeadersTotalSize = 128 << 10;
            foreach (var (_, address, protocols) in addresses)
            {
                kestrel.Listen(address, listen => listen.Protocols = protocols);
            }
        });

        // Kestrel binds them one after another, in this order: a failure is reported with the name of the flag.
        var next = 0;
        builder.Services.Configure<SocketTransportOptions>(sockets =>
        {
            // A request is handled by the thread of the pool that received it: three more would be woken for each.
            sockets.UnsafePreferInlineScheduling = true;
            sockets.CreateBoundListenSocket = endpoint =>
            {
                var flag = addresses[next++].Flag;
                try
                {
                    return SocketTransportOptions.CreateDefaultBoundListenSocket(endpoint);
                }
                catch (SocketException e)
                {
                    throw new FlagException($"{flag}: {endpoint}: {Reason(e)}", e);
                }
            };
        });
    }

    static (string Flag, IPEndPoint Address, HttpProtocols Protocols) Of(ParseResult flags, Option<string> option, HttpProtocols protocols)
    {
        var flag = Flags.NameOf(flags, option);
        return (flag, Flags.Address(flag, flags.GetValue(option)!), protocols);
    }

    static string Reason(SocketException e) => e.SocketErrorCode switch
    {
        SocketError.AddressAlreadyInUse => "another process listens there",
        SocketError.AccessDenied => "this process may not listen there",
        SocketError.AddressNotAvailable => "this machine does not have the address",
        _ => e.Message,
    };
}
