using System.CommandLine.Invocation;
using System.CommandLine.Parsing;
using System.CommandLine;
using System.Text.RegularExpressions;
using Observe.Store.Bucket;
using Observe.Store.Yaml;

namespace Observe.Hosting;

/// <summary>
/// Runs the command that a command line names. Any error, of the command line or of the run, is printed as one line and makes the exit code
/// 1.
/// </summary>
static partial class CommandLine
{
    public static async Task<int> RunAsync(RootCommand root, string[] arguments)
    {
        var parsed = root.Parse(arguments);
        var faults = parsed.Action is ParseErrorAction || parsed.Errors.Count == 0 ? Faults(parsed) : [];
        if (faults.Count > 0)
        {
            foreach (var fault in faults)
            {
                await Console.Error.WriteLineAsync("observe: " + fault);
            }

            return 1;
        }

        try
        {
            return await parsed.InvokeAsync(
                new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
        }
        catch (Exception e)
        {
            var foreseen = e is FlagException or FormatException or BucketException or IOException or UnauthorizedAccessException;
            await Console.Error.WriteLineAsync(
                "observe: " + (foreseen ? e.Message : $"{e.GetType().Name}: {e.Message.ReplaceLineEndings(" ")}"));
            return 1;
        }
    }

    /// <summary>The faults of a command line. A command without its subcommand is no fault: it prints its help.</summary>
    static List<string> Faults(ParseResult parsed)
    {
        var command = parsed.CommandResult.Command;
        var unknown = parsed.UnmatchedTokens.Where(token => token.StartsWith('-'))
            .Concat(Values(parsed).Where(value => FlagName().IsMatch(value))).ToList();
        if (unknown.Count > 0)
        {
            return [.. unknown.Select(token => token.Split('=')[0])
                .Select(flag => $"there is no flag {flag}{Nearest(flag, FlagNames(parsed.CommandResult))}")];
        }

        if (parsed.UnmatchedTokens.Count > 0)
        {
            return [.. parsed.UnmatchedTokens.Take(1).Select(token => command.Subcommands.Count > 0
                ? $"there is no command {token}{Nearest(token, command.Subcommands.Select(c => c.Name))}"
                : $"nothing is expected at {token}")];
        }

        return command.Subcommands.Count > 0 ? [] : [.. parsed.Errors.Select(error => error.Message)];
    }

    /// <summary>
    /// The words that the parser took for values of arguments or flags, up to a <c>--</c>. PromQL is left out, since it may begin with a
    /// minus.
    /// </summary>
    static IEnumerable<string> Values(ParseResult parsed)
    {
        var tokens = parsed.Tokens.TakeWhile(token => token.Type != TokenType.DoubleDash).Select(token => token.Value).ToHashSet();
        return parsed.CommandResult.Children.SelectMany(child => child.Tokens).Select(token => token.Value).Where(tokens.Contains);
    }

    static IEnumerable<string> FlagNames(SymbolResult? result)
    {
        for (; result is not null; result = result.Parent)
        {
            foreach (var option in result is CommandResult command ? command.Command.Options : [])
            {
                yield return option.Name;
                foreach (var alias in option.Aliases)
                {
                    yield return alias;
                }
            }
        }
    }

    static string Nearest(string word, IEnumerable<string> known) =>
        NearestWord.Find(word, known, Math.Max(2, word.Length / 2)) is { } nearest ? $"; did you mean {nearest}?" : "";

    [GeneratedRegex("^--[A-Za-z]")]
    private static partial Regex FlagName();
}
