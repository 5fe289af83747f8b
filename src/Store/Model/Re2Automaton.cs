using System.Runtime.InteropServices;

namespace Observe.Store.Model;

/// <summary>
/// Says whether a whole text matches, one table look-up a byte: a deterministic automaton that is made while it runs, within a
/// bound of memory; beyond it states are dropped and made again. Thread-safe.
/// </summary>
sealed class Re2Automaton
{
    const int MaxStates = 2_000;
    const int MaxStateInstructions = 400_000;

    readonly Re2Program _program;
    readonly byte[] _classes = new byte[256];
    readonly byte[] _representatives;
    readonly bool _hasAssertions;
    readonly Lock _lock = new();
    readonly Dictionary<StateKey, State> _states = [];
    readonly Walk _walk;
    int _held;
    State _start;

    public Re2Automaton(Re2Program program)
    {
        _program = program;
        _hasAssertions = Array.Exists(program.Instructions, i => i.Op == Re2Op.Assert);
        _representatives = FindClasses();
        _walk = new Walk(program);
        _start = MakeStart();
    }

    public bool IsMatch(ReadOnlySpan<byte> utf8)
    {
        var state = Volatile.Read(ref _start);
        foreach (var b in utf8)
        {
            if (state.Decided is { } decided)
            {
                return decided;
            }

            var symbol = _classes[b];
            state = Volatile.Read(ref state.Next[symbol]) ?? Step(state, symbol);
        }

        return state.Decided ?? state.MatchesAtEnd;
    }

    /// <summary>Bytes that no instruction tells apart are one symbol.</summary>
    byte[] FindClasses()
    {
        var starts = new bool[257];
        foreach (var instruction in _program.Instructions)
        {
            if (instruction.Op == Re2Op.Byte)
            {
                (starts[instruction.Low], starts[instruction.High + 1]) = (true, true);
            }
        }

        if (_hasAssertions)
        {
            foreach (var b in "\n\v09:AZ[_`az{".Select(c => (int)c))
            {
                starts[b] = true;
            }

            starts['Z' + 1] = true;
            starts['z' + 1] = true;
        }

        var representatives = new List<byte> { 0 };
        for (var b = 1; b < 256; b++)
        {
            if (starts[b])
            {
                representatives.Add((byte)b);
            }

            _classes[b] = (byte)(representatives.Count - 1);
        }

        return [.. representatives];
    }

    State MakeStart()
    {
        lock (_lock)
        {
            _walk.Clear();
            _walk.Add(_program.Start, Context.Unknown);
            return Intern(new Context(AtStart: true, AfterWord: false, AfterNewline: false));
        }
    }

    State Step(State from, int symbol)
    {
        lock (_lock)
        {
            if (_states.Count >= MaxStates || _held >= MaxStateInstructions)
            {
                // Those at work keep the states they hold; all others are made again as they are needed.
                _states.Clear();
                _held = 0;
                from = from.Forget();
                Volatile.Write(ref _start, MakeStart());
            }

            var b = _representatives[symbol];
            var instructions = _hasAssertions ? _walk.Resolve(from, b) : from.Instructions;
            _walk.Clear();
            foreach (var index in instructions)
            {
                var instruction = _program.Instructions[index];
                if (instruction.Op == Re2Op.Byte && b >= instruction.Low && b <= instruction.High)
                {
                    _walk.Add(instruction.X, Context.Unknown);
                }
                else if (instruction.Op == Re2Op.MatchRest)
                {
                    _walk.Add(index, Context.Unknown);
                }
            }

            var next = Intern(new Context(false, Context.IsWord(b), b == '\n'));
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

        var state = new State(instructions, context, _representatives.Length);
        var atEnd = pending ? _walk.Resolve(state, null) : instructions;
        state.MatchesAtEnd = Array.Exists(atEnd, i => _program.Instructions[i].Op is Re2Op.MatchEnd or Re2Op.MatchRest);
        state.Decided = instructions.Length == 0 ? false
            : Array.Exists(instructions, i => _program.Instructions[i].Op == Re2Op.MatchRest) ? true : null;
        _states[key] = state;
        _held += instructions.Length + _representatives.Length;
        return state;
    }

    /// <summary>What is known of the place between two bytes from the one before it.</summary>
    readonly record struct Context(bool AtStart, bool AfterWord, bool AfterNewline)
    {
        public static Func<Re2Assertion, bool>? Unknown => null;

        public static bool IsWord(byte b) => b == '_' || char.IsAsciiLetterOrDigit((char)b);

        /// <param name="next">Null at the end of the text.</param>
        public bool Holds(Re2Assertion assertion, byte? next)
        {
            var beforeWord = next is { } b && IsWord(b);
            return assertion switch
            {
                Re2Assertion.TextStart => AtStart,
                Re2Assertion.TextEnd => next is null,
                Re2Assertion.LineStart => AtStart || AfterNewline,
                Re2Assertion.LineEnd => next is null or (byte)'\n',
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
        /// <summary>Sorted; of those that take no byte only assertions, still to be decided, and matches.</summary>
        public int[] Instructions { get; } = instructions;

        public Context Context { get; } = context;

        public State?[] Next { get; } = new State?[symbols];

        public bool MatchesAtEnd { get; set; }

        /// <summary>The answer, where no further byte can change it.</summary>
        public bool? Decided { get; set; }

        /// <summary>The same without its successors.</summary>
        public State Forget() => new(Instructions, Context, Next.Length) { MatchesAtEnd = MatchesAtEnd, Decided = Decided };
    }

    /// <summary>The set of instructions that can be reached without a byte.</summary>
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

        /// <param name="holds">Null: assertions are kept, to be decided when the next byte is known.</param>
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
                        _todo.Push(instruction.X);
                        _todo.Push(instruction.Y);
                        break;
                    case Re2Op.Assert when holds is not null && holds((Re2Assertion)instruction.Low):
                        _todo.Push(instruction.X);
                        break;
                }
            }
        }

        public int[] Sorted()
        {
            var kept = _reached.Where(i => program.Instructions[i].Op is not (Re2Op.Split or Re2Op.Fail)).ToArray();
            Array.Sort(kept);
            return kept;
        }

        /// <summary>A state's instructions with those behind its assertions that hold before a byte, or at the end.</summary>
        public int[] Resolve(State state, byte? next)
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
