using System.Net;
using System.Net.Sockets;
using Observe.Testkit;
using Xunit;

namespace Observe.EndToEnd.Tests.Hosting;

/// <summary>What is wrong with a flag, or with what it names, is told in one line that names it; the exit code is 1.</summary>
public sealed class CommandLineTests : IDisposable
{
    readonly string _folder = Checkout.NewFolder("edge");
    readonly string _file;
    readonly string _config;

    public CommandLineTests()
    {
        _file = Path.Combine(_folder, "file");
        _config = Path.Combine(_folder, "observe.yml");
        File.WriteAllText(_file, "");
        File.WriteAllText(_config, "global: {external_labels: {cluster: a}}\n");
    }

    string Bucket => "--objstore.config={type: FILESYSTEM, config: {directory: " + Path.Combine(_folder, "bucket") + "}}";

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("store")]
    [InlineData("compact", "--wait")]
    [InlineData("compact")]
    [InlineData("query")]
    [InlineData("collector", "--config.file=CONFIG")]
    [InlineData("all")]
    [InlineData("demo")]
    public async Task A_data_folder_that_is_a_file_is_told(string role, params string[] more)
    {
        foreach (var folder in new[] { _file, Path.Combine(_file, "below") })
        {
            await RefusedAsync([role, .. Fill(role, more), "--data-dir=" + folder], "--data-dir: ", "is a file");
        }
    }

    [Theory]
    [InlineData("store")]
    [InlineData("compact", "--wait")]
    [InlineData("query")]
    [InlineData("collector", "--config.file=CONFIG")]
    public async Task A_port_that_is_in_use_is_told(string role, params string[] more)
    {
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        var flags = new List<string> { "--http-address" };
        if (role != "compact")
        {
            flags.Add("--grpc-address");
        }

        foreach (var flag in flags)
        {
            string[] addresses = [.. new[] { "--http-address", "--grpc-address" }.Where(f => f != flag).Select(f => f + "=127.0.0.1:0")];
            await RefusedAsync(
                [role, .. Fill(role, more), "--data-dir=" + Path.Combine(_folder, "data"), .. addresses, $"{flag}={taken.LocalEndpoint}"],
                $"{flag}: {taken.LocalEndpoint}: another process listens there");
        }
    }

    [Theory]
    [InlineData("store")]
    [InlineData("compact", "--wait")]
    [InlineData("query")]
    [InlineData("collector", "--config.file=CONFIG")]
    public async Task A_data_folder_of_another_process_is_told(string role, params string[] more)
    {
        string[] flags = [.. Fill(role, more), "--data-dir=" + Path.Combine(_folder, "data")];
        await using (var first = await ObserveProcess.StartAsync(role, flags))
        {
            await RefusedAsync([role, .. flags, "--http-address=127.0.0.1:0", "--grpc-address=127.0.0.1:0"], "--data-dir: ", "another process");
            Assert.Equal(0, await first.Process.StopAsync());
        }

        await using var second = await ObserveProcess.StartAsync(role, flags);
        Assert.Equal(0, await second.Process.StopAsync());
    }

    [Fact]
    public async Task A_file_that_cannot_be_read_is_told()
    {
        var absent = Path.Combine(_folder, "absent.yml");
        await RefusedAsync(["store", "--objstore.config-file=" + absent], $"--objstore.config-file: {absent}: there is no such file");
        await RefusedAsync(["bucket", "ls", "--objstore.config-file=" + _folder], $"--objstore.config-file: {_folder}: it is a folder");
        await RefusedAsync(["collector", Bucket, "--config.file=" + absent], $"--config.file: {absent}: there is no such file");
        await RefusedAsync(["check", "config", _folder], $"{_folder}: it is a folder");
        await RefusedAsync(["store", "--http-address=198.51.100.7:80", Bucket, "--data-dir=" + Path.Combine(_folder, "x")], "--http-address: 198.51.100.7:80: ");
    }

    [Theory]
    [InlineData("--http-adress", "query", "--endpoint=127.0.0.1:1", "--http-adress=127.0.0.1:0")]
    [InlineData("--objstore.confg", "store", "--objstore.confg", "x")]
    [InlineData("--config.expand-nev", "check", "config", "--config.expand-nev", "CONFIG")]
    [InlineData("--quite", "promql", "test", "some.test", "--quite")]
    [InlineData("--labl", "bucket", "upload", "block", "--labl=a=b")]
    public async Task An_unknown_flag_is_told_with_the_nearest_one_and_no_page_of_help(string flag, params string[] arguments)
    {
        var nearest = flag switch
        {
            "--http-adress" => "--http-address",
            "--objstore.confg" => "--objstore.config",
            "--config.expand-nev" => "--config.expand-env",
            "--quite" => "--quiet",
            _ => "--label",
        };
        await RefusedAsync(Fill("", arguments), $"there is no flag {flag}; did you mean {nearest}?");
    }

    [Theory]
    [InlineData("compact")]
    [InlineData("compact", "--wait")]
    [InlineData("all")]
    public async Task A_retention_that_is_shorter_than_downsampling_needs_is_told(string role, params string[] more)
    {
        string[] flags = [role, .. Fill(role, more), "--data-dir=" + Path.Combine(_folder, "data"), "--http-address=127.0.0.1:0"];
        await RefusedAsync([.. flags, "--retention.resolution-raw=1d"], "--retention.resolution-raw: 1d is too short", "5m once they span 1d16h");
        await RefusedAsync([.. flags, "--retention.resolution-raw=30d", "--retention.resolution-5m=9d"], "--retention.resolution-5m: 9d", "1h once they span 10d");
    }

    [Theory]
    [InlineData("--retention.resolution-raw=40h", "--retention.resolution-5m=10d")]
    [InlineData("--retention.resolution-raw=1d", "--retention.resolution-5m=1d", "--downsampling.disable")]
    public async Task A_retention_that_is_long_enough_or_needs_no_downsampling_is_taken(params string[] retention)
    {
        var (exitCode, output) = await ObserveProcess.RunAsync(["compact", Bucket, "--data-dir=" + Path.Combine(_folder, "data"), .. retention]);
        Assert.Contains("0 failures", output, StringComparison.Ordinal);
        Assert.Equal(0, exitCode);
    }

    [Fact]
    public async Task What_stands_behind_two_dashes_is_no_flag()
    {
        Assert.Equal((0, "--up\n"), await ObserveProcess.RunAsync("promql", "format", "--", "--up"));
        Assert.Equal((0, "-up\n"), await ObserveProcess.RunAsync("promql", "format", "-up"));
    }

    [Fact]
    public async Task Check_config_expands_the_environment_as_the_collector_does()
    {
        await File.WriteAllTextAsync(_config, "global: {external_labels: {cluster: '$(OBSERVE_TEST_CLUSTER)'}}\n");
        await RefusedAsync(["check", "config", "--config.expand-env", _config], "--config.expand-env: ", "OBSERVE_TEST_CLUSTER");
        await using var child = ChildProcess.Start(ObserveProcess.Program, ["check", "config", "--config.expand-env", _config], ("OBSERVE_TEST_CLUSTER", "a"));
        Assert.Equal(0, await child.WaitAsync(TimeSpan.FromMinutes(1)));
    }

    [Theory]
    [InlineData]
    [InlineData("--config.expand-env")]
    public async Task A_configuration_that_is_no_text_is_told_whether_it_is_expanded_or_not(params string[] more)
    {
        await File.WriteAllBytesAsync(_config, [.. "global: {external_labels: {cluster: "u8, 0xff, .. "}}\n"u8]);
        await RefusedAsync(["check", "config", .. more, _config], _config, "UTF-8");
    }

    [Fact]
    public async Task A_reload_that_lacks_a_variable_keeps_the_old_configuration()
    {
        await using var collector = await ObserveProcess.StartAsync("collector",
            [Bucket, "--config.file=" + _config, "--config.expand-env", "--web.enable-lifecycle", "--data-dir=" + Path.Combine(_folder, "data")]);
        await File.WriteAllTextAsync(_config, "global: {external_labels: {cluster: '$(OBSERVE_TEST_CLUSTER)'}}\n");
        using var refused = await collector.Http.PostAsync("-/reload", null);
        Assert.Equal(HttpStatusCode.InternalServerError, refused.StatusCode);
        Assert.Contains("OBSERVE_TEST_CLUSTER", await refused.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Contains("prometheus_config_last_reload_successful 0", await collector.Http.GetStringAsync("metrics"), StringComparison.Ordinal);
        File.Delete(_config);
        await collector.Process.SignalAsync("HUP");
        await collector.Process.LineAsync("there is no such file");
        Assert.Contains("cluster: a", (string)(await collector.GetAsync("api/v1/status/config"))["data"]!["yaml"]!, StringComparison.Ordinal);
        Assert.Equal(0, await collector.Process.StopAsync());
    }

    /// <summary>The commands of the README run together on one machine.</summary>
    [Fact]
    public async Task Roles_of_the_readme_listen_at_different_addresses_and_keep_different_folders()
    {
        var commands = (await File.ReadAllLinesAsync(Path.Combine(Checkout.Root, "README.md")))
            .Select(line => line.Trim().Split(' ')).Where(words => words is ["observe", "collector" or "store" or "compact" or "query", ..] && words.Any(w => w.StartsWith("--objstore", StringComparison.Ordinal)))
            .DistinctBy(words => words[1]).ToList();
        Assert.Equal(["collector", "compact", "query"], commands.Select(c => c[1]));
        var used = new List<string>();
        foreach (var command in commands)
        {
            var (_, help) = await ObserveProcess.RunAsync(command[1], "--help");
            foreach (var flag in new[] { "--http-address", "--grpc-address", "--data-dir" })
            {
                var given = command.FirstOrDefault(word => word.StartsWith(flag + "=", StringComparison.Ordinal))?.Split('=')[1];
                var line = help.Split('\n').First(l => l.Contains(flag, StringComparison.Ordinal));
                var fallback = System.Text.RegularExpressions.Regex.Match(line, @"\(default (\S+)\)").Groups[1].Value;
                var value = given ?? fallback;
                if (value.Length > 0)
                {
                    used.Add(flag == "--data-dir" ? value : value[value.LastIndexOf(':')..]);
                }
            }
        }

        Assert.Equal(8, used.Count);
        Assert.Equal(used, used.Distinct());
    }

    string[] Fill(string role, string[] arguments) =>
        [.. arguments.Select(a => a.Replace("CONFIG", _config, StringComparison.Ordinal)), .. role is "" or "demo" ? Array.Empty<string>() : [Bucket]];

    static async Task RefusedAsync(string[] arguments, params string[] said)
    {
        var (exitCode, output) = await ObserveProcess.RunAsync(arguments);
        Assert.Equal(1, exitCode);
        var line = Assert.Single(output.TrimEnd('\n').Split('\n'), l => !l.Contains(" level=INFO ", StringComparison.Ordinal));
        Assert.EndsWith(line, output.TrimEnd('\n'), StringComparison.Ordinal);
        Assert.All(said, text => Assert.Contains(text, line, StringComparison.Ordinal));
    }
}
