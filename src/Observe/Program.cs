using System.CommandLine;
using Observe.Commands;
using Observe.Hosting;

return await CommandLine.RunAsync(
    new RootCommand("Observe gathers the metrics of many Kubernetes clusters in one bucket and answers PromQL over all of them.")
    {
        CollectorCommand.Build(),
        StoreCommand.Build(),
        CompactCommand.Build(),
        QueryCommand.Build(),
        AllCommand.Build(),
        DemoCommand.Build(),
        BucketCommand.Build(),
        FleetCommand.Build(),
        CheckCommand.Build(),
        PromqlCommand.Build(),
    },
    args);
