using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Observe.Store.Api;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Observe.Tsdb.Threading;

namespace Observe.Query.Fanout;

public sealed record StoreSetOptions
{
    /// <summary><c>HOST:PORT</c>, <c>dns+HOST:PORT</c>, <c>dnssrv+NAME</c> or <c>dnssrvnoa+NAME</c>.</summary>
    public IReadOnlyList<string> Endpoints { get; init; } = [];

    /// <summary>How often names are looked up again (<c>--store.sd-dns-interval</c>).</summary>
    public TimeSpan LookupInterval { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How often each store is asked for its description.</summary>
    public TimeSpan PollInterval { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long a store may take to describe itself.</summary>
    public TimeSpan PollTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>
    /// How long a store that left the name service and no longer answers is reported as missing, unless another store with its labels takes
    /// its place (<c>--store.unhealthy-timeout</c>). A store whose endpoint is an address is reported for ever.
    /// </summary>
    public TimeSpan UnhealthyTimeout { get; init; } = TimeSpan.FromHours(2);

    public StoreApiClientOptions Client { get; init; } = new();

    public TimeProvider Time { get; init; } = TimeProvider.System;

    public DnsLookup Lookup { get; init; } = new();

    public LoopSupervisor Loops { get; init; } = new();
}

/// <summary>The state of one source of series as of its last check. Immutable.</summary>
/// <param name="Name">HOST:PORT, the endpoint that could not be looked up, or the name of a local source.</param>
/// <param name="Querier">Reads from the store; null where the endpoint is a name without addresses.</param>
/// <param name="Description">The store's description of itself; null when it never gave one.</param>
/// <param name="LastCheck">The time of the last check, Unix milliseconds; 0: never.</param>
/// <param name="LastSeen">The time of the last answer, Unix milliseconds; 0: never.</param>
/// <param name="LastError">The reason why the last check had no answer; null when it had one.</param>
/// <param name="Failures">Checks without an answer since the last answer.</param>
public sealed record StoreState(
    string Name, IQuerier? Querier, StoreDescription? Description, long LastCheck, long LastSeen, string? LastError, int Failures)
{
    /// <summary>Of a store in another process; null of a source within this one.</summary>
    public StoreSilence? Silence { get; init; }

    /// <summary>
    /// Whether the store is known to be silent: the last two checks, or all so far, had no answer, or what was asked of it had none.
    /// </summary>
    public bool IsSilent => Silence?.Reason is not null || Querier is null || Failures >= 2 || (Failures > 0 && Description is null);
}

/// <summary>The stores that take part in queries: endpoints, looked up and polled, and sources within this process.</summary>
/// <remarks>
/// A store that was known, or is named by the configuration, stays in the set as silent when it does not answer, so that an answer that
/// lacks its series can say so. One loop owns the state; readers see snapshots.
/// </remarks>
public sealed partial class StoreSet : IAsyncDisposable
{
    readonly StoreSetOptions _options;
    readonly ILogger _logger;
    readonly FanoutMetrics? _metrics;
    readonly BackgroundLoop _loop;
    readonly SemaphoreSlim _refreshing = new(1, 1);
    readonly List<(string Name, IQuerier Querier, Func<StoreDescription> Describe)> _local = [];
    readonly Dictionary<string, IReadOnlyList<string>> _addresses = [];
    readonly Dictionary<string, string> _lookupErrors = [];
    readonly Dictionary<string, Member> _members = [];
    volatile StoreState[] _states = [];
    long _lookedUp = long.MinValue;

    /// <exception cref="FormatException">An endpoint is malformed.</exception>
    public StoreSet(StoreSetOptions options, ILogger<StoreSet>? logger = null, FanoutMetrics? metrics = null)
    {
        (_options, _logger, _metrics) = (options, logger ?? NullLogger<StoreSet>.Instance, metrics);
        if (options.Endpoints.Select(DnsLookup.Fault).OfType<string>().FirstOrDefault() is { } fault)
        {
            throw new FormatException(fault);
        }

        _loop = new BackgroundLoop(new LoopOptions
        {
            Name = "stores",
            Interval = options.PollInterval,
            Time = options.Time,
            Logger = _logger,
            Supervisor = options.Loops,
            StartsAtOnce = true,
            IsNeeded = true,
            MaxBackoff = TimeSpan.FromSeconds(30),
        });
    }

    /// <summary>Completes when all stores have been checked once.</summary>
    public Task Refreshed => _loop.Succeeded;

    /// <summary>The stores as of the last check, local ones first.</summary>
    public IReadOnlyList<StoreState> Stores
    {
        get
        {
            var local = _local.Select(l => new StoreState(l.Name, l.Querier, l.Describe(), Now, Now, null, 0));
            return [.. local, .. _states];
        }
    }

    internal TimeProvider Time => _options.Time;

    long Now => _options.Time.GetUtcNow().ToUnixTimeMilliseconds();

    /// <summary>Adds a source within this process, before the set is used. The set does not dispose it.</summary>
    /// <param name="describe">Called for each query: cheap.</param>
    public void AddLocal(string name, IQuerier querier, Func<StoreDescription> describe) => _local.Add((name, querier, describe));

    /// <summary>Looks names up and polls stores until it is cancelled.</summary>
    public Task RunAsync(CancellationToken cancellationToken) => _loop.RepeatAsync(RefreshAsync, cancellationToken);

    /// <summary>Looks names up where that is due, and asks each store for its description.</summary>
    public async Task RefreshAsync(CancellationToken cancellationToken)
    {
        await _refreshing.WaitAsync(cancellationToken);
        try
        {
            if (_lookedUp == long.MinValue || Now - _lookedUp >= (long)_options.LookupInterval.TotalMilliseconds)
            {
                await LookUpAsync(cancellationToken);
                _lookedUp = Now;
            }

            await Task.WhenAll(_members.Values.Select(member => PollAsync(member, cancellationToken)));
            RemoveUnlisted();
            _states =
            [
                .. _members.Values.Select(m => m.State).OrderBy(s => s.Name, StringComparer.Ordinal),
                .. _lookupErrors.Where(e => !_addresses.ContainsKey(e.Key))
                .Select(e => new StoreState(e.Key, null, null, _lookedUp, 0, e.Value, 1)),
            ];
            _metrics?.Set(_states);
            _metrics?.SetFleet(Stores, Now);
        }
        finally
        {
            _refreshing.Release();
        }
    }

    public ValueTask DisposeAsync()
    {
        foreach (var member in _members.Values)
        {
            member.Client.Dispose();
        }

        _members.Clear();
        _refreshing.Dispose();
        return ValueTask.CompletedTask;
    }

    async Task LookUpAsync(CancellationToken cancellationToken)
    {
        // At once, and for no longer than a poll may take: a name service that is down must not keep the stores from being polled.
        foreach (var (endpoint, addresses, error) in await Task.WhenAll(_options.Endpoints.Select(e => LookUpAsync(e, cancellationToken))))
        {
            if (addresses is not null)
            {
                _addresses[endpoint] = addresses;
                _lookupErrors.Remove(endpoint);
            }
            else
            {
                _metrics?.LookupFailures.Inc();
                _lookupErrors[endpoint] = error!;
                LogLookup(endpoint, error!);
            }
        }

        var listed = _addresses.Values.SelectMany(a => a).ToHashSet();
        foreach (var address in listed.Where(a => !_members.ContainsKey(a)))
        {
            LogAdded(address);
            _members[address] = new Member(address, new StoreApiClient(address, _options.Client));
        }

        foreach (var member in _members.Values)
        {
            member.UnlistedSince = listed.Contains(member.State.Name) ? null : member.UnlistedSince ?? Now;
        }
    }

    async Task<(string Endpoint, IReadOnlyList<string>? Addresses, string? Error)> LookUpAsync(
        string endpoint, CancellationToken cancellationToken)
    {
        using var late = new CancellationTokenSource(_options.PollTimeout, _options.Time);
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, late.Token);
        _metrics?.Lookups.Inc();
        try
        {
            return (endpoint, await _options.Lookup.ResolveAsync(endpoint, timeout.Token), null);
        }
        catch (Exception e) when (!cancellationToken.IsCancellationRequested)
        {
            return (endpoint, null, e is OperationCanceledException
                ? $"no response in {Duration.Format(_options.PollTimeout)}"
                : e.Message);
        }
    }

    async Task PollAsync(Member member, CancellationToken cancellationToken)
    {
        using var late = new CancellationTokenSource(_options.PollTimeout, _options.Time);
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, late.Token);
        var before = member.State;
        try
        {
            var description = await member.Client.DescribeAsync(timeout.Token);
            if (before.Silence?.Reason is not null)
            {
                await ProbeAsync(member.Client, timeout.Token);
            }

            member.State = before with
            {
                Description = description,
                LastCheck = Now,
                LastSeen = Now,
                LastError = null,
                Failures = 0,
                Silence = before.Silence is { Reason: null } ? before.Silence : new StoreSilence(),
            };
            if (before.LastError is not null)
            {
                LogBack(before.Name);
            }
        }
        catch (Exception e) when (!cancellationToken.IsCancellationRequested)
        {
            var error = e is OperationCanceledException ? $"no response in {Duration.Format(_options.PollTimeout)}" : e.Message;
            error = error.StartsWith(before.Name + ": ", StringComparison.Ordinal) ? error[(before.Name.Length + 2)..] : error;
            member.State = before with { LastCheck = Now, LastError = error, Failures = before.Failures + 1 };
            if (member.State.IsSilent)
            {
                member.State.Silence!.Declare(error);
            }

            if (before.LastError is null)
            {
                LogSilent(before.Name, error);
            }
        }
    }

