using System.Text;
using System.Text.RegularExpressions;
using Observe.Query.Promql.Parsing;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Query.Promql.Scripts;

/// <summary>Reads the lines of a script into commands. The first fault ends it.</summary>
sealed partial class ScriptReader
{
    readonly string[] _lines;
    int _at;

    public ScriptReader(string text)
    {
        _lines = text.Split('\n');
        for (var i = 0; i < _lines.Length; i++)
        {
            var line = _lines[i].Trim();
            _lines[i] = line.StartsWith('#') ? "" : line;
        }
    }

    /// <exception cref="ScriptException"/>
    public List<ScriptCommand> Read()
    {
        var commands = new List<ScriptCommand>();
        for (; _at < _lines.Length; _at++)
        {
            var line = _lines[_at];
            if (line.Length == 0)
            {
                continue;
            }

            var word = line.Split([' ', '\t'], 2)[0].ToLowerInvariant();
            try
            {
                commands.Add(word switch
                {
                    "clear" => new ClearCommand(_at + 1),
                    _ when word.StartsWith("load", StringComparison.Ordinal) => ReadLoad(),
                    _ when word.StartsWith("eval", StringComparison.Ordinal) => ReadEval(),
                    _ => throw new FormatException($"invalid command {GoText.Quote(line)}"),
                });
            }
            catch (FormatException e)
            {
                throw new ScriptException(_at + 1, e.Message);
            }
        }

        return commands;
    }

    /// <summary>The next line of the command at hand; null at an empty line or the end.</summary>
    string? NextLine() => _at + 1 < _lines.Length && _lines[_at + 1].Length > 0 ? _lines[++_at] : null;

    LoadCommand ReadLoad()
    {
        var start = _at + 1;
        var match = LoadLine().Match(_lines[_at]);
        if (!match.Success)
        {
            throw new FormatException("invalid load command. (load[_with_nhcb] <step:duration>)");
        }

        var step = Duration.ParseMilliseconds(match.Groups["step"].Value);
        var series = new Dictionary<Labels, ScriptSeries>();
        (Labels Labels, IReadOnlyList<long?> Offsets)? startTimes = null;
        while (NextLine() is { } line)
        {
            if (StartTimesLine().Match(line) is { Success: true } times)
            {
                if (startTimes is not null)
                {
                    throw new FormatException("@st line has no following sample line");
                }

                startTimes = (SeriesNotation.Parse(times.Groups["metric"].Value).Labels, SeriesNotation.ParseStartTimes(
                    times.Groups["times"].Value));
                continue;
            }

            var description = SeriesNotation.Parse(line);
            series[description.Labels] = Load(description, step, startTimes);
            startTimes = null;
        }

        if (startTimes is not null)
        {
            throw new FormatException("@st line has no following sample line");
        }

        var native = match.Groups["nhcb"].Success ? CustomBucketConversion.Convert(series.Values) : [];
        return new LoadCommand(start, [.. series.Values, .. native]);
    }

    static ScriptSeries Load(SeriesDescription description, long step, (Labels Labels, IReadOnlyList<long?> Offsets)? startTimes)
    {
        if (startTimes is { } given)
        {
            if (given.Labels != description.Labels)
            {
                throw new FormatException("@st metric does not match the following sample line metric");
            }

            if (given.Offsets.Count != description.Values.Count)
            {
                throw new FormatException($"@st line has {given.Offsets.Count} values but sample line has {description.Values.Count}");
            }
        }

        var samples = new List<ScriptSample>();
        for (var i = 0; i < description.Values.Count; i++)
        {
            var (value, timestamp) = (description.Values[i], i * step);
            if (!value.Omitted)
            {
                samples.Add(new ScriptSample(timestamp, value.Value, value.Histogram, timestamp + startTimes?.Offsets[i] ?? 0));
            }
        }

        return new ScriptSeries(description.Labels, samples);
    }

