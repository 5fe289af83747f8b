using System.CommandLine;
using Observe.Commands;
using Observe.Hosting;
using Observe.Store.Bucket;

var root = new RootCommand("Observe gathers the metrics of many Kubernetes clusters in one bucket and answers PromQL over all of them.")
{
    CollectorCommand.Build(),
    StoreCommand.Build(),
    CompactCommand.Build(),
    QueryCommand.Build(),
    AllCommand.Build(),
    DemoCommand.Build(),
    BucketCommand.Build(),
    CheckCommand.Build(),
    PromqlCommand.Build(),
};

try
{
    return await root.Parse(args).InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
}
catch (Exception e) when (e is FlagException or FormatException or BucketException or IOException or UnauthorizedAccessException)
{
    await Console.Error.WriteLineAsync($"observe: {e.Message}");
    return 1;
}
