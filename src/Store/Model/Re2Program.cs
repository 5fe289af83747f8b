namespace Observe.Store.Model;

enum Re2Op : byte
{
    /// <summary>One byte from Low to High, then X.</summary>
    Byte,

    /// <summary>X, or else Y.</summary>
    Split,

    /// <summary>The byte position goes to slot Low, then X.</summary>
    Save,

    /// <summary>X where the assertion Low holds.</summary>
    Assert,

    /// <summary>The whole text matches, whatever is left of it.</summary>
    MatchRest,

    /// <summary>The text matches if it ends here.</summary>
    MatchEnd,
    Fail,
}

readonly record struct Re2Instruction(Re2Op Op, byte Low, byte High, int X, int Y);

/// <summary>A pattern as a program over bytes of UTF-8: an automaton with priorities, as Thompson and Pike run them.</summary>
/// <param name="Start">Where it begins.</param>
/// <param name="Captures">Slots: start and end of each group, group 0 the whole; 0 when it only says whether it matches.</param>
sealed record Re2Program(Re2Instruction[] Instructions, int Start, int Captures)
{
    /// <summary>More instructions than this are refused: no matcher shall cost more than some megabytes.</summary>
    public const int MaxInstructions = 50_000;

    /// <param name="capturing">False: the language alone counts, so that groups and greediness are left out and <c>.*</c> takes any bytes.</param>
    /// <exception cref="FormatException">It is too large.</exception>
    public static Re2Program Compile(Re2Pattern pattern, bool capturing)
    {
        var compiler = new Re2Compiler(capturing);
        return new Re2Program(compiler.Compile(pattern.Root, out var start), start, capturing ? pattern.Groups.Count : 0);
    }
}

/// <summary>Emits instructions from the end of a pattern to its start, so that each knows where it goes on.</summary>
sealed class Re2Compiler(bool capturing)
{
    readonly List<Re2Instruction> _instructions = [];
    int _end;

    public Re2Instruction[] Compile(Re2Node root, out int start)
    {
        _end = Emit(new Re2Instruction(Re2Op.MatchEnd, 0, 0, 0, 0));
        start = capturing ? EmitSave(0, Compile(root, EmitSave(1, _end))) : Compile(root, _end);
        return [.. _instructions];
    }

    int Emit(Re2Instruction instruction)
    {
        if (_instructions.Count == (capturing ? 16 : 1) * Re2Program.MaxInstructions)
        {
            throw new FormatException("error parsing regexp: expression too large");
        }

        _instructions.Add(instruction);
        return _instructions.Count - 1;
    }

    int EmitSave(int slot, int next) => Emit(new Re2Instruction(Re2Op.Save, 0, 0, next, slot));

    int EmitSplit(int first, int second) => Emit(new Re2Instruction(Re2Op.Split, 0, 0, first, second));

    int EmitByte(int low, int high, int next) => Emit(new Re2Instruction(Re2Op.Byte, (byte)low, (byte)high, next, 0));

    int Compile(Re2Node node, int next)
    {
        switch (node)
        {
            case Re2Class { Runes: var runes }:
                return CompileClass(runes, next);
            case Re2Assert { Kind: var kind }:
                return Emit(new Re2Instruction(Re2Op.Assert, (byte)kind, 0, next, 0));
            case Re2Concat { Parts: var parts }:
                for (var i = parts.Count - 1; i >= 0; i--)
                {
                    next = Compile(parts[i], next);
                }

                return next;
            case Re2Alternate { Choices: var choices }:
                var start = Compile(choices[^1], next);
                for (var i = choices.Count - 2; i >= 0; i--)
                {
                    start = EmitSplit(Compile(choices[i], next), start);
                }

                return start;
            case Re2Capture { Inner: var inner, Index: var index }:
                return capturing ? EmitSave(2 * index, Compile(inner, EmitSave((2 * index) + 1, next))) : Compile(inner, next);
            default:
                return CompileRepeat((Re2Repeat)node, next);
        }
    }

