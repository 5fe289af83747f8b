using System.Net;
using CsCheck;
using Observe.Query.Fanout;
using Xunit;

namespace Observe.Query.Tests.Fanout;

public sealed class DnsLookupTests
{
    const string Service = "_grpc._tcp.store";
    static readonly TimeSpan s_soon = TimeSpan.FromMilliseconds(100);

    [Theory]
    [InlineData("store:10901", null)]
    [InlineData("[::1]:10901", null)]
    [InlineData("dns+store:10901", null)]
    [InlineData("dnssrv+_grpc._tcp.store", null)]
    [InlineData("dnssrvnoa+_grpc._tcp.store:10901", null)]
    [InlineData("store", "missing port in endpoint store")]
    [InlineData("dns+store", "missing port in endpoint dns+store")]
    [InlineData("store:0", "missing port in endpoint store:0")]
    [InlineData("store:x", "missing port in endpoint store:x")]
    [InlineData("dnssrv+", "no name in endpoint dnssrv+")]
    [InlineData("srv+a", "unknown lookup srv+ in endpoint srv+a: dns+, dnssrv+ and dnssrvnoa+ are known")]
    public void Endpoints_are_checked(string endpoint, string? fault) => Assert.Equal(fault, DnsLookup.Fault(endpoint));

    [Fact]
    public async Task The_files_of_this_machine_are_read()
    {
        var lookup = new DnsLookup();
        Assert.Equal(["store:10901"], await lookup.ResolveAsync("store:10901", default));
        Assert.Contains("127.0.0.1:10901", await lookup.ResolveAsync("dns+localhost:10901", default));
        Assert.Equal(["[::1]:10901"], await lookup.ResolveAsync("dns+[::1]:10901", default));
    }

    [Theory]
    [InlineData("dns+store:10901", "10.0.0.1:10901 10.0.0.2:10901 [fd00::1]:10901")]
    [InlineData("dns+one:10901", "10.0.0.3:10901")]
    [InlineData("dns+hosts.example:10901", "10.9.9.9:10901")]
    [InlineData("dns+10.0.0.7:10901", "10.0.0.7:10901")]
    [InlineData("dnssrvnoa+_grpc._tcp.store", "one:10902 store:10901")]
    [InlineData("dnssrvnoa+_grpc._tcp.store:7", "one:7 store:7")]
    [InlineData("dnssrv+_grpc._tcp.store", "10.0.0.1:10901 10.0.0.2:10901 10.0.0.3:10902 [fd00::1]:10901")]
    [InlineData("dnssrv+_grpc._tcp.store:7", "10.0.0.1:7 10.0.0.2:7 10.0.0.3:7 [fd00::1]:7")]
    public async Task Names_are_looked_up(string endpoint, string expected)
    {
        using var names = new NameServer();
        names.SetAddresses("store", IPAddress.Parse("10.0.0.2"), IPAddress.Parse("10.0.0.1"), IPAddress.Parse("fd00::1"));
        names.SetAddresses("one", IPAddress.Parse("10.0.0.3"));
        names.SetServices(Service, ("store", 10901), ("one", 10902), ("", 10903));
        var lookup = new DnsLookup(names.Config with { Hosts = ResolverConfig.Parse([], ["10.9.9.9 Hosts.example"]).Hosts });
        Assert.Equal(expected.Split(' '), await lookup.ResolveAsync(endpoint, default));
    }

    [Fact]
    public async Task What_is_too_long_for_a_datagram_is_asked_for_over_TCP()
    {
        using var names = new NameServer();
        var services = Enumerable.Range(0, 1_000).Select(i => ($"store-{i}.store.observe.svc.cluster.local", 10_000 + i)).ToList();
        names.SetServices(Service, services);
        Assert.Equal(
            services.Select(s => $"{s.Item1}:{s.Item2}").Order(StringComparer.Ordinal),
            await new DnsLookup(names.Config).ResolveAsync("dnssrvnoa+" + Service, default));
        Assert.Equal(["udp _grpc._tcp.store SRV", "tcp _grpc._tcp.store SRV"], names.Questions);
    }

    [Fact]
    public async Task A_relative_name_is_looked_up_in_the_search_domains_as_in_a_pod()
    {
        using var names = new NameServer();
        names.SetServices(Service + ".observe.svc.cluster.local", ("store-0.store.observe.svc.cluster.local", 10901));
        names.SetAddresses("store-0.store.observe.svc.cluster.local", IPAddress.Parse("10.0.0.1"));
        var pod = ResolverConfig.Parse(["search observe.svc.cluster.local svc.cluster.local cluster.local", "options ndots:5"], []);
        var lookup = new DnsLookup(pod with { Servers = [names.Address] });
        Assert.Equal(["10.0.0.1:10901"], await lookup.ResolveAsync("dnssrv+" + Service, default));
        Assert.Equal("udp _grpc._tcp.store.observe.svc.cluster.local SRV", names.Questions.First());
        Assert.Equal(3, names.Questions.Count);

        names.Questions.Clear();
        names.SetAddresses("store.example", IPAddress.Parse("10.0.0.2"));
        Assert.Equal(["10.0.0.2:1"], await lookup.ResolveAsync("dns+store.example:1", default));
        Assert.Equal(8, names.Questions.Count);
    }