    EvalCommand ReadEval()
    {
        var command = ReadEvalLine();
        var position = 0;
        while (NextLine() is { } line)
        {
            if (OldFailure().Match(line) is { Success: true } failure && command.Expects(ExpectationKind.Fail))
            {
                var text = failure.Groups["text"].Value.Trim();
                command.Expectations.RemoveAll(e => e.Kind == ExpectationKind.Fail);
                command.Expectations.Add(failure.Groups["regexp"].Success
                    ? new Expectation(ExpectationKind.Fail, null, Pattern(text))
                    : new Expectation(ExpectationKind.Fail, text, null));
                break;
            }

            if (line.StartsWith("expect range vector", StringComparison.Ordinal))
            {
                ReadRangeVector(command, line);
            }
            else if (line.StartsWith("expect string", StringComparison.Ordinal))
            {
                command.Text = StringLiteral(line["expect string".Length..].Trim());
                command.InstantOnly = true;
            }
            else if (line.Split(' ')[0] == "expect")
            {
                command.Expectations.Add(ReadExpectation(line));
                CheckExpectations(command);
            }
            else if (TryParseNumber(line, out var scalar))
            {
                command.Scalar = scalar;
                break;
            }
            else
            {
                var description = SeriesNotation.Parse(line);
                if (description.Values.Count > 1 && !command.IsRange && command.StepMs == 0)
                {
                    throw new FormatException("expecting multiple values in instant evaluation not allowed. "
                        + "consider using 'expect range vector' directive to enable a range vector result for an instant query");
                }

                command.Series[description.Labels] = new ExpectedSeries(++position, description.Labels, description.Values);
            }
        }

        return command;
    }

    EvalCommand ReadEvalLine()
    {
        var instant = EvalInstantLine().Match(_lines[_at]);
        var range = EvalRangeLine().Match(_lines[_at]);
        if (!instant.Success && !range.Success)
        {
            throw new FormatException(
                "invalid evaluation command. Must be either 'eval[_fail|_warn|_ordered] instant [at <offset:duration>] <query>' "
                + "or 'eval[_fail|_warn] range from <from> to <to> step <step> <query>'");
        }

        var match = instant.Success ? instant : range;
        var command = new EvalCommand(_at + 1, match.Groups["query"].Value, !instant.Success);
        if (instant.Success)
        {
            command.TimeMs = Duration.ParseMilliseconds(instant.Groups["at"].Value);
        }
        else
        {
            SetRange(command, range);
        }

        ExpectationKind? kind = match.Groups["kind"].Value switch
        {
            "ordered" => ExpectationKind.Ordered,
            "fail" => ExpectationKind.Fail,
            "warn" => ExpectationKind.Warn,
            "info" => ExpectationKind.Info,
            _ => null,
        };
        if (kind is not null)
        {
            command.Expectations.Add(new Expectation(kind.Value, null, null));
        }

        return command;
    }

    static void ReadRangeVector(EvalCommand command, string line)
    {
        var match = RangeVectorLine().Match(line);
        if (!match.Success)
        {
            throw new FormatException($"invalid range vector definition {GoText.Quote(line)}");
        }

        SetRange(command, match);
        command.TimeMs = command.EndMs;
        command.InstantOnly = true;
    }

    static void SetRange(EvalCommand command, Match match)
    {
        command.StartMs = Duration.ParseMilliseconds(match.Groups["from"].Value);
        command.EndMs = Duration.ParseMilliseconds(match.Groups["to"].Value);
        command.StepMs = Duration.ParseMilliseconds(match.Groups["step"].Value);
        if (command.EndMs < command.StartMs)
        {
            throw new FormatException("invalid test definition, end timestamp is before start timestamp");
        }
    }