    int CompileRepeat(Re2Repeat repeat, int next)
    {
        var (inner, min, max) = (repeat.Inner, repeat.Min, repeat.Max);
        if (!capturing && inner is Re2Class { Runes.IsAll: true } && max < 0)
        {
            // What comes before and after takes whole code points, so what is left between them is whole as well.
            next = next == _end ? Emit(new Re2Instruction(Re2Op.MatchRest, 0, 0, 0, 0)) : CompileAnyBytes(next);
            max = min;
        }

        if (max < 0)
        {
            next = min == 0 ? CompileStar(inner, repeat.Greedy, next) : CompilePlus(inner, repeat.Greedy, next);
            min = Math.Max(min - 1, 0);
        }
        else
        {
            // x{2,4} is xx(x(x)?)?
            var end = next;
            for (var i = max; i > min; i--)
            {
                next = Choose(repeat.Greedy, Compile(inner, next), end);
            }
        }

        for (var i = 0; i < min; i++)
        {
            next = Compile(inner, next);
        }

        return next;
    }

    int CompileAnyBytes(int next)
    {
        var loop = EmitSplit(0, next);
        Patch(loop, EmitByte(0, 0xFF, loop), next, greedy: true);
        return loop;
    }

    int CompileStar(Re2Node inner, bool greedy, int next)
    {
        // (x+)? where x may be empty, so that an empty round is no choice before the others.
        if (inner.IsNullable)
        {
            return Choose(greedy, CompilePlus(inner, greedy, next), next);
        }

        var loop = EmitSplit(0, 0);
        Patch(loop, Compile(inner, loop), next, greedy);
        return loop;
    }

    int CompilePlus(Re2Node inner, bool greedy, int next)
    {
        var loop = EmitSplit(0, 0);
        var body = Compile(inner, loop);
        Patch(loop, body, next, greedy);
        return body;
    }

    int Choose(bool greedy, int body, int next) => greedy ? EmitSplit(body, next) : EmitSplit(next, body);

    void Patch(int split, int body, int next, bool greedy) =>
        _instructions[split] = new Re2Instruction(Re2Op.Split, 0, 0, greedy ? body : next, greedy ? next : body);

    /// <summary>The UTF-8 of a set: a choice among sequences of byte ranges, those of the same last bytes sharing them.</summary>
    int CompileClass(Re2RuneSet set, int next)
    {
        var tails = new Dictionary<(int, int, int), int>();
        var start = -1;
        foreach (var (low, high) in set.Ranges)
        {
            foreach (var (from, to, bytes) in s_lengths)
            {
                if (Math.Max(low, from) <= Math.Min(high, to))
                {
                    CompileRange(Math.Max(low, from), Math.Min(high, to), bytes, next, tails, ref start);
                }
            }
        }

        return start >= 0 ? start : Emit(new Re2Instruction(Re2Op.Fail, 0, 0, 0, 0));
    }

    /// <summary>Code points by the length of their UTF-8, surrogates left out.</summary>
    static readonly (int From, int To, int Bytes)[] s_lengths =
        [(0, 0x7F, 1), (0x80, 0x7FF, 2), (0x800, 0xD7FF, 3), (0xE000, 0xFFFF, 3), (0x10000, Re2RuneSet.MaxRune, 4)];

    void CompileRange(int low, int high, int bytes, int next, Dictionary<(int, int, int), int> tails, ref int start)
    {
        // Cut where a byte but the last would take two ranges: then all sequences between low and high are a product of ranges.
        for (var i = 1; i < bytes; i++)
        {
            var mask = (1 << (6 * i)) - 1;
            if ((low & ~mask) == (high & ~mask))
            {
                continue;
            }

            if ((low & mask) != 0)
            {
                CompileRange(low, low | mask, bytes, next, tails, ref start);
                CompileRange((low | mask) + 1, high, bytes, next, tails, ref start);
                return;
            }

            if ((high & mask) != mask)
            {
                CompileRange(low, (high & ~mask) - 1, bytes, next, tails, ref start);
                CompileRange(high & ~mask, high, bytes, next, tails, ref start);
                return;
            }
        }

        Span<byte> from = stackalloc byte[4], to = stackalloc byte[4];
        new System.Text.Rune(low).EncodeToUtf8(from);
        new System.Text.Rune(high).EncodeToUtf8(to);
        for (var i = bytes - 1; i > 0; i--)
        {
            var key = (from[i], to[i], next);
            if (!tails.TryGetValue(key, out var tail))
            {
                tail = EmitByte(from[i], to[i], next);
                tails[key] = tail;
            }

            next = tail;
        }

        var lead = EmitByte(from[0], to[0], next);
        start = start < 0 ? lead : EmitSplit(lead, start);
    }
}
