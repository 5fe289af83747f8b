using System.Text;

namespace Observe.Tsdb.Regex;

/// <summary>
/// Reads patterns of RE2's language as Go's regexp/syntax does with its Perl flags, errors included. It keeps its own stack, so
/// nesting costs no recursion; like Go it refuses trees of more than 1 000 levels and repetitions that multiply to more than 1 000.
/// </summary>
/// <remarks>The language: https://github.com/google/re2/wiki/Syntax.</remarks>
sealed partial class Re2Parser
{
    const int MaxHeight = 1000;
    const int MaxRepeat = 1000;

    [Flags]
    enum Mode : byte
    {
        None = 0,
        FoldCase = 1,
        DotMatchesNewline = 2,
        MultiLine = 4,
        Ungreedy = 8,
    }

    /// <summary>An open parenthesis: what was read before it, and how to go on after it.</summary>
    sealed class Group(int index, Mode outer)
    {
        /// <summary>0: it captures nothing.</summary>
        public int Index { get; } = index;

        /// <summary>The mode that holds again after it.</summary>
        public Mode Outer { get; } = outer;

        public List<Re2Node> Choices { get; } = [];

        public List<Re2Node> Parts { get; set; } = [];
    }

    readonly string _pattern;
    readonly Stack<Group> _groups = new();
    readonly List<string?> _names = [null];
    Mode _mode = Mode.DotMatchesNewline;
    int _at;

    Re2Parser(string pattern) => _pattern = pattern;

    /// <exception cref="FormatException">In Go's words.</exception>
    public static Re2Pattern Parse(string pattern) => new Re2Parser(pattern).Parse();

    bool AtEnd => _at == _pattern.Length;

    char Next => _at < _pattern.Length ? _pattern[_at] : '\0';

    List<Re2Node> Parts => _groups.Peek().Parts;

    Re2Pattern Parse()
    {
        _groups.Push(new Group(0, _mode));
        var repeat = -1;
        while (!AtEnd)
        {
            var lastRepeat = repeat;
            repeat = -1;
            switch (Next)
            {
                case '(':
                    Open();
                    break;
                case ')':
                    Close();
                    break;
                case '|':
                    _at++;
                    EndChoice(_groups.Peek());
                    break;
                case '^':
                    _at++;
                    Add(new Re2Assert(_mode.HasFlag(Mode.MultiLine) ? Re2Assertion.LineStart : Re2Assertion.TextStart));
                    break;
                case '$':
                    _at++;
                    Add(new Re2Assert(_mode.HasFlag(Mode.MultiLine) ? Re2Assertion.LineEnd : Re2Assertion.TextEnd));
                    break;
                case '.':
                    _at++;
                    Add(new Re2Class(_mode.HasFlag(Mode.DotMatchesNewline) ? Re2RuneSet.All : Re2RuneSet.AllButNewline));
                    break;
                case '[':
                    Add(new Re2Class(ParseClass()));
                    break;
                case '*' or '+' or '?':
                    repeat = _at;
                    var op = _pattern[_at++];
                    Repeat(repeat, lastRepeat, op == '+' ? 1 : 0, op == '?' ? 1 : -1);
                    break;
                case '{' when TryParseCounts(out var min, out var max, out var end):
                    repeat = _at;
                    _at = end;
                    if (min is < 0 or > MaxRepeat || max > MaxRepeat || (max >= 0 && min > max))
                    {
                        throw Fault("invalid repeat count", _pattern[repeat.._at]);
                    }

                    Repeat(repeat, lastRepeat, min, max);
                    break;
                case '\\':
                    ParseBackslash();
                    break;
                default:
                    AddLiteral(TakeRune());
                    break;
            }
        }

        if (_groups.Count > 1)
        {
            throw Fault("missing closing )", _pattern);
        }

        return new Re2Pattern(Finish(_groups.Pop()), _names, _pattern.Length);
    }

