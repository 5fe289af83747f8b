using System.CommandLine;
using Observe.Hosting;
using Observe.Store.Api;

namespace Observe.Commands;

/// <summary>The flags of every role that serves the store API: limits of its calls.</summary>
sealed class StoreApiFlags
{
    readonly Option<int> _concurrency = Flags.Number(
        "--store.grpc.series-max-concurrency",
        "Series calls served at once, more wait; 0 for no limit (default 20)", new StoreApiOptions().MaxConcurrentSeries);

    readonly Option<TimeSpan> _timeout = Flags.Span(
        "--store.grpc.timeout", "how long a call of the store API may take; 0 for no limit", "2m");

    public void AddTo(Command command)
    {
        command.Options.Add(_concurrency);
        command.Options.Add(_timeout);
    }

    public StoreApiOptions Options(ParseResult flags, RoleHost host) => new()
    {
        Threads = host.QueryThreads,
        MaxConcurrentSeries = flags.GetValue(_concurrency),
        Timeout = flags.GetValue(_timeout),
        Time = host.Time,
    };
}