    /// <summary>Asks for series that there are not: a store may describe itself and yet answer nothing else.</summary>
    static async Task ProbeAsync(StoreApiClient store, CancellationToken cancellationToken)
    {
        var hints = new SelectHints { Range = TimeRange.All, SkipSamples = true, Limit = 1 };
        var nothing = new Matcher(Tsdb.Model.MatchType.Equal, "__name__", "observe:no_such_metric");
        await foreach (var _ in store.SelectAsync(new QueryContext(cancellationToken).Select(hints, [nothing])))
        {
        }
    }

    /// <summary>
    /// Removes silent stores that left the name service: at once where another store has the same labels, else after the unhealthy timeout.
    /// </summary>
    void RemoveUnlisted()
    {
        foreach (var (address, member) in _members.Where(m => m.Value.UnlistedSince is not null
            && m.Value.State.LastError is not null).ToList())
        {
            var replaced = member.State.Description is not { } lost || _members.Values.Any(other =>
                other.State.LastError is null && other.State.Description is { } found && found.Component == lost.Component
                && found.LabelSets.ToHashSet().SetEquals(lost.LabelSets));
            if (replaced || Now - member.UnlistedSince >= (long)_options.UnhealthyTimeout.TotalMilliseconds)
            {
                LogForgotten(address, replaced ? "another store has its labels" : "it did not come back");
                member.Client.Dispose();
                _members.Remove(address);
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "store added address={Address}")]
    partial void LogAdded(string address);

    [LoggerMessage(Level = LogLevel.Warning, Message = "store is silent; answers name what they lack address={Address} error={Error}")]
    partial void LogSilent(string address, string error);

    [LoggerMessage(Level = LogLevel.Information, Message = "store is back address={Address}")]
    partial void LogBack(string address);

    [LoggerMessage(Level = LogLevel.Warning, Message = "store left the name service and is forgotten address={Address} reason={Reason}")]
    partial void LogForgotten(string address, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "lookup failed; the addresses known before stay endpoint={Endpoint} error={Error}")]
    partial void LogLookup(string endpoint, string error);

