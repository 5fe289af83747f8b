namespace Observe.Tsdb.Regex;

enum Re2Op : byte
{
    /// <summary>One code point of the set Argument, then Next.</summary>
    Class,

    /// <summary>Next, or else Argument.</summary>
    Split,

    /// <summary>The place in the text goes to the slot Argument, then Next.</summary>
    Save,

    /// <summary>Next where the assertion Argument holds.</summary>
    Assert,

    /// <summary>The whole text matches, whatever is left of it.</summary>
    MatchRest,

    /// <summary>The text matches if it ends here.</summary>
    MatchEnd,
}

readonly record struct Re2Instruction(Re2Op Op, int Next, int Argument);

/// <summary>A pattern as a program over code points: an automaton with priorities, as Thompson and Pike run them.</summary>
/// <param name="Start">Where it begins.</param>
/// <param name="Captures">Groups whose places are saved, the whole as group 0; 0 when it only says whether it matches.</param>
sealed record Re2Program(Re2Instruction[] Instructions, Re2RuneSet[] Sets, int Start, int Captures)
{
    /// <summary>
    /// More instructions than the pattern's text is long and these are refused: a long alternation is what it is, but no repetition shall
    /// take megabytes.
    /// </summary>
    public const int MaxRepeated = 20_000;

    /// <param name="capturing">False: the language alone counts, so that groups are left out.</param>
    /// <exception cref="FormatException">It is too large.</exception>
    public static Re2Program Compile(Re2Pattern pattern, bool capturing) =>
        new Re2Compiler(capturing, pattern.Length + MaxRepeated).Compile(pattern.Root, capturing ? pattern.Groups.Count : 0);

    public bool Takes(Re2Instruction instruction, int rune) => instruction.Op == Re2Op.Class && Sets[instruction.Argument].Contains(rune);
}

/// <summary>Emits instructions from the end of a pattern to its start, so that each knows where it goes on.</summary>
sealed class Re2Compiler(bool capturing, int limit)
{
    readonly List<Re2Instruction> _instructions = [];
    readonly List<Re2RuneSet> _sets = [];
    readonly Dictionary<Re2RuneSet, int> _indexes = [];
    int _end;

    public Re2Program Compile(Re2Node root, int captures)
    {
        _end = Emit(Re2Op.MatchEnd, 0, 0);
        var start = capturing ? Emit(Re2Op.Save, CompileNode(root, Emit(Re2Op.Save, _end, 1)), 0) : CompileNode(root, _end);
        return new Re2Program([.. _instructions], [.. _sets], start, captures);
    }

    int Emit(Re2Op op, int next, int argument)
    {
        // Groups add two instructions each time they are repeated: what fits without them shall fit with them.
        if (_instructions.Count == (capturing ? 3 : 1) * limit)
        {
            throw new FormatException("error parsing regexp: expression too large");
        }

        _instructions.Add(new Re2Instruction(op, next, argument));
        return _instructions.Count - 1;
    }

    int CompileNode(Re2Node node, int next)
    {
        switch (node)
        {
            case Re2Class { Runes: var runes }:
                if (!_indexes.TryGetValue(runes, out var index))
                {
                    index = _sets.Count;
                    _sets.Add(runes);
                    _indexes[runes] = index;
                }

                return Emit(Re2Op.Class, next, index);
            case Re2Assert { Kind: var kind }:
                return Emit(Re2Op.Assert, next, (int)kind);
            case Re2Concat { Parts: var parts }:
                for (var i = parts.Count - 1; i >= 0; i--)
                {
                    next = CompileNode(parts[i], next);
                }

                return next;
            case Re2Alternate { Choices: var choices }:
                var start = CompileNode(choices[^1], next);
                for (var i = choices.Count - 2; i >= 0; i--)
                {
                    start = Emit(Re2Op.Split, CompileNode(choices[i], next), start);
                }

                return start;
            case Re2Capture { Inner: var inner, Index: var group }:
                return capturing
                    ? Emit(Re2Op.Save, CompileNode(inner, Emit(Re2Op.Save, next, (2 * group) + 1)), 2 * group)
                    : CompileNode(inner, next);
            default:
                return CompileRepeat((Re2Repeat)node, next);
        }
    }

    int CompileRepeat(Re2Repeat repeat, int next)
    {
        var (inner, min, max, greedy) = (repeat.Inner, repeat.Min, repeat.Max, repeat.Greedy);
        if (!capturing && next == _end && max < 0 && inner is Re2Class { Runes.IsAll: true })
        {
            next = Emit(Re2Op.MatchRest, 0, 0);
        }
        else if (max < 0)
        {
            next = min == 0 ? CompileStar(inner, greedy, next) : CompilePlus(inner, greedy, next);
            min = Math.Max(min - 1, 0);
        }
        else
        {
            // x{2,4} is xx(x(x)?)?
            var end = next;
            for (var i = max; i > min; i--)
            {
                next = Choose(greedy, CompileNode(inner, next), end);
            }
        }

        for (var i = 0; i < min; i++)
        {
            next = CompileNode(inner, next);
        }

        return next;
    }

    int CompileStar(Re2Node inner, bool greedy, int next)
    {
        // (x+)? where x may be empty, so that an empty round is no choice before the others.
        if (inner.IsNullable)
        {
            return Choose(greedy, CompilePlus(inner, greedy, next), next);
        }

        var loop = Emit(Re2Op.Split, 0, 0);
        SetChoice(loop, greedy, CompileNode(inner, loop), next);
        return loop;
    }

    int CompilePlus(Re2Node inner, bool greedy, int next)
    {
        var loop = Emit(Re2Op.Split, 0, 0);
        var body = CompileNode(inner, loop);
        SetChoice(loop, greedy, body, next);
        return body;
    }

    int Choose(bool greedy, int body, int next)
    {
        var split = Emit(Re2Op.Split, 0, 0);
        SetChoice(split, greedy, body, next);
        return split;
    }

    void SetChoice(int split, bool greedy, int body, int next) =>
        _instructions[split] = greedy ? new Re2Instruction(Re2Op.Split, body, next) : new Re2Instruction(Re2Op.Split, next, body);
}
