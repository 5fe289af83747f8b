using System.Runtime.InteropServices;

namespace Observe.Tsdb.Regex;

/// <summary>
/// Says whether a whole text matches, one look-up for each code point: a deterministic automaton that is made while it runs, within a
/// bound of memory; beyond it states are dropped and made again. Thread-safe.
/// </summary>
sealed class Re2Automaton
{
    /// <summary>
    /// Instructions and successors that the states may hold together, 4 to 8 bytes each; more where a few states take that much already.
    /// </summary>
    const int MaxHeld = 100_000;

    const int ProgramsHeld = 4;

    readonly int _maxHeld;
    readonly Re2Program _program;
    readonly Re2Alphabet _alphabet;
    readonly bool _hasAssertions;
    readonly Lock _lock = new();
    readonly Dictionary<StateKey, State> _states = [];
    readonly Walk _walk;
    int _held;
    State _start;

    public Re2Automaton(Re2Program program)
    {
        _program = program;
        _maxHeld = Math.Max(MaxHeld, ProgramsHeld * program.Instructions.Length);
        _hasAssertions = Array.Exists(program.Instructions, i => i.Op == Re2Op.Assert);
        _alphabet = new Re2Alphabet(_hasAssertions ? [.. program.Sets, Re2RuneSet.Perl('w')!, Re2RuneSet.Of('\n')] : program.Sets);
        _walk = new Walk(program);
        _start = MakeStart();
    }

    public bool IsMatch(ReadOnlySpan<byte> utf8, CancellationToken cancellationToken)
    {
        var state = Volatile.Read(ref _start);
        for (var at = 0; at < utf8.Length;)
        {
            if (state.Decided is { } decided)
            {
                return decided;
            }

            var symbol = _alphabet.Read(utf8, at, out var length);
            state = Volatile.Read(ref state.Next[symbol]) ?? Step(state, symbol, cancellationToken);
            at += length;
        }

        return state.Decided ?? state.MatchesAtEnd;
    }

    State MakeStart()
    {
        lock (_lock)
        {
            _walk.Clear();
            _walk.Add(_program.Start, null);
            return Intern(new Context(AtStart: true, AfterWord: false, AfterNewline: false));
        }
    }

    State Step(State from, int symbol, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        lock (_lock)
        {
            if (_held >= _maxHeld)
            {
                // Those at work keep the states they hold; all others are made again as they are needed.
                _states.Clear();
                _held = 0;
                from = from.Forget();
                Volatile.Write(ref _start, MakeStart());
            }

            var rune = _alphabet.Members[symbol];
            var instructions = _hasAssertions ? _walk.Resolve(from, rune) : from.Instructions;
            _walk.Clear();
            foreach (var index in instructions)
            {
                var instruction = _program.Instructions[index];
                if (instruction.Op == Re2Op.MatchRest)
                {
                    _walk.Add(index, null);
                }
                else if (_program.Takes(instruction, rune))
                {
                    _walk.Add(instruction.Next, null);
                }
            }

            var next = Intern(new Context(false, Context.IsWord(rune), rune == '\n'));
            Volatile.Write(ref from.Next[symbol], next);
            return next;
        }
    }

    State Intern(Context context)
    {
        var instructions = _walk.Sorted();
        var pending = _hasAssertions && Array.Exists(instructions, i => _program.Instructions[i].Op == Re2Op.Assert);
        context = pending ? context : default;
        var key = new StateKey(instructions, context);
        if (_states.TryGetValue(key, out var known))
        {
            return known;
        }

        var state = new State(instructions, context, _alphabet.Members.Length);
        var atEnd = pending ? _walk.Resolve(state, null) : instructions;
        state.MatchesAtEnd = Array.Exists(atEnd, i => _program.Instructions[i].Op is Re2Op.MatchEnd or Re2Op.MatchRest);
        state.Decided = instructions.Length == 0 ? false
            : Array.Exists(instructions, i => _program.Instructions[i].Op == Re2Op.MatchRest) ? true : null;
        _states[key] = state;
        _held += instructions.Length + _alphabet.Members.Length;
        return state;
    }

