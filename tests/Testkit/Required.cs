using System.Diagnostics.CodeAnalysis;
using Xunit;

namespace Observe.Testkit;

/// <summary>What a test needs and the checkout does not hold. Where it is absent the test is skipped, with the command that brings it.</summary>
/// <remarks>
/// Under <c>CI=true</c> what is absent fails the test, since CI brings it; except where PEERS_UNREACHABLE says that the package registry did
/// not answer. Data in <c>../shared</c> is of this machine and may be absent anywhere.
/// </remarks>
public static class Required
{
    const string BringPeers = "make peers";

    /// <summary>The path of a peer's program: prometheus, promtool, prometheus-node-exporter, kubectl.</summary>
    public static string Peer(string program)
    {
        var path = Checkout.Peer(program);
        Present(path is not null, program, BringPeers);
        return path;
    }

    /// <summary>The path of a program that the system has installed.</summary>
    public static string Program(string program, string bring)
    {
        var path = Checkout.Program(program);
        Present(path is not null, program, bring);
        return path;
    }

    /// <summary>A path in <c>shared</c>, beside the checkout.</summary>
    public static string Shared(params string[] parts)
    {
        var path = Checkout.SharedPath(parts);
        Assert.SkipWhen(path is null, $"shared/{string.Join('/', parts)} is not beside the checkout: put it there");
        return path!;
    }

    /// <summary>Skips the test where something is absent, or fails it where CI should have brought that.</summary>
    public static void Present([DoesNotReturnIf(false)] bool present, string what, string bring)
    {
        if (present)
        {
            return;
        }

        var unreachable = Environment.GetEnvironmentVariable("PEERS_UNREACHABLE");
        if (string.IsNullOrEmpty(unreachable) && Environment.GetEnvironmentVariable("CI") == "true")
        {
            Assert.Fail($"{what} is absent, which CI must have: {bring}");
        }

        Assert.Skip($"{what} is absent: {(string.IsNullOrEmpty(unreachable) ? bring : unreachable)}");
    }
}
