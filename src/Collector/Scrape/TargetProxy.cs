using System.Globalization;
using System.Net;

namespace Observe.Collector.Scrape;

/// <summary>
/// A proxy for all targets but those that <c>no_proxy</c> names: hosts, domain suffixes, addresses, networks, each with a port or without.
/// </summary>
sealed class TargetProxy(Uri proxy, string noProxy) : IWebProxy
{
    readonly string[] _exceptions = noProxy.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);

    public ICredentials? Credentials { get; set; } = CredentialsOf(proxy);

    public Uri? GetProxy(Uri destination) => IsBypassed(destination) ? null : proxy;

    public bool IsBypassed(Uri host) => _exceptions.Any(exception => Matches(exception, host));

    static bool Matches(string exception, Uri target)
    {
        if (exception == "*")
        {
            return true;
        }

        if (IPNetwork.TryParse(exception, out var network))
        {
            return IPAddress.TryParse(target.IdnHost, out var address) && network.Contains(address);
        }

        var colon = exception.LastIndexOf(':');
        if (colon > 0 && !IPAddress.TryParse(exception, out _)
            && int.TryParse(exception.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var port))
        {
            if (port != target.Port)
            {
                return false;
            }

            exception = exception[..colon];
        }

        var host = target.IdnHost;
        if (exception.StartsWith('.'))
        {
            return host.EndsWith(exception, StringComparison.OrdinalIgnoreCase);
        }

        return host.Equals(exception.Trim('[', ']'), StringComparison.OrdinalIgnoreCase)
            || (!IPAddress.TryParse(host, out _) && host.EndsWith("." + exception, StringComparison.OrdinalIgnoreCase));
    }

    static NetworkCredential? CredentialsOf(Uri proxy)
    {
        var parts = proxy.UserInfo.Split(':', 2);
        return proxy.UserInfo.Length == 0
            ? null
            : new NetworkCredential(Uri.UnescapeDataString(parts[0]), parts.Length > 1 ? Uri.UnescapeDataString(parts[1]) : "");
    }
}
