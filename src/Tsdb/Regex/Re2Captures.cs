namespace Observe.Tsdb.Regex;

/// <summary>
/// Finds what the groups of a pattern match in a whole text, by Perl's preferences: all ways at once, in order of preference, in time
/// proportional to pattern times text (Pike's machine). Thread-safe; each call has its own memory.
/// </summary>
sealed class Re2Captures(Re2Program program)
{
    /// <summary>
    /// Byte positions of start and end of each group, -1 for groups that took no part; null when the text does not match.
    /// </summary>
    public int[]? Match(ReadOnlySpan<byte> utf8, CancellationToken cancellationToken)
    {
        var (current, next) = (new Threads(program), new Threads(program));
        current.Add(program.Start, new int[2 * program.Captures], utf8, 0, fresh: true);
        for (var at = 0; at < utf8.Length && current.Count > 0;)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var rune = Re2Alphabet.ReadRune(utf8, at, out var length);
            at += length;
            next.Clear();
            for (var i = 0; i < current.Count; i++)
            {
                var (index, slots) = current[i];
                if (program.Takes(program.Instructions[index], rune))
                {
                    next.Add(program.Instructions[index].Next, slots, utf8, at, fresh: false);
                }
            }

            (current, next) = (next, current);
        }

        for (var i = 0; i < current.Count; i++)
        {
            if (program.Instructions[current[i].Index].Op == Re2Op.MatchEnd)
            {
                return current[i].Slots;
            }
        }

        return null;
    }

    /// <summary>The ways that are still open at one place, the preferred first.</summary>
    sealed class Threads(Re2Program program)
    {
        readonly bool[] _seen = new bool[program.Instructions.Length];
        readonly List<int> _visited = [];
        readonly List<(int Index, int[] Slots)> _threads = [];
        readonly Stack<(int Index, int[] Slots)> _todo = new();

        public int Count => _threads.Count;

        public (int Index, int[] Slots) this[int i] => _threads[i];

        public void Clear()
        {
            foreach (var index in _visited)
            {
                _seen[index] = false;
            }

            _visited.Clear();
            _threads.Clear();
        }

        public void Add(int start, int[] slots, ReadOnlySpan<byte> text, int at, bool fresh)
        {
            if (fresh)
            {
                Array.Fill(slots, -1);
            }

            _todo.Push((start, slots));
            while (_todo.TryPop(out var thread))
            {
                var (index, captured) = thread;
                if (_seen[index])
                {
                    continue;
                }

                _seen[index] = true;
                _visited.Add(index);
                var instruction = program.Instructions[index];
                switch (instruction.Op)
                {
                    case Re2Op.Split:
                        _todo.Push((instruction.Argument, captured));
                        _todo.Push((instruction.Next, captured));
                        break;
                    case Re2Op.Save:
                        captured = [.. captured];
                        captured[instruction.Argument] = at;
                        _todo.Push((instruction.Next, captured));
                        break;
                    case Re2Op.Assert when Holds((Re2Assertion)instruction.Argument, text, at):
                        _todo.Push((instruction.Next, captured));
                        break;
                    case Re2Op.Class or Re2Op.MatchEnd:
                        _threads.Add((index, captured));
                        break;
                }
            }
        }

        static bool Holds(Re2Assertion assertion, ReadOnlySpan<byte> text, int at) => assertion switch
        {
            Re2Assertion.TextStart => at == 0,
            Re2Assertion.TextEnd => at == text.Length,
            Re2Assertion.LineStart => at == 0 || text[at - 1] == '\n',
            Re2Assertion.LineEnd => at == text.Length || text[at] == '\n',
            Re2Assertion.WordBoundary => IsWord(text, at - 1) != IsWord(text, at),
            _ => IsWord(text, at - 1) == IsWord(text, at),
        };

        static bool IsWord(ReadOnlySpan<byte> text, int at) =>
            at >= 0 && at < text.Length && (text[at] == '_' || char.IsAsciiLetterOrDigit((char)text[at]));
    }
}
