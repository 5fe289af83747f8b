using Observe.Benchmarks.Chunks;
using Observe.Benchmarks.Compact;
using Observe.Benchmarks.Head;

if (args is ["head", .. var rest])
{
    await HeadFootprint.RunAsync(rest);
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

BenchmarkDotNet.Running.BenchmarkSwitcher.FromAssembly(typeof(Program).Assembly).Run(args);