    static Expectation ReadExpectation(string line)
    {
        var match = ExpectLine().Match(line);
        if (!match.Success)
        {
            throw new FormatException("invalid expect statement, must match `expect <type> <match_type>: <string>` format");
        }

        var kind = match.Groups["kind"].Value switch
        {
            "ordered" => ExpectationKind.Ordered,
            "fail" => ExpectationKind.Fail,
            "warn" => ExpectationKind.Warn,
            "no_warn" => ExpectationKind.NoWarn,
            "info" => ExpectationKind.Info,
            _ => ExpectationKind.NoInfo,
        };
        var text = match.Groups["text"].Value.Trim();
        return match.Groups["how"].Value switch
        {
            "msg" => new Expectation(kind, text, null),
            "regex" => new Expectation(kind, null, Pattern(text)),
            _ => new Expectation(kind, null, null),
        };
    }

    static void CheckExpectations(EvalCommand command)
    {
        foreach (var (one, other, names) in new[]
        {
            (ExpectationKind.Info, ExpectationKind.NoInfo, "info and no_info"),
                (ExpectationKind.Warn, ExpectationKind.NoWarn, "warn and no_warn"),
        })
        {
            if (command.Expects(one) && command.Expects(other))
            {
                throw new FormatException($"invalid expect lines, {names} cannot be used together");
            }
        }

        if (command.Expectations.Count(e => e.Kind == ExpectationKind.Fail) > 1)
        {
            throw new FormatException("invalid expect lines, multiple expect fail lines are not allowed");
        }
    }

    static Regex Pattern(string pattern)
    {
        try
        {
            return new Regex(pattern, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
        }
        catch (Exception e) when (e is ArgumentException or NotSupportedException)
        {
            throw new FormatException($"invalid regex {pattern}: {e.Message}", e);
        }
    }

    static string StringLiteral(string literal)
    {
        var token = new Lexer(Encoding.UTF8.GetBytes(literal)).Next();
        return token.Kind == TokenKind.String && token.Text == literal
            ? Encoding.UTF8.GetString(Literals.Unquote(literal))
            : throw new FormatException("expected string literal not valid - check that the string is correctly quoted");
    }

    static bool TryParseNumber(string line, out double value)
    {
        value = 0;
        var digits = line.TrimStart('+', '-');
        if (line.Length - digits.Length > 1 || digits.Length == 0 || digits.Contains(' ', StringComparison.Ordinal))
        {
            return false;
        }

        value = Literals.ParseNumber(digits, out var error) * (line[0] == '-' ? -1 : 1);
        return error is null;
    }

    [GeneratedRegex(@"^load(_(?<nhcb>with_nhcb))?\s+(?<step>.+?)$", RegexOptions.ExplicitCapture)]
    private static partial Regex LoadLine();

    [GeneratedRegex(@"^(?<metric>\S*)@st[ \t]+(?<times>.*)$", RegexOptions.ExplicitCapture)]
    private static partial Regex StartTimesLine();

    [GeneratedRegex(@"^eval(_(?<kind>fail|warn|ordered|info))?\s+instant\s+(at\s+(?<at>.+?))?\s+(?<query>.+)$", RegexOptions.ExplicitCapture)]
    private static partial Regex EvalInstantLine();

    [GeneratedRegex(
        @"^eval(_(?<kind>fail|warn|info))?\s+range\s+from\s+(?<from>.+)\s+to\s+(?<to>.+)\s+step\s+(?<step>.+?)\s+(?<query>.+)$",
        RegexOptions.ExplicitCapture)]
    private static partial Regex EvalRangeLine();

    [GeneratedRegex(@"^expect range vector\s+from\s+(?<from>.+)\s+to\s+(?<to>.+)\s+step\s+(?<step>.+)$", RegexOptions.ExplicitCapture)]
    private static partial Regex RangeVectorLine();

    [GeneratedRegex(@"^expect\s+(?<kind>ordered|fail|warn|no_warn|info|no_info)(\s+(?<how>regex|msg):(?<text>.+))?$", RegexOptions.ExplicitCapture)]
    private static partial Regex ExpectLine();

    [GeneratedRegex(@"^expected_fail_(message|(?<regexp>regexp))(?<text>.*)$", RegexOptions.ExplicitCapture)]
    private static partial Regex OldFailure();
}
