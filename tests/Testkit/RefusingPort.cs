using System.Net;
using System.Net.Sockets;

namespace Observe.Testkit;

/// <summary>A port of the loopback interface that refuses every connection, and that nobody else can take: bound, and never listened on.</summary>
public sealed class RefusingPort : IDisposable
{
    readonly Socket _socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);

    public RefusingPort() => _socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));

    /// <summary>HOST:PORT.</summary>
    public string Address => _socket.LocalEndPoint!.ToString()!;

    public void Dispose() => _socket.Dispose();
}
