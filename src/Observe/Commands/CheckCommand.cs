using System.CommandLine;
using System.Globalization;
using Observe.Collector.Exposition;
using Observe.Hosting;
using Observe.Store.Yaml;

namespace Observe.Commands;

/// <summary><c>observe check config | metrics</c>: every fault, one a line; exit code 1 when there is one.</summary>
static class CheckCommand
{
    const int MaxExposition = 256 << 20;

    public static Command Build()
    {
        var command = new Command("check", "check files before something depends on them");

        var config = new Command("config", "check collector configurations");
        var files =
            new Argument<string[]>("FILE") { Description = "a configuration in Prometheus's form", Arity = ArgumentArity.OneOrMore };
        var expand = new CollectorFlags("./data").ExpandEnvironment;
        config.Arguments.Add(files);
        config.Options.Add(expand);
        config.SetAction(flags => flags.GetValue(files)!.Select(file => Check(file, flags.GetValue(expand)))
            .ToList().TrueForAll(valid => valid) ? 0 : 1);

        var metrics = new Command("metrics", "check an exposition that comes on standard input");
        var format =
            new Option<string>("--format") { Description = "text or openmetrics (judged strictly)", DefaultValueFactory = _ => "text" };
        format.AcceptOnlyFromAmong("text", "openmetrics");
        metrics.Options.Add(format);
        metrics.SetAction(async (flags, cancellationToken) =>
        {
            using var body = new MemoryStream();
            await using var input = Console.OpenStandardInput();
            var buffer = new byte[1 << 16];
            for (int read; (read = await input.ReadAsync(buffer, cancellationToken)) > 0;)
            {
                if (body.Length + read > MaxExposition)
                {
                    await Console.Error.WriteLineAsync("observe: the exposition is larger than 256MB");
                    return 1;
                }

                body.Write(buffer, 0, read);
            }

            var faults = ExpositionCheck.Run(
                body.ToArray(), flags.GetValue(format) == "openmetrics" ? ExpositionFormat.OpenMetrics : ExpositionFormat.Text);
            foreach (var fault in faults)
            {
                await Console.Out.WriteLineAsync(fault.ToString());
            }

            return faults.Count == 0 ? 0 : 1;
        });

        command.Subcommands.Add(config);
        command.Subcommands.Add(metrics);
        return command;
    }

    static bool Check(string file, bool expandEnvironment)
    {
        try
        {
            var config = CollectorFlags.Load(Flags.ReadableFile(null, file), expandEnvironment);
            foreach (var warning in config.Warnings)
            {
                Console.Out.WriteLine($"{warning} (ignored)");
            }

            Console.Out.WriteLine(
                string.Create(CultureInfo.InvariantCulture, $"{file}: valid, {config.ScrapeConfigs.Count} scrape configurations"));
            return true;
        }
        catch (ConfigException e)
        {
            foreach (var error in e.Errors)
            {
                Console.Out.WriteLine(error.ToString());
            }

            return false;
        }
        catch (FlagException e)
        {
            Console.Out.WriteLine(e.Message);
            return false;
        }
    }
}
