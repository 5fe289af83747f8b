using System.Globalization;
using System.Text;
using Observe.Query.Promql.Parsing;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;

namespace Observe.Query.Promql.Scripts;

/// <summary>One place in a sequence of values.</summary>
/// <param name="Omitted">No sample here.</param>
/// <param name="HasHint">The histogram's counter reset hint was written, so that it is compared too.</param>
public readonly record struct SequenceValue(double Value, Histogram? Histogram = null, bool Omitted = false, bool HasHint = false)
{
    public override string ToString() => Omitted ? "_" : Histogram is null ? GoText.FloatG(Value) : Histogram.ToTestExpression();
}

/// <summary>A series with its values at equal distances of time, the first at 0.</summary>
public sealed record SeriesDescription(Labels Labels, IReadOnlyList<SequenceValue> Values);

/// <summary>
/// The notation of Prometheus's test scripts and rule tests: <c>metric{a="b"} 1 2+3x5 _ _x3 stale {{schema:1 count:3 buckets:[1 2]}}</c>.
/// </summary>
/// <remarks>Specified upstream in docs/configuration/unit_testing_rules.md and promql/promqltest/README.md.</remarks>
public static class SeriesNotation
{
    /// <summary>A line may describe no more values than this.</summary>
    public const int MaxValues = 1_000_000;

    /// <exception cref="FormatException">The line is no series; the message says where (bytes from 1) and what is wrong.</exception>
    public static SeriesDescription Parse(string line)
    {
        var reader = new NotationReader(line);
        var labels = ParseMetric(reader);
        var values = new List<SequenceValue>();
        while (!reader.AtEnd)
        {
            if (!reader.SkipSpace())
            {
                throw reader.Fault("expected a space before a value");
            }

            if (!reader.AtEnd)
            {
                ParseItem(reader, values);
            }
        }

        return new SeriesDescription(labels, values);
    }

    /// <summary>
    /// Offsets of start timestamps from their samples, in milliseconds: durations with a sign, repeated and stepped as values are
    /// (<c>_ -30s-1mx2 0s</c>); null where a sample has none.
    /// </summary>
    /// <exception cref="FormatException"/>
    public static IReadOnlyList<long?> ParseStartTimes(string sequence)
    {
        var reader = new NotationReader(sequence);
        var offsets = new List<long?>();
        for (reader.SkipSpace(); !reader.AtEnd; reader.SkipSpace())
        {
            if (reader.TryTake('_'))
            {
                Repeat(reader.TryTake('x') ? reader.TakeCount() : 1, offsets, _ => null);
                continue;
            }

            var offset = reader.TakeDuration();
            var step = reader.Next is '+' or '-' ? reader.TakeDuration() : 0;
            var count = reader.TryTake('x') ? reader.TakeCount() : 0;
            Repeat(count + 1, offsets, i => offset + (i * step));
        }

        return offsets;
    }

    static Labels ParseMetric(NotationReader reader)
    {
        var name = reader.TakeName(colons: true);
        var labels = new List<(string, string)>();
        if (name.Length > 0)
        {
            labels.Add((Labels.MetricName, name));
        }

        if (reader.TryTake('{'))
        {
            reader.SkipSpace();
            while (!reader.TryTake('}'))
            {
                labels.Add(ParseLabel(reader));
                reader.SkipSpace();
                if (!reader.TryTake(','))
                {
                    reader.Expect('}');
                    break;
                }

                reader.SkipSpace();
            }
        }

        try
        {
            return Labels.Of(labels.ToArray());
        }
        catch (ArgumentException e)
        {
            throw reader.Fault(e.Message);
        }
    }

    static (string Name, string Value) ParseLabel(NotationReader reader)
    {
        var quoted = reader.Next is '"' or '\'' or '`';
        var name = quoted ? reader.TakeString() : reader.TakeName(colons: false);
        reader.SkipSpace();
        if (quoted && reader.Next != '=')
        {
            return (Labels.MetricName, name);
        }

        if (name.Length == 0)
        {
            throw reader.Fault("expected a label name or \"}\"");
        }

        reader.Expect('=');
        reader.SkipSpace();
        return (name, reader.TakeString());
    }

    static void ParseItem(NotationReader reader, List<SequenceValue> values)
    {
        if (reader.TryTake('_'))
        {
            Repeat(reader.TryTake('x') ? reader.TakeCount() : 1, values, _ => new SequenceValue(0, Omitted: true));
        }
        else if (reader.TryTake("stale"))
        {
            values.Add(new SequenceValue(StaleMarker.Value));
        }
        else if (reader.Next == '{')
        {
            ParseHistograms(reader, values);
        }
        else
        {
            var value = reader.TakeNumber();
            var step = reader.Next is '+' or '-' ? reader.TakeNumber() : (double?)null;
            if (step is not null && reader.Next != 'x')
            {
                throw reader.Fault("expected \"x\" and a number of repetitions");
            }

            Repeat(reader.TryTake('x') ? reader.TakeCount() + 1 : 1, values, i => new SequenceValue(i == 0 ? value : value += step ?? 0));
        }
    }