    [Theory]
    [InlineData(0, "lookup of _grpc._tcp.store failed: no SRV records")]
    [InlineData(2, "lookup of _grpc._tcp.store failed: Server Failure")]
    [InlineData(5, "lookup of _grpc._tcp.store failed: Query Refused")]
    public async Task What_is_not_found_says_why(byte code, string error)
    {
        using var names = new NameServer { Code = code };
        var failed = await Assert.ThrowsAsync<DnsLookupException>(() => new DnsLookup(names.Config).ResolveAsync("dnssrv+" + Service, default));
        Assert.Equal(error, failed.Message);
    }

    [Fact]
    public async Task A_server_that_is_silent_is_given_up_and_the_next_one_asked()
    {
        using var silent = new NameServer { IsSilent = _ => true };
        using var names = new NameServer();
        names.SetServices(Service, ("store", 10901));
        var config = silent.Config with { Timeout = s_soon, Search = ["a", "b"] };
        var failed = await Assert.ThrowsAsync<DnsLookupException>(() => new DnsLookup(config).ResolveAsync("dnssrv+" + Service, default));
        Assert.Equal($"lookup of {Service} failed: no answer from {silent.Address}", failed.Message);
        Assert.Single(silent.Questions);

        var both = new DnsLookup(config with { Servers = [silent.Address, names.Address], Search = [] });
        Assert.Equal(["store:10901"], await both.ResolveAsync("dnssrvnoa+" + Service, default));
    }

    [Fact]
    public async Task Addresses_of_one_kind_are_enough()
    {
        using var names = new NameServer { IsSilent = question => question.EndsWith("AAAA", StringComparison.Ordinal) };
        names.SetAddresses("store", IPAddress.Parse("10.0.0.1"), IPAddress.Parse("fd00::1"));
        Assert.Equal(["10.0.0.1:1"], await new DnsLookup(names.Config with { Timeout = s_soon }).ResolveAsync("dns+store:1", default));
    }

    [Fact]
    public async Task A_lookup_ends_when_it_is_cancelled()
    {
        using var cancelled = new CancellationTokenSource();
        using var names = new NameServer { IsSilent = _ => { cancelled.Cancel(); return true; } };
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => new DnsLookup(names.Config).ResolveAsync("dnssrv+" + Service, cancelled.Token));
    }

    [Fact]
    public async Task Any_bytes_are_an_answer_or_refused()
    {
        using var names = new NameServer();
        names.SetServices(Service, ("a.store", 10901), ("b.store", 10902));
        var lookup = new DnsLookup(names.Config with { Timeout = s_soon });
        await Gen.Select(Gen.Int[2, 110], Gen.Byte, Gen.Int[12, 110]).SampleAsync(async (at, value, length) =>
        {
            names.Damage = answer =>
            {
                answer[Math.Min(at, answer.Length - 1)] = value;
                return answer[..Math.Min(length, answer.Length)];
            };
            try
            {
                await lookup.ResolveAsync("dnssrvnoa+" + Service, default);
            }
            catch (DnsLookupException)
            {
                // What is meant.
            }
        }, iter: 200, threads: 1);
    }

    [Theory]
    [InlineData("nameserver 10.0.0.1|nameserver fd00::1|nameserver x|nameserver 10.0.0.2|nameserver 10.0.0.3", "10.0.0.1:53 [fd00::1]:53 10.0.0.2:53")]
    [InlineData("# nameserver 10.0.0.1|; nameserver 10.0.0.2", "127.0.0.1:53")]
    public void Name_servers_are_read(string file, string servers) =>
        Assert.Equal(servers, string.Join(' ', ResolverConfig.Parse(file.Split('|'), []).Servers));

    [Theory]
    [InlineData("", "store", "store.")]
    [InlineData("search a b.", "store", "store.a. store.b. store.")]
    [InlineData("search a b", "store.", "store.")]
    [InlineData("search a b", "store.x", "store.x. store.x.a. store.x.b.")]
    [InlineData("domain a|search b", "store", "store.b. store.")]
    [InlineData("search a|options rotate ndots:2 timeout:x", "store.x", "store.x.a. store.x.")]
    public void Names_are_tried_in_the_order_of_the_search_domains(string file, string name, string candidates) =>
        Assert.Equal(candidates, string.Join(' ', ResolverConfig.Parse(file.Split('|'), []).Candidates(name)));

    [Fact]
    public void Options_of_time_are_read()
    {
        var config = ResolverConfig.Parse(["options timeout:3 attempts:4"], []);
        Assert.Equal((TimeSpan.FromSeconds(3), 4), (config.Timeout, config.Attempts));
    }
}
