using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Net;
using System.Numerics;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Hosting;

/// <summary>
/// Flags in the manner of Prometheus and Thanos: durations as <c>2h</c>, sizes as <c>500MB</c>, addresses as <c>HOST:PORT</c>.
/// </summary>
static class Flags
{
    public static Option<string> Text(string name, string description, string? fallback = null, params string[] aliases) =>
        New<string>(name, description, aliases, fallback is null ? null : _ => fallback);

    public static Option<bool> Switch(string name, string description, bool fallback = false) =>
        New<bool>(name, description, [], _ => fallback);

    public static Option<int> Number(string name, string description, int fallback) => Whole(name, description, fallback);

    public static Option<long> Long(string name, string description, long fallback) => Whole(name, description, fallback);

    public static Option<string[]> Many(string name, string description)
    {
        var option = New<string[]>(name, description, [], _ => []);
        option.AllowMultipleArgumentsPerToken = false;
        option.Arity = ArgumentArity.OneOrMore;
        return option;
    }

    public static Option<TimeSpan> Span(string name, string description, string fallback)
    {
        var option = New<TimeSpan>(name, description + $" (default {fallback})", [], _ => Duration.Parse(fallback));
        option.CustomParser = result =>
        {
            var text = result.Tokens[^1].Value;
            if (Duration.TryParse(text, out var milliseconds, out var error))
            {
                return TimeSpan.FromMilliseconds(milliseconds);
            }

            result.AddError($"{name}: {error}");
            return default;
        };
        return option;
    }

    /// <summary>
    /// Bytes, with B, KB, MB, GB, TB or their binary forms behind; powers of 1024 all of them, as Prometheus reads sizes.
    /// </summary>
    public static Option<long> Size(string name, string description, string fallback)
    {
        var option = New<long>(name, description + $" (default {fallback})", [], _ => ParseSize(fallback)!.Value);
        option.CustomParser = result => ReadSize(name, result) ?? 0;
        return option;
    }

    /// <summary>A size whose absence means something else than any size.</summary>
    public static Option<long?> Size(string name, string description)
    {
        var option = New<long?>(name, description, [], _ => null);
        option.CustomParser = result => ReadSize(name, result);
        return option;
    }

    /// <exception cref="FlagException">The value is no address.</exception>
    public static IPEndPoint Address(string flag, string text)
    {
        var colon = text.LastIndexOf(':');
        if (colon >= 0 && ushort.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var port))
        {
            var host = text[..colon].Trim('[', ']');
            if (host is "" or "0.0.0.0" or "*")
            {
                return new IPEndPoint(IPAddress.Any, port);
            }

            if (host == "localhost")
            {
                return new IPEndPoint(IPAddress.Loopback, port);
            }

            if (IPAddress.TryParse(host, out var address))
            {
                return new IPEndPoint(address, port);
            }
        }

        throw new FlagException($"{flag}: {GoText.Quote(text)} is not an address (write 127.0.0.1:9090 or :9090)");
    }

    /// <summary>The name by which a flag was given on the command line, where it has several names.</summary>
    public static string NameOf(ParseResult flags, Option option) => flags.GetResult(option)?.IdentifierToken?.Value ?? option.Name;

    /// <summary>The path of a file that can be read.</summary>
    /// <param name="flag">The flag that names the file, for the message; null when the path is an argument.</param>
    /// <exception cref="FlagException">The file cannot be read.</exception>
    public static string ReadableFile(string? flag, string path)
    {
        try
        {
            using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            return path;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            var reason = e switch
            {
                FileNotFoundException or DirectoryNotFoundException => "there is no such file",
                _ when Directory.Exists(path) => "it is a folder, not a file",
                UnauthorizedAccessException => "this process may not read it",
                _ => e.Message,
            };
            throw new FlagException((flag is null ? "" : flag + ": ") + $"{path}: {reason}", e);
        }
    }

    /// <summary>
    /// The content that a pair of flags <c>--x</c> (content) and <c>--x-file</c> (path) gives, and its source for messages; null when
    /// neither is set.
    /// </summary>
    public static (string Content, string Source)? Content(ParseResult flags, Option<string> inline, Option<string> file)
    {
        var (content, path) = (flags.GetValue(inline), flags.GetValue(file));
        if (!string.IsNullOrEmpty(content) && !string.IsNullOrEmpty(path))
        {
            throw new FlagException($"{inline.Name} and {file.Name} exclude each other");
        }

        if (!string.IsNullOrEmpty(content))
        {
            return (content, inline.Name);
        }

        return string.IsNullOrEmpty(path) ? null : (File.ReadAllText(ReadableFile(file.Name, path)), path);
    }

    /// <summary>
    /// Every flag of a command and its value, as <c>/api/v1/status/flags</c> lists them; values that may hold a secret are hidden.
    /// </summary>
    public static IReadOnlyDictionary<string, string> All(ParseResult flags)
    {
        var all = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var option in flags.CommandResult.Command.Options)
        {
            if (option.Name is "--help" or "--version")
            {
                continue;
            }

            object? value = flags.GetResult(option)?.GetValueOrDefault<object?>();
            all[option.Name.TrimStart('-')] = option.Name == "--objstore.config" && value is not null and not "" ? "<secret>" : value switch
            {
                null => "",
                bool on => on ? "true" : "false",
                TimeSpan span => Duration.Format(span),
                string[] many => string.Join(',', many),
                _ => Convert.ToString(value, CultureInfo.InvariantCulture) ?? "",
            };
        }

        return all;
    }

    /// <summary>A bare number is bytes.</summary>
    static long? ReadSize(string name, ArgumentResult result)
    {
        var text = result.Tokens[^1].Value;
        if (ParseSize(text) is { } bytes)
        {
            return bytes;
        }

        result.AddError($"{name}: not a size: {GoText.Quote(text)} (write 500MB)");
        return null;
    }

    static long? ParseSize(string text) =>
        ByteSize.TryParse(text.Length > 0 && char.IsAsciiDigit(text[^1]) ? text + "B" : text, out var bytes) ? bytes : null;

    static Option<T> Whole<T>(string name, string description, T fallback)
        where T : INumber<T>
    {
        var option = New<T>(name, description, [], _ => fallback);
        option.CustomParser = result =>
        {
            var text = result.Tokens[^1].Value;
            if (T.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number))
            {
                return number;
            }

            result.AddError($"{name}: not a number: {GoText.Quote(text)}");
            return fallback;
        };
        return option;
    }

    static Option<T> New<T>(string name, string description, string[] aliases, Func<ArgumentResult, T>? fallback) =>
        new(name, aliases) { Description = description, DefaultValueFactory = fallback };
}

/// <summary>A flag has an invalid value; the message names the flag.</summary>
sealed class FlagException(string message, Exception? inner = null) : Exception(message, inner);
