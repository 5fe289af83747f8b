using Observe.Benchmarks.Head;

if (args is ["head", .. var rest])
{
    await HeadFootprint.RunAsync(rest);
    return;
}

BenchmarkDotNet.Running.BenchmarkSwitcher.FromAssembly(typeof(Program).Assembly).Run(args);