    sealed class Member(string address, StoreApiClient client)
    {
        public StoreApiClient Client { get; } = client;

        public StoreState State { get; set; } = new(address, client, null, 0, 0, null, 0) { Silence = new StoreSilence() };

        public long? UnlistedSince { get; set; }
    }
}

/// <summary>Which stores a selection is for, and what the answer lacks where one of them is silent.</summary>
static class StoreSelection
{
    /// <summary>
    /// A store whose data ended no longer than this before it was last seen is still written to, so that its range has no end.
    /// </summary>
    const long LiveMs = 60_000;

    /// <summary>Whether a store may hold matching series within the range; a store that never described itself may.</summary>
    public static bool MayHold(this StoreState store, Selection selection) => store.Description is not { } held
        || (held.LabelSets.Count == 0
            ? (held.Range with { MaxTime = store.MaxTime(held.Range) }).Overlaps(selection.Hints.WindowRange)
            : held.LabelSets.Any(labels => held.RangeOf(labels) is var range
                && (range with { MaxTime = store.MaxTime(range) }).Overlaps(selection.Hints.WindowRange) && selection.Answer(labels) is not null));

    /// <summary>The end of a range that a store describes; of a store that is still written to, there is none.</summary>
    public static long MaxTime(this StoreState store, TimeRange held) =>
        held.MaxTime >= store.LastSeen - LiveMs ? long.MaxValue : held.MaxTime;
}
