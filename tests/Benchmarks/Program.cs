using Observe.Benchmarks.Chunks;
using Observe.Benchmarks.Compact;
using Observe.Benchmarks.Head;
using Observe.Benchmarks.IngestBench;
using Observe.Benchmarks.Interference;
using Observe.Benchmarks.Live;
using Observe.Benchmarks.MetadataBench;
using Observe.Benchmarks.QueryBench;
using Observe.Benchmarks.Scrape;

if (args is ["head", .. var rest])
{
    await HeadFootprint.RunAsync(rest);
    return;
}

if (args is ["commits", .. var commits])
{
    await CommitLatency.RunAsync(commits);
    return;
}

if (args is ["chunks"])
{
    XorRates.Run();
    return;
}

if (args is ["compact", .. var compact])
{
    await CompactRates.RunAsync(compact);
    return;
}

if (args is ["farm"])
{
    await ScrapeFarm.RunAsync();
    return;
}

if (args is ["timed-exporters", var series])
{
    await TimedExporters.RunAsync(int.Parse(series, System.Globalization.CultureInfo.InvariantCulture));
    return;
}

if (args is ["interference", .. var interference])
{
    await InterferenceRuns.RunAsync(interference);
    return;
}

if (args is ["scrape", .. var options])
{
    await ScrapeCost.RunAsync(options);
    return;
}

if (args is ["bench-query" or "bench-store" or "bench-pair", .. var queries])
{
    Environment.ExitCode = await QueryComparison.RunAsync(args[0], queries);
    return;
}

if (args is ["bench-metadata", .. var searches])
{
    Environment.ExitCode = await MetadataComparison.RunAsync(searches);
    return;
}

if (args is ["bench-ingest", .. var ingest])
{
    Environment.ExitCode = await IngestComparison.RunAsync(ingest);
    return;
}

if (args is ["bench-live", .. var live])
{
    Environment.ExitCode = await LiveRuns.RunAsync(live);
    return;
}

if (args is ["bench-replay", .. var replay])
{
    Environment.ExitCode = await ReplayComparison.RunAsync(replay);
    return;
}

BenchmarkDotNet.Running.BenchmarkSwitcher.FromAssembly(typeof(Program).Assembly).Run(args);
