namespace Observe.Tsdb.Regex;

enum Re2Assertion : byte
{
    /// <summary>\A, and ^ outside of multi-line mode.</summary>
    TextStart,

    /// <summary>\z, and $ outside of multi-line mode.</summary>
    TextEnd,
    LineStart,
    LineEnd,
    WordBoundary,
    NoWordBoundary,
}

/// <summary>A parsed pattern.</summary>
/// <param name="Height">Levels of nodes, this one included.</param>
abstract record Re2Node(int Height)
{
    public static Re2Node Empty { get; } = new Re2Concat([]);

    /// <summary>It matches the empty text, perhaps among others.</summary>
    public abstract bool IsNullable { get; }

    public sealed override string ToString() => GetType().Name;
}

sealed record Re2Class(Re2RuneSet Runes) : Re2Node(1)
{
    public override bool IsNullable => false;
}

sealed record Re2Assert(Re2Assertion Kind) : Re2Node(1)
{
    public override bool IsNullable => true;
}

sealed record Re2Concat(IReadOnlyList<Re2Node> Parts) : Re2Node(1 + MaxHeight(Parts))
{
    public override bool IsNullable { get; } = Parts.All(p => p.IsNullable);

    internal static int MaxHeight(IReadOnlyList<Re2Node> nodes) => nodes.Count == 0 ? 0 : nodes.Max(n => n.Height);
}

sealed record Re2Alternate(IReadOnlyList<Re2Node> Choices) : Re2Node(1 + Re2Concat.MaxHeight(Choices))
{
    public override bool IsNullable { get; } = Choices.Any(c => c.IsNullable);
}

/// <param name="Max">-1: any number.</param>
sealed record Re2Repeat(Re2Node Inner, int Min, int Max, bool Greedy) : Re2Node(1 + Inner.Height)
{
    public override bool IsNullable { get; } = Min == 0 || Inner.IsNullable;

    public bool IsStar => Min == 0 && Max < 0;
}

/// <param name="Index">From 1.</param>
sealed record Re2Capture(Re2Node Inner, int Index) : Re2Node(1 + Inner.Height)
{
    public override bool IsNullable { get; } = Inner.IsNullable;
}

/// <summary>A pattern with the names of its groups; index 0 is the whole match, unnamed groups are null.</summary>
/// <param name="Length">Of its text.</param>
sealed record Re2Pattern(Re2Node Root, IReadOnlyList<string?> Groups, int Length);
