using System.CommandLine;
using System.Globalization;
using Microsoft.Extensions.Logging;
using Observe.Hosting;
using Observe.Store.Bucket;
using Observe.Store.Compact;

namespace Observe.Commands;

/// <summary><c>observe compact</c>: once, or with <c>--wait</c> for ever.</summary>
static class CompactCommand
{
    public static Command Build()
    {
        var server = new ServerFlags(10902, grpcPort: null);
        var objstore = new ObjstoreFlags();
        var compact = new CompactFlags();
        var folder = Flags.Text("--data-dir", "where blocks are worked on (default ./data)", "./data");
        var wait = Flags.Switch("--wait", "go on for ever instead of ending when there is nothing left to do");
        var command = new Command("compact", "merge, deduplicate and downsample a bucket's blocks, apply retention, clean up");
        server.AddTo(command);
        objstore.AddTo(command);
        compact.AddTo(command);
        command.Options.Add(folder);
        command.Options.Add(wait);
        command.SetAction(async (flags, cancellationToken) =>
        {
            using var host = new RoleHost("compact", flags, server);
            var (yaml, source) = objstore.Required(flags);
            var bucket = BucketConfig.Parse(yaml, source).Open(host.Time, new BucketMetrics(host.Registry, host.Time));
            using var work = DataFolder.Open(flags, folder, "compact");
            var options = compact.Options(flags, work.Path, host);
            if (flags.GetValue(wait))
            {
                return await host.RunAsync([new CompactRole(host, bucket, options, flags.GetValue(compact.WaitInterval))]);
            }

            await using (bucket)
            {
                return await OnceAsync(new CompactLoop(
                    bucket, options, new CompactMetrics(host.Registry), new Logger<CompactLoop>(host.Logging)), cancellationToken);
            }
        });
        return command;
    }

    /// <summary>Runs rounds until one finds nothing left to do; returns 1 when something failed on the way.</summary>
    static async Task<int> OnceAsync(CompactLoop loop, CancellationToken cancellationToken)
    {
        for (var round = 1; ; round++)
        {
            var report = await loop.RunOnceAsync(cancellationToken);
            await Console.Out.WriteLineAsync(string.Create(
                CultureInfo.InvariantCulture,
                $"round {round}: {report.Compactions} compactions, {report.Downsamplings} downsamplings, {report.Marked} blocks marked, {report.Deleted} deleted, {report.Failures} failures"));
            if (report.Failures > 0 || report.IsIdle)
            {
                return report.Failures > 0 ? 1 : 0;
            }
        }
    }
}