    void Open()
    {
        if (_at + 1 < _pattern.Length && _pattern[_at + 1] == '?')
        {
            ParsePerlGroup();
            return;
        }

        _at++;
        _names.Add(null);
        _groups.Push(new Group(_names.Count - 1, _mode));
    }

    void ParsePerlGroup()
    {
        var start = _at;
        var rest = _pattern.AsSpan(start);
        var nameAt = rest.Length > 4 && rest.StartsWith("(?P<") ? 4 : rest.Length > 3 && rest.StartsWith("(?<") ? 3 : 0;
        if (nameAt > 0)
        {
            var end = rest.IndexOf('>');
            if (end < 0)
            {
                throw Fault("invalid named capture", rest.ToString());
            }

            var name = rest[nameAt..end].ToString();
            if (name.Length == 0 || !name.All(c => char.IsAsciiLetterOrDigit(c) || c == '_'))
            {
                throw Fault("invalid named capture", rest[..(end + 1)].ToString());
            }

            _at += end + 1;
            _names.Add(name);
            _groups.Push(new Group(_names.Count - 1, _mode));
            return;
        }

        _at += 2;
        var (mode, set, sawFlag) = (_mode, true, false);
        while (!AtEnd)
        {
            var c = TakeRune();
            Mode? flag = c switch
            {
                'i' => Mode.FoldCase,
                'm' => Mode.MultiLine,
                's' => Mode.DotMatchesNewline,
                'U' => Mode.Ungreedy,
                _ => null,
            };
            if (flag is not null)
            {
                mode = set ? mode | flag.Value : mode & ~flag.Value;
                sawFlag = true;
            }
            else if (c == '-' && set)
            {
                (set, sawFlag) = (false, false);
            }
            else if (c is ':' or ')' && (set || sawFlag))
            {
                if (c == ':')
                {
                    _groups.Push(new Group(0, _mode));
                }

                _mode = mode;
                return;
            }
            else
            {
                break;
            }
        }

        throw Fault("invalid or unsupported Perl syntax", _pattern[start.._at]);
    }

    void Close()
    {
        if (_groups.Count == 1)
        {
            throw Fault("unexpected )", _pattern);
        }

        _at++;
        var group = _groups.Pop();
        var inner = Finish(group);
        _mode = group.Outer;
        Add(group.Index == 0 ? inner : new Re2Capture(inner, group.Index));
    }

    static void EndChoice(Group group)
    {
        group.Choices.Add(group.Parts is [var only] ? only : new Re2Concat(group.Parts));
        group.Parts = [];
    }

    Re2Node Finish(Group group)
    {
        EndChoice(group);
        return Checked(group.Choices is [var only] ? only : new Re2Alternate(group.Choices));
    }

    void Add(Re2Node node) => Parts.Add(Checked(node));

    Re2Node Checked(Re2Node node) => node.Height <= MaxHeight ? node : throw Fault("expression nests too deeply", _pattern);

    void AddLiteral(int rune)
    {
        var set = Re2RuneSet.Of(rune);
        Add(new Re2Class(_mode.HasFlag(Mode.FoldCase) ? set.Fold() : set));
    }

    /// <param name="before">Where the operator starts; it has been taken.</param>
    /// <param name="lastRepeat">Where the operator right before it starts, -1 when there is none.</param>
    void Repeat(int before, int lastRepeat, int min, int max)
    {
        var greedy = !_mode.HasFlag(Mode.Ungreedy);
        if (Next == '?' && !AtEnd)
        {
            _at++;
            greedy = !greedy;
        }

        if (lastRepeat >= 0)
        {
            throw Fault("invalid nested repetition operator", _pattern[lastRepeat.._at]);
        }

        if (Parts.Count == 0)
        {
            throw Fault("missing argument to repetition operator", _pattern[before.._at]);
        }

        var repeat = new Re2Repeat(Parts[^1], min, max, greedy);
        if ((min >= 2 || max >= 2) && !RepeatsAtMost(repeat, MaxRepeat))
        {
            throw Fault("invalid repeat count", _pattern[before.._at]);
        }

        Parts[^1] = Checked(repeat);
    }

