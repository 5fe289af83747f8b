using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Observe.Hosting;
using Observe.Query.Promql;
using Observe.Query.Promql.Parsing;
using Observe.Query.Promql.Scripts;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;
using Observe.Tsdb.Threading;
using Spectre.Console;

namespace Observe.Commands;

/// <summary><c>observe promql instant | range | format | test</c>.</summary>
static class PromqlCommand
{
    /// <summary>A plan has two levels of JSON for each of its operators, of which there can be thousands one above the other.</summary>
    const int MaxDepth = 1 << 20;

    public static Command Build()
    {
        var url = Flags.Text("--url", "a server with Prometheus's HTTP API (default http://127.0.0.1:9090)", "http://127.0.0.1:9090");
        var query = new Argument<string>("QUERY") { Description = "PromQL" };
        var explain = Flags.Switch("--explain", "print the plan too, with what each operator did (the server has to be observe)");
        var command = new Command("promql", "ask, format and test PromQL");

        var instant = new Command("instant", "evaluate a query at one time");
        var time = Flags.Text("--time", "RFC 3339 or seconds since the epoch (default now)");
        instant.Arguments.Add(query);
        instant.Options.Add(url);
        instant.Options.Add(time);
        instant.Options.Add(explain);
        instant.SetAction((flags, cancellationToken) => QueryAsync(
            flags.GetValue(url)!,
            "query",
            [("query", flags.GetValue(query)!), ("time", Time(flags, time)), ("explain", flags.GetValue(explain) ? "true" : null)],
            cancellationToken));

        var range = new Command("range", "evaluate a query at each step of a range");
        var start = new Option<string>("--start") { Description = "RFC 3339 or seconds since the epoch", Required = true };
        var end = new Option<string>("--end") { Description = "RFC 3339 or seconds since the epoch", Required = true };
        var step = Flags.Text("--step", "a duration (default 1m)", "1m");
        range.Arguments.Add(query);
        foreach (var option in (Option[])[url, start, end, step, explain])
        {
            range.Options.Add(option);
        }

        range.SetAction((flags, cancellationToken) => QueryAsync(
            flags.GetValue(url)!,
            "query_range",
            [
                ("query", flags.GetValue(query)!),
                ("start", Time(flags, start)), ("end", Time(flags, end)), ("step", flags.GetValue(step)),
                ("explain", flags.GetValue(explain) ? "true" : null),
            ],
            cancellationToken));

        var format = new Command("format", "print a query as Prometheus formats it");
        format.Arguments.Add(query);
        format.SetAction(async (flags, cancellationToken) =>
        {
            using var threads = ComputeThreads.ForQueries(1);
            try
            {
                Console.Out.WriteLine(await threads.RunAsync(
                    () => Printer.Pretty(PromqlParser.Parse(flags.GetValue(query)!, ParserOptions.Everything)), cancellationToken));
                return 0;
            }
            catch (Exception e) when (e is ParseException or QueryException)
            {
                Console.Error.WriteLine($"observe: {e.Message}");
                return 1;
            }
        });

        var test = new Command("test", "run scripts in the promqltest language");
        var files = new Argument<string[]>("FILE") { Description = "a script", Arity = ArgumentArity.OneOrMore };
        var quiet = Flags.Switch("--quiet", "only the counts, not what fails");
        test.Arguments.Add(files);
        test.Options.Add(quiet);
        var storage = Flags.Text("--storage", "where series are kept: memory, head, or bucket (default memory)", "memory");
        test.Options.Add(storage);
        test.SetAction(async (flags, cancellationToken) =>
        {
            using var engine = new PromqlEngine(PromqlScript.EngineOptions);
            return await PromqlScripts.RunFilesAsync(flags.GetValue(files)!, engine, ScriptStorages.Named(
                flags.GetValue(storage)!), Console.Out, !flags.GetValue(quiet), cancellationToken) ? 0 : 1;
        });

        command.Subcommands.Add(instant);
        command.Subcommands.Add(range);
        command.Subcommands.Add(format);
        command.Subcommands.Add(test);
        return command;
    }