    static void ParseHistograms(NotationReader reader, List<SequenceValue> values)
    {
        var (current, hasHint) = HistogramNotation.Parse(reader);
        if (reader.Next is not ('+' or '-'))
        {
            Repeat(reader.TryTake('x') ? reader.TakeCount() + 1 : 1, values, _ => new SequenceValue(0, current, HasHint: hasHint));
            return;
        }

        var subtract = reader.TryTake('-') || !reader.TryTake('+');
        (var step, hasHint) = HistogramNotation.Parse(reader);
        reader.Expect('x');
        if (current.Schema > step.Schema)
        {
            throw reader.Fault(string.Create(
                CultureInfo.InvariantCulture, $"error combining histograms: cannot merge from schema {step.Schema} to {current.Schema}"));
        }

        Repeat(reader.TakeCount() + 1, values, i =>
        {
            if (i > 0)
            {
                current = current.Copy();
                var outcome = subtract ? current.Sub(step) : current.Add(step);
                if (outcome.HasFlag(HistogramOutcome.IncompatibleSchemas))
                {
                    throw reader.Fault("histograms with custom buckets and without can't be combined");
                }
            }

            return new SequenceValue(0, current, HasHint: hasHint);
        });
    }

    static void Repeat<T>(long count, List<T> values, Func<long, T> value)
    {
        if (count > MaxValues - values.Count)
        {
            throw new FormatException($"a series has more than {MaxValues} values");
        }

        for (var i = 0L; i < count; i++)
        {
            values.Add(value(i));
        }
    }
}

/// <summary>Steps through one line of a script.</summary>
sealed class NotationReader(string line)
{
    int _at;

    public bool AtEnd => _at == line.Length;

    public char Next => _at < line.Length ? line[_at] : '\0';

    public FormatException Fault(string message) =>
        new(string.Create(CultureInfo.InvariantCulture, $"column {Encoding.UTF8.GetByteCount(line.AsSpan(0, _at)) + 1}: {message}"));

    /// <summary>True when there was some.</summary>
    public bool SkipSpace()
    {
        var start = _at;
        while (Next is ' ' or '\t')
        {
            _at++;
        }

        return _at > start;
    }

    public bool TryTake(char c)
    {
        if (Next != c || AtEnd)
        {
            return false;
        }

        _at++;
        return true;
    }

    /// <summary>Takes a whole word.</summary>
    public bool TryTake(string word)
    {
        var end = _at + word.Length;
        if (!line.AsSpan(_at).StartsWith(word) || (end < line.Length && IsWord(line[end])))
        {
            return false;
        }

        _at = end;
        return true;
    }

    public void Expect(char c)
    {
        if (!TryTake(c))
        {
            throw Fault(AtEnd ? $"unexpected end, expected \"{c}\"" : $"unexpected {GoText.QuoteRune(Next)}, expected \"{c}\"");
        }
    }

    public string TakeName(bool colons)
    {
        var start = _at;
        while (IsWord(Next) || (colons && Next == ':'))
        {
            _at++;
        }

        return line[start.._at];
    }

    /// <summary>A quoted string, unquoted.</summary>
    public string TakeString()
    {
        var lexed = new Lexer(Encoding.UTF8.GetBytes(line[_at..])).Next();
        if (lexed.Kind != TokenKind.String)
        {
            throw Fault(lexed.Kind == TokenKind.Error ? lexed.Text : "expected a string");
        }

        _at += lexed.Text.Length;
        return Encoding.UTF8.GetString(Literals.Unquote(lexed.Text));
    }

    /// <summary>A decimal number, Inf or NaN, with a sign or without.</summary>
    public double TakeNumber()
    {
        var negative = Next == '-';
        _at += Next is '+' or '-' ? 1 : 0;
        var start = _at;
        if (char.IsAsciiLetter(Next))
        {
            TakeName(colons: false);
        }
        else
        {
            while (char.IsAsciiDigit(Next) || Next is '.' or '_' or 'e' or 'E' || (Next is '+' or '-' && line[_at - 1] is 'e' or 'E'))
            {
                _at++;
            }
        }

        var text = line[start.._at];
        string? error = "empty";
        var value = text.Length == 0 ? 0 : Literals.ParseNumber(text, out error);
        if (error is not null)
        {
            _at = start;
            throw Fault($"expected a number, found {GoText.Quote(line[start..].Split(' ')[0])}");
        }

        return negative ? -value : value;
    }

    public long TakeInteger()
    {
        var sign = TryTake('-') ? -1 : 1;
        return sign * TakeCount();
    }

    /// <summary>Repetitions, bounded by what a series may have.</summary>
    public long TakeCount()
    {
        var start = _at;
        while (char.IsAsciiDigit(Next))
        {
            _at++;
        }

        if (!int.TryParse(line.AsSpan(start, _at - start), NumberStyles.None, CultureInfo.InvariantCulture, out var count))
        {
            throw Fault("expected an integer");
        }

        return count;
    }

    /// <summary>Milliseconds of a duration with or without a sign.</summary>
    public long TakeDuration()
    {
        var negative = Next == '-';
        _at += Next is '+' or '-' ? 1 : 0;
        var start = _at;
        while (char.IsAsciiDigit(Next) || (char.IsAsciiLetter(Next) && Next != 'x'))
        {
            _at++;
        }

        return Duration.TryParse(line.AsSpan(start, _at - start), out var milliseconds, out var error)
            ? negative ? -milliseconds : milliseconds
            : throw Fault(error);
    }

    static bool IsWord(char c) => char.IsAsciiLetterOrDigit(c) || c == '_';
}
