using System.Globalization;
using System.Net;

namespace Observe.Query.Fanout;

/// <summary>How this machine looks up names: what <c>/etc/resolv.conf</c> and <c>/etc/hosts</c> say.</summary>
public sealed record ResolverConfig
{
    /// <summary>As many as the C library asks.</summary>
    const int MaxServers = 3;

    /// <summary>Asked in this order.</summary>
    public IReadOnlyList<IPEndPoint> Servers { get; init; } = [new(IPAddress.Loopback, 53)];

    /// <summary>What is appended to names that are not rooted.</summary>
    public IReadOnlyList<string> Search { get; init; } = [];

    /// <summary>A name with fewer dots is first looked up within the search domains.</summary>
    public int Ndots { get; init; } = 1;

    /// <summary>How long one server is waited for.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>How often one server is asked.</summary>
    public int Attempts { get; init; } = 2;

    /// <summary>Addresses that need no lookup, by name in lower case.</summary>
    public ILookup<string, IPAddress> Hosts { get; init; } = Enumerable.Empty<IPAddress>().ToLookup(_ => "");

    /// <summary>A file that is not there says nothing.</summary>
    public static ResolverConfig Read() => Parse(Lines("/etc/resolv.conf"), Lines("/etc/hosts"));

    internal static ResolverConfig Parse(IEnumerable<string> resolv, IEnumerable<string> hosts)
    {
        var config = new ResolverConfig { Hosts = ParseHosts(hosts) };
        var servers = new List<IPEndPoint>();
        foreach (var words in resolv.Select(Words).Where(words => words.Length > 1))
        {
            switch (words[0])
            {
                case "nameserver" when servers.Count < MaxServers && IPAddress.TryParse(words[1], out var address):
                    servers.Add(new IPEndPoint(address, 53));
                    break;

                case "search" or "domain":
                    var domains = words[1..].Select(domain => domain.TrimEnd('.')).Where(domain => domain.Length > 0);
                    config = config with { Search = [.. domains] };
                    break;

                case "options":
                    config = words[1..].Aggregate(config, (read, option) => read.With(option));
                    break;
            }
        }

        return servers.Count > 0 ? config with { Servers = servers } : config;
    }

    /// <summary>The rooted names that a name may stand for, in the order in which they are tried.</summary>
    public IEnumerable<string> Candidates(string name)
    {
        if (name.EndsWith('.'))
        {
            return [name];
        }

        var within = Search.Select(domain => $"{name}.{domain}.");
        return name.Count(c => c == '.') >= Ndots ? within.Prepend(name + ".") : within.Append(name + ".");
    }

    ResolverConfig With(string option)
    {
        var colon = option.IndexOf(':', StringComparison.Ordinal);
        if (colon < 0 || !int.TryParse(option.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var value))
        {
            return this;
        }

        return option[..colon] switch
        {
            "ndots" => this with { Ndots = Math.Min(value, 15) },
            "timeout" => this with { Timeout = TimeSpan.FromSeconds(Math.Clamp(value, 1, 30)) },
            "attempts" => this with { Attempts = Math.Clamp(value, 1, 5) },
            _ => this,
        };
    }

    static ILookup<string, IPAddress> ParseHosts(IEnumerable<string> lines) => lines
        .Select(Words)
        .Where(words => words.Length > 1)
        .SelectMany(words => IPAddress.TryParse(words[0], out var address) ? words[1..].Select(name => (name, address)) : [])
        .ToLookup(host => host.name.ToLowerInvariant(), host => host.address);

    static string[] Words(string line)
    {
        var comment = line.AsSpan().IndexOfAny('#', ';');
        return (comment < 0 ? line : line[..comment]).Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries);
    }

    static string[] Lines(string path)
    {
        try
        {
            return File.ReadAllLines(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }
}
