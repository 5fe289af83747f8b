using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using DnsClient;
using DnsClient.Protocol;

namespace Observe.Query.Fanout;

/// <summary>A lookup that gave no answer: the name is unknown, or no server answered.</summary>
public sealed class DnsLookupException(string message, Exception? inner = null) : IOException(message, inner);

/// <summary>Turns an endpoint as flags have it into addresses HOST:PORT.</summary>
/// <remarks>
/// <c>HOST:PORT</c> is taken as it is; <c>dns+HOST:PORT</c> gives an address for each A and AAAA record; <c>dnssrv+NAME</c> one for each
/// SRV record, its target looked up; <c>dnssrvnoa+NAME</c> the targets themselves. Nothing is cached: who asks decides how often.
/// No thread waits for an answer, unlike for the system's own lookups.
/// </remarks>
/// <param name="config">Null: what this machine's files say at each lookup.</param>
public sealed class DnsLookup(ResolverConfig? config = null)
{
    const int MaxLookupsAtOnce = 16;

    /// <summary>It knows no server of its own: each lookup names those that it asks.</summary>
    readonly LookupClient _client = new(new LookupClientOptions { AutoResolveNameServers = false });

    /// <summary>Whether the addresses of an endpoint may change.</summary>
    public static bool IsDynamic(string endpoint) => endpoint.Contains('+', StringComparison.Ordinal);

    /// <exception cref="DnsLookupException">Nothing was found.</exception>
    public async Task<IReadOnlyList<string>> ResolveAsync(string endpoint, CancellationToken cancellationToken)
    {
        var (kind, name) = Split(endpoint);
        if (kind.Length == 0)
        {
            return [name];
        }

        var colon = name.LastIndexOf(':');
        var (host, port) = colon < 0 ? (name, null) : (name[..colon], name[(colon + 1)..]);
        var resolver = config ?? ResolverConfig.Read();
        if (kind == "dns")
        {
            return Sorted((await AddressesAsync(resolver, host.Trim('[', ']'), cancellationToken)).Select(address => At(address, port!)));
        }

        var services = (await ServicesAsync(resolver, host, cancellationToken))
            .Select(service => (Target: service.Target.Value, Port: port ?? service.Port.ToString(CultureInfo.InvariantCulture))).ToList();
        if (kind == "dnssrvnoa")
        {
            return Sorted(services.Select(service => $"{service.Target.TrimEnd('.')}:{service.Port}"));
        }

        var found = new ConcurrentBag<string>();
        await Parallel.ForEachAsync(
            services,
            new ParallelOptions { MaxDegreeOfParallelism = MaxLookupsAtOnce, CancellationToken = cancellationToken },
            async (service, token) =>
            {
                foreach (var address in await AddressesAsync(resolver, service.Target, token))
                {
                    found.Add(At(address, service.Port));
                }
            });
        return Sorted(found);
    }

    /// <summary>Whether an endpoint is written as it should be; otherwise says why not.</summary>
    public static string? Fault(string endpoint)
    {
        var (kind, name) = Split(endpoint);
        if (kind is not ("" or "dns" or "dnssrv" or "dnssrvnoa"))
        {
            return $"unknown lookup {kind}+ in endpoint {endpoint}: dns+, dnssrv+ and dnssrvnoa+ are known";
        }

        var colon = name.LastIndexOf(':');
        if (colon < 0 && kind is "dnssrv" or "dnssrvnoa")
        {
            return name.Length == 0 ? $"no name in endpoint {endpoint}" : null;
        }

        return colon > 0 && ushort.TryParse(name[(colon + 1)..], CultureInfo.InvariantCulture, out var port) && port > 0
            ? null
            : $"missing port in endpoint {endpoint}";
    }

    static (string Kind, string Name) Split(string endpoint)
    {
        var plus = endpoint.IndexOf('+', StringComparison.Ordinal);
        return plus < 0 ? ("", endpoint) : (endpoint[..plus], endpoint[(plus + 1)..]);
    }

    static string At(IPAddress address, string port) => new IPEndPoint(address, int.Parse(port, CultureInfo.InvariantCulture)).ToString();

    static IReadOnlyList<string> Sorted(IEnumerable<string> addresses) => [.. addresses.Distinct().Order(StringComparer.Ordinal)];

    async Task<IReadOnlyList<IPAddress>> AddressesAsync(ResolverConfig resolver, string host, CancellationToken cancellationToken)
    {
        var name = host.TrimEnd('.');
        if (IPAddress.TryParse(name, out var literal))
        {
            return [literal];
        }

        return resolver.Hosts[name.ToLowerInvariant()].ToList() is { Count: > 0 } known
            ? known
            : await FindAsync(
                resolver, host, records => records.AddressRecords().Select(r => r.Address), cancellationToken, QueryType.A, QueryType.AAAA);
    }

    async Task<IReadOnlyList<SrvRecord>> ServicesAsync(ResolverConfig resolver, string name, CancellationToken cancellationToken) =>
        // A target that is the root says that there is no such service.
        await FindAsync(
            resolver, name, records => records.SrvRecords().Where(r => r.Target.Value != "."), cancellationToken, QueryType.SRV);

    /// <summary>
    /// The records of the first candidate that has any; those of one type are enough, since many servers know nothing of the other.
    /// </summary>
    async Task<IReadOnlyList<T>> FindAsync<T>(
        ResolverConfig resolver,
        string name,
        Func<IReadOnlyList<DnsResourceRecord>, IEnumerable<T>> of,
        CancellationToken cancellationToken,
        params QueryType[] types)
    {
        string? error = null;
        foreach (var candidate in resolver.Candidates(name))
        {
            var answers = await Task.WhenAll(types.Select(type => AskAsync(resolver, candidate, type, cancellationToken)));
            if (answers.SelectMany(answer => of(answer.Records)).ToList() is { Count: > 0 } found)
            {
                return found;
            }

            error = answers.Select(answer => answer.Error).OfType<string>().FirstOrDefault() ?? error;
            if (answers.Any(answer => answer.IsSilent))
            {
                break;
            }
        }

        throw new DnsLookupException($"lookup of {name} failed: {error ?? $"no {string.Join(" or ", types)} records"}");
    }

    async Task<Answer> AskAsync(ResolverConfig resolver, string name, QueryType type, CancellationToken cancellationToken)
    {
        try
        {
            var options = new DnsQueryOptions
            {
                UseCache = false,
                Timeout = resolver.Timeout,
                Retries = resolver.Attempts - 1,
                ContinueOnEmptyResponse = false,
            };
            var servers = resolver.Servers.Select(server => new NameServer(server)).ToList();
            var response = await _client.QueryServerAsync(servers, new DnsQuestion(name, type), options, cancellationToken);
            return response.Header.ResponseCode is DnsHeaderResponseCode.NoError or DnsHeaderResponseCode.NotExistentDomain
                ? new Answer(response.Answers, null, false)
                : new Answer([], response.ErrorMessage, false);
        }
        catch (Exception e)
        {
            // The library has exceptions of many kinds for a server that is silent or answers with what is no answer.
            cancellationToken.ThrowIfCancellationRequested();
            return new Answer([], e is DnsResponseException { Code: DnsResponseCode.ConnectionTimeout }
                ? $"no answer from {string.Join(", ", resolver.Servers)}"
                : e.InnerException?.Message ?? e.Message, true);
        }
    }

    /// <param name="Error">Why there are no records; null where the servers know of none.</param>
    /// <param name="IsSilent">No server gave an answer, so that none need be asked for another name.</param>
    readonly record struct Answer(IReadOnlyList<DnsResourceRecord> Records, string? Error, bool IsSilent);
}