    /// <summary>A time as servers read it: a space between date and time is RFC 3339's as well.</summary>
    /// <exception cref="FlagException">There is a date and a time, and no zone.</exception>
    static string? Time(ParseResult flags, Option<string> option)
    {
        if (flags.GetValue(option) is not { Length: > 10 } text || text[4] != '-' || text[10] is not (' ' or 'T' or 't'))
        {
            return flags.GetValue(option);
        }

        var time = text[11..].Trim().ToUpperInvariant();
        return time.EndsWith('Z') || time.AsSpan().ContainsAny('+', '-')
            ? $"{text[..10]}T{time}"
            : throw new FlagException($"{option.Name}: {GoText.Quote(text)} has no zone (write {text[..10]}T{time}Z, or seconds since the epoch)");
    }

    static async Task<int> QueryAsync(
        string url, string endpoint, (string Name, string? Value)[] parameters, CancellationToken cancellationToken)
    {
        using var http = new HttpClient { BaseAddress = new Uri(url.TrimEnd('/') + "/") };
        using var form = new FormUrlEncodedContent(parameters.Where(p => p.Value is not null).Select(p => KeyValuePair.Create(p.Name, p.Value!)));
        JsonNode? answer;
        try
        {
            using var response = await http.PostAsync("api/v1/" + endpoint, form, cancellationToken);
            answer = JsonNode.Parse(
                await response.Content.ReadAsStreamAsync(cancellationToken), documentOptions: new JsonDocumentOptions { MaxDepth = MaxDepth });
        }
        catch (Exception e) when (e is HttpRequestException or JsonException)
        {
            await Console.Error.WriteLineAsync($"observe: {url}: {e.Message}");
            return 1;
        }

        foreach (var (kind, texts) in new[] { ("warning", answer?["warnings"]), ("info", answer?["infos"]) })
        {
            foreach (var text in texts?.AsArray() ?? [])
            {
                await Console.Error.WriteLineAsync($"{kind}: {text}");
            }
        }

        if ((string?)answer?["status"] != "success")
        {
            await Console.Error.WriteLineAsync($"observe: {answer?["errorType"]}: {answer?["error"]}");
            return 1;
        }

        var data = answer!["data"]!;
        await WriteResultAsync(data);
        if (data["explanation"] is { } explanation)
        {
            await Console.Out.WriteLineAsync();
            ExplainedPlan.Write(AnsiConsole.Console, explanation);
        }

        return 0;
    }

    static async Task WriteResultAsync(JsonNode data)
    {
        if ((string?)data["resultType"] is "scalar" or "string")
        {
            await Console.Out.WriteLineAsync(Point(data["result"]!));
            return;
        }

        foreach (var series in data["result"]!.AsArray())
        {
            var name = Name(series!["metric"]!.AsObject());
            if (series["value"] is { } value)
            {
                await Console.Out.WriteLineAsync($"{name} => {Point(value)}");
            }
            else if (series["histogram"] is { } histogram)
            {
                await Console.Out.WriteLineAsync($"{name} => {histogram[1]!.ToJsonString()} @[{histogram[0]}]");
            }
            else
            {
                await Console.Out.WriteLineAsync($"{name} =>");
                foreach (var point in (series["values"]?.AsArray() ?? []).Concat(series["histograms"]?.AsArray() ?? []))
                {
                    await Console.Out.WriteLineAsync(Point(point!));
                }
            }
        }
    }

    static string Point(JsonNode point) => string.Create(CultureInfo.InvariantCulture, $"{point[1]} @[{point[0]}]");

    static string Name(JsonObject metric) =>
        (string?)metric[Labels.MetricName]
        + "{" + string.Join(", ", metric.Where(l => l.Key != Labels.MetricName)
        .Select(l => $"{l.Key}={GoText.Quote((string)l.Value!)}")) + "}";
}
