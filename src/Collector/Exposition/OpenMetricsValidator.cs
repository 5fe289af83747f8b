using System.Text;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Collector.Exposition;

/// <summary>Checks an exposition strictly against the OpenMetrics 1.0 specification, and goes on after a fault.</summary>
/// <remarks>Format: prometheus.io/docs/specs/om/open_metrics_spec.</remarks>
sealed class OpenMetricsValidator
{
    static readonly UTF8Encoding s_strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    readonly List<ExpositionFault> _faults = [];
    readonly HashSet<string> _names = [];
    OpenMetricsFamily? _family;
    int _familyLine;

    /// <summary>All faults, in order of lines.</summary>
    public static IReadOnlyList<ExpositionFault> Validate(ReadOnlySpan<byte> body)
    {
        var validator = new OpenMetricsValidator();
        validator.Read(body);
        return validator._faults;
    }

    void Read(ReadOnlySpan<byte> body)
    {
        var (at, line, eof) = (0, 0, false);
        while (at < body.Length)
        {
            line++;
            var length = body[at..].IndexOf((byte)'\n');
            var text = length < 0 ? body[at..] : body.Slice(at, length);
            at = length < 0 ? body.Length : at + length + 1;
            if (eof)
            {
                Fault(line, "there is text after # EOF");
                break;
            }

            eof = text.SequenceEqual("# EOF"u8);
            if (!eof)
            {
                ReadLine(line, text);
            }
        }

        CloseFamily();
        if (!eof)
        {
            Fault(Math.Max(line, 1), "the exposition does not end with # EOF");
        }
    }

    void ReadLine(int number, ReadOnlySpan<byte> bytes)
    {
        try
        {
            var line = s_strict.GetString(bytes);
            if (line.Length == 0)
            {
                throw new FormatException("the line is blank");
            }

            if (line[0] == '#')
            {
                ReadMetadata(number, line);
            }
            else
            {
                ReadSample(number, OpenMetricsLine.Parse(line));
            }
        }
        catch (FormatException e)
        {
            Fault(number, e.Message);
        }
        catch (DecoderFallbackException)
        {
            Fault(number, "the line is not valid UTF-8");
        }
    }

    void ReadMetadata(int number, string line)
    {
        var parts = line.Split(' ', 4);
        if (parts.Length < 4 || parts[0] != "#" || parts[1] is not ("HELP" or "TYPE" or "UNIT"))
        {
            throw new FormatException("only # HELP, # TYPE and # UNIT with a name and a text, and # EOF, start with #");
        }

        var (word, name, text) = (parts[1], parts[2], parts[3]);
        if (name.Length == 0 || OpenMetricsLine.MetricNameLength(name) != name.Length)
        {
            throw new FormatException($"{GoText.Quote(name)} is no metric name");
        }

        if (_family?.Name != name)
        {
            OpenFamily(number, name);
        }
        else if (_family.HasSamples)
        {
            throw new FormatException($"{word} of {name} comes after its samples");
        }

        var family = _family!;
        if (word switch { "HELP" => family.HasHelp, "TYPE" => family.Type is not null, _ => family.Unit is not null })
        {
            throw new FormatException($"{word} of {name} is there twice");
        }

        switch (word)
        {
            case "HELP":
                family.HasHelp = true;
                break;
            case "TYPE":
                family.Type = OpenMetricsParser.TypeOf(Encoding.UTF8.GetBytes(text))
                    ?? throw new FormatException($"{GoText.Quote(text)} is no type");
                break;
            default:
                family.Unit = text.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or ':')
                    ? text
                    : throw new FormatException($"{GoText.Quote(text)} is no unit");
                break;
        }
    }

    void ReadSample(int number, OpenMetricsLine sample)
    {
        if (_family is null || !_family.Holds(sample.Name))
        {
            OpenFamily(number, sample.Name);
            _family!.Type = MetricType.Unknown;
        }

        _family.Add(sample);
    }

    void OpenFamily(int number, string name)
    {
        CloseFamily();
        (_family, _familyLine) = (new OpenMetricsFamily(name), number);
    }

    void CloseFamily()
    {
        if (_family is not { } family)
        {
            return;
        }

        _family = null;
        foreach (var name in family.Names)
        {
            if (!_names.Add(name))
            {
                Fault(_familyLine, $"{family.Name}: the name {name} is taken by a metric family above");
                break;
            }
        }

        try
        {
            family.Close();
        }
        catch (FormatException e)
        {
            Fault(_familyLine, e.Message);
        }
    }

    void Fault(int line, string what) => _faults.Add(new ExpositionFault(line, what));
}
