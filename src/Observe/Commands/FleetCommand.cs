using System.CommandLine;
using Observe.Hosting;
using Observe.Store.Bucket;
using Observe.Store.Fleet;
using Observe.Tsdb.Bytes;

namespace Observe.Commands;

/// <summary><c>observe fleet ls | acknowledge</c>: the collectors that write to a bucket.</summary>
static class FleetCommand
{
    public static Command Build()
    {
        var objstore = new ObjstoreFlags();
        var command = new Command("fleet", "look after the collectors that write to a bucket");

        var list = new Command("ls", "name the collectors, their state and their newest sample, one a line");
        objstore.AddTo(list);
        list.SetAction((flags, cancellationToken) => WithBucketAsync(
            objstore, flags, bucket => ListAsync(bucket, cancellationToken)));

        var acknowledge = new Command(
            "acknowledge", "say that silent collectors are gone for good: answers lack them no longer, and their silence is no alarm");
        var names = new Argument<string[]>("CLUSTER/COLLECTOR") { Arity = ArgumentArity.OneOrMore };
        objstore.AddTo(acknowledge);
        acknowledge.Arguments.Add(names);
        acknowledge.SetAction((flags, cancellationToken) => WithBucketAsync(
            objstore, flags, bucket => AcknowledgeAsync(bucket, flags.GetValue(names)!, cancellationToken)));

        command.Subcommands.Add(list);
        command.Subcommands.Add(acknowledge);
        return command;
    }

    static async Task<int> WithBucketAsync(ObjstoreFlags objstore, ParseResult flags, Func<IBucket, Task<int>> run)
    {
        var (content, source) = objstore.Required(flags);
        await using var bucket = BucketConfig.Parse(content, source).Open(TimeProvider.System, null);
        return await run(bucket);
    }

    static async Task<int> ListAsync(IBucket bucket, CancellationToken cancellationToken)
    {
        var fleet = await FleetStatus.ReadAsync(bucket, cancellationToken);
        var now = TimeProvider.System.GetUtcNow();
        foreach (var status in fleet.Clusters.SelectMany(cluster => cluster.Collectors))
        {
            var written = GoText.Rfc3339(status.WrittenAt.ToUnixTimeMilliseconds());
            var state = status.Acknowledged is { } gone ? $"gone since {written}, acknowledged {GoText.Rfc3339(gone.ToUnixTimeMilliseconds())}"
                : status.Stopped ? $"stopped {written}"
                : FleetStatus.IsSilent(status, now) ? $"silent since {written}" : "alive";
            var newest = status.NewestSample is { } time ? GoText.Rfc3339(time) : "none";
            await Console.Out.WriteLineAsync($"{status.Cluster}/{status.Collector}\t{state}\tnewest sample {newest}");
        }

        foreach (var fault in fleet.Faults)
        {
            await Console.Out.WriteLineAsync(fault);
        }

        return fleet.Faults.Count == 0 ? 0 : 1;
    }

    static async Task<int> AcknowledgeAsync(IBucket bucket, string[] names, CancellationToken cancellationToken)
    {
        var failed = 0;
        foreach (var name in names)
        {
            if (name.Split('/') is not [var cluster, var collector] || !FleetName.IsValid(cluster) || !FleetName.IsValid(collector))
            {
                throw new FlagException($"{GoText.Quote(name)} is not CLUSTER/COLLECTOR");
            }

            var result = await Acknowledgement.WriteAsync(
                bucket, cluster, collector, TimeProvider.System.GetUtcNow(), cancellationToken);
            failed += result == AcknowledgeResult.Done ? 0 : 1;
            await Console.Out.WriteLineAsync(result switch
            {
                AcknowledgeResult.Done => $"{name}: acknowledged as gone",
                AcknowledgeResult.Alive => $"{name}: is alive; stop it first",
                _ => $"{name}: the bucket knows no such collector",
            });
        }

        return failed == 0 ? 0 : 1;
    }
}