    static bool RepeatsAtMost(Re2Node node, int limit)
    {
        if (node is Re2Repeat { Min: var min, Max: var max } && !(min <= 1 && max is -1 or 1 && !(min == 1 && max == 1)))
        {
            var times = max < 0 ? min : max;
            if (max == 0)
            {
                return true;
            }

            if (times > limit)
            {
                return false;
            }

            limit /= Math.Max(times, 1);
        }

        return node switch
        {
            Re2Repeat repeat => RepeatsAtMost(repeat.Inner, limit),
            Re2Capture capture => RepeatsAtMost(capture.Inner, limit),
            Re2Concat concat => concat.Parts.All(p => RepeatsAtMost(p, limit)),
            Re2Alternate alternate => alternate.Choices.All(c => RepeatsAtMost(c, limit)),
            _ => true,
        };
    }

    /// <summary><c>{2}</c>, <c>{2,}</c>, <c>{2,3}</c>; what is none of them is text. Numbers that are too large come out as -1.</summary>
    bool TryParseCounts(out int min, out int max, out int end)
    {
        (max, end) = (0, _at + 1);
        if (!TryParseCount(ref end, out min))
        {
            return false;
        }

        max = min;
        if (end < _pattern.Length && _pattern[end] == ',')
        {
            end++;
            if (end < _pattern.Length && _pattern[end] == '}')
            {
                max = -1;
            }
            else if (!TryParseCount(ref end, out max))
            {
                return false;
            }
            else if (max < 0)
            {
                min = -1;
            }
        }

        return end < _pattern.Length && _pattern[end++] == '}';
    }

    bool TryParseCount(ref int at, out int count)
    {
        count = 0;
        var start = at;
        while (at < _pattern.Length && char.IsAsciiDigit(_pattern[at]))
        {
            count = count is < 0 or > 100_000_000 ? -1 : (count * 10) + _pattern[at] - '0';
            at++;
        }

        return at > start && !(_pattern[start] == '0' && at > start + 1);
    }

    void ParseBackslash()
    {
        switch (_at + 1 < _pattern.Length ? _pattern[_at + 1] : '\0')
        {
            case 'A':
                AddEscaped(Re2Assertion.TextStart);
                return;
            case 'z':
                AddEscaped(Re2Assertion.TextEnd);
                return;
            case 'b':
                AddEscaped(Re2Assertion.WordBoundary);
                return;
            case 'B':
                AddEscaped(Re2Assertion.NoWordBoundary);
                return;
            case 'C':
                throw Fault("invalid escape sequence", @"\C");
            case 'Q':
                var end = _pattern.IndexOf(@"\E", _at + 2, StringComparison.Ordinal);
                var stop = end < 0 ? _pattern.Length : end;
                _at += 2;
                while (_at < stop)
                {
                    AddLiteral(TakeRune());
                }

                _at = end < 0 ? stop : stop + 2;
                return;
        }

        if (TryParseSet() is { } set)
        {
            Add(new Re2Class(set));
        }
        else
        {
            AddLiteral(ParseEscape());
        }
    }

    void AddEscaped(Re2Assertion assertion)
    {
        _at += 2;
        Add(new Re2Assert(assertion));
    }

    int TakeRune()
    {
        if (Rune.DecodeFromUtf16(_pattern.AsSpan(_at), out var rune, out var length) != System.Buffers.OperationStatus.Done)
        {
            throw Fault("invalid UTF-8", _pattern[_at..]);
        }

        _at += length;
        return rune.Value;
    }

    static FormatException Fault(string message, string where) => new($"error parsing regexp: {message}: `{where}`");
}