    /// <summary>What is known of the place between two code points from the one before it.</summary>
    readonly record struct Context(bool AtStart, bool AfterWord, bool AfterNewline)
    {
        public static bool IsWord(int rune) => rune == '_' || (rune < 128 && char.IsAsciiLetterOrDigit((char)rune));

        /// <param name="next">Null at the end of the text.</param>
        public bool Holds(Re2Assertion assertion, int? next)
        {
            var beforeWord = next is { } rune && IsWord(rune);
            return assertion switch
            {
                Re2Assertion.TextStart => AtStart,
                Re2Assertion.TextEnd => next is null,
                Re2Assertion.LineStart => AtStart || AfterNewline,
                Re2Assertion.LineEnd => next is null or '\n',
                Re2Assertion.WordBoundary => AfterWord != beforeWord,
                _ => AfterWord == beforeWord,
            };
        }
    }

    readonly struct StateKey(int[] instructions, Context context) : IEquatable<StateKey>
    {
        readonly int[] _instructions = instructions;
        readonly Context _context = context;

        public bool Equals(StateKey other) => _context == other._context && _instructions.AsSpan().SequenceEqual(other._instructions);

        public override bool Equals(object? obj) => obj is StateKey other && Equals(other);

        public override int GetHashCode()
        {
            var hash = new HashCode();
            hash.Add(_context);
            hash.AddBytes(MemoryMarshal.AsBytes(_instructions.AsSpan()));
            return hash.ToHashCode();
        }
    }

    sealed class State(int[] instructions, Context context, int symbols)
    {
        /// <summary>Sorted; of those that take no code point only assertions, still to be decided, and matches.</summary>
        public int[] Instructions { get; } = instructions;

        public Context Context { get; } = context;

        public State?[] Next { get; } = new State?[symbols];

        public bool MatchesAtEnd { get; set; }

        /// <summary>The answer, where nothing that follows can change it.</summary>
        public bool? Decided { get; set; }

        /// <summary>The same without its successors.</summary>
        public State Forget() => new(Instructions, Context, Next.Length) { MatchesAtEnd = MatchesAtEnd, Decided = Decided };
    }

    /// <summary>The set of instructions that can be reached without a code point.</summary>
    sealed class Walk(Re2Program program)
    {
        readonly bool[] _seen = new bool[program.Instructions.Length];
        readonly List<int> _reached = [];
        readonly Stack<int> _todo = new();

        public void Clear()
        {
            foreach (var index in _reached)
            {
                _seen[index] = false;
            }

            _reached.Clear();
        }

        /// <param name="holds">Null: assertions are kept, to be decided when the next code point is known.</param>
        public void Add(int start, Func<Re2Assertion, bool>? holds)
        {
            _todo.Push(start);
            while (_todo.TryPop(out var index))
            {
                if (_seen[index])
                {
                    continue;
                }

                _seen[index] = true;
                _reached.Add(index);
                var instruction = program.Instructions[index];
                switch (instruction.Op)
                {
                    case Re2Op.Split:
                        _todo.Push(instruction.Next);
                        _todo.Push(instruction.Argument);
                        break;
                    case Re2Op.Assert when holds is not null && holds((Re2Assertion)instruction.Argument):
                        _todo.Push(instruction.Next);
                        break;
                }
            }
        }

        public int[] Sorted()
        {
            var kept = _reached.Where(i => program.Instructions[i].Op != Re2Op.Split).ToArray();
            Array.Sort(kept);
            return kept;
        }

        /// <summary>A state's instructions with those behind its assertions that hold before a code point, or at the end.</summary>
        public int[] Resolve(State state, int? next)
        {
            Clear();
            foreach (var index in state.Instructions)
            {
                Add(index, a => state.Context.Holds(a, next));
            }

            return [.. _reached];
        }
    }
}
