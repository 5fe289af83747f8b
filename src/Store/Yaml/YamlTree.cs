using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Observe.Store.Yaml;

/// <summary>A node of a YAML document with its place in the file.</summary>
public abstract class YamlNode
{
    private protected YamlNode(Mark start) => (Line, Column) = ((int)start.Line, (int)start.Column);

    public int Line { get; }

    public int Column { get; }

    /// <summary>Nodes in the tree below, aliases counted each time they are used.</summary>
    public long Weight { get; protected set; } = 1;
}

public sealed class YamlText(Scalar scalar) : YamlNode(scalar.Start)
{
    public string Text { get; } = scalar.Value;

    /// <summary>Written without quotes, so that <c>~</c>, <c>null</c> and nothing at all mean null.</summary>
    public bool IsNull { get; } = scalar.Style == ScalarStyle.Plain && scalar.Value is "" or "~" or "null" or "Null" or "NULL";
}

public sealed class YamlList(Mark start) : YamlNode(start)
{
    public List<YamlNode> Items { get; } = [];

    public void Add(YamlNode node)
    {
        Items.Add(node);
        Weight += node.Weight;
    }
}

public sealed class YamlMap(Mark start) : YamlNode(start)
{
    readonly HashSet<string> _keys = [];

    public List<(YamlText Key, YamlNode Value)> Entries { get; } = [];

    /// <summary>What merge keys name, in the order of the file.</summary>
    public List<(YamlText Key, YamlNode Value)> Merges { get; } = [];

    /// <summary>False when the key is there already.</summary>
    public bool TryAdd(YamlText key, YamlNode value)
    {
        if (!_keys.Add(key.Text))
        {
            return false;
        }

        Entries.Add((key, value));
        Weight += 1 + value.Weight;
        return true;
    }

    public void AddMerge(YamlText key, YamlNode value)
    {
        Merges.Add((key, value));
        Weight += 1 + value.Weight;
    }
}

/// <summary>
/// Builds the tree of a file's first document from parser events, without recursion. Anchors, aliases and merge keys are understood;
/// size, depth and the number of nodes after aliases are limited, so that no file costs more than it weighs.
/// </summary>
public static class YamlTree
{
    /// <summary>Characters of a file.</summary>
    public const int MaxLength = 16 << 20;

    public const int MaxDepth = 64;

    public const int MaxNodes = 1_000_000;

    /// <summary>Reads the first document; false when the text is no YAML, and <paramref name="errors"/> says why.</summary>
    /// <param name="root">null when the text has no document.</param>
    public static bool TryRead(string text, ConfigErrors errors, out YamlNode? root)
    {
        root = null;
        if (text.Length > MaxLength)
        {
            errors.Add(null, $"the file is larger than {MaxLength >> 20} MiB");
            return false;
        }

        var events = new Parser(new StringReader(text));
        try
        {
            root = Build(events, errors);
            return true;
        }
        catch (YamlException e)
        {
            // Of a text that a tab breaks off, the start is that of the text.
            var at = e.Message.Contains("tab", StringComparison.Ordinal) ? e.End : e.Start;
            errors.Add((int)at.Line, (int)at.Column, $"not valid YAML: {e.Message}");
            return false;
        }
        catch (Exception e) when (e is InvalidOperationException or ArgumentException)
        {
            // What the scanner throws at some control characters.
            errors.Add((int)(events.Current?.End.Line ?? 1), (int)(events.Current?.End.Column ?? 1), "not valid YAML after this");
            return false;
        }
    }

    static YamlNode? Build(Parser events, ConfigErrors errors)
    {
        var open = new Stack<(YamlNode Node, string? Anchor, YamlText? Key)>();
        var anchors = new Dictionary<string, YamlNode>();
        while (events.MoveNext())
        {
            YamlNode? done = null;
            string? anchor = null;
            var current = events.Current!;
            switch (current)
            {
                case Scalar scalar:
                    done = new YamlText(scalar);
                    anchor = Anchor(scalar);
                    break;
                case AnchorAlias alias:
                    if (!anchors.TryGetValue(alias.Value.Value, out done))
                    {
                        throw new YamlException(alias.Start, alias.End, $"unknown anchor {alias.Value.Value}");
                    }

                    break;
                case SequenceStart start:
                    open.Push((new YamlList(start.Start), Anchor(start), null));
                    break;
                case MappingStart start:
                    open.Push((new YamlMap(start.Start), Anchor(start), null));
                    break;
                case SequenceEnd or MappingEnd:
                    (done, anchor, _) = open.Pop();
                    if (done is YamlMap map)
                    {
                        Merge(map, errors);
                    }

                    break;
                case DocumentEnd:
                    return null;
            }

            if (open.Count > MaxDepth)
            {
                throw new YamlException(current.Start, current.End, $"nested deeper than {MaxDepth} levels");
            }

            if (done is null)
            {
                continue;
            }

            if (anchor is not null)
            {
                anchors[anchor] = done;
            }

            if (open.Count == 0)
            {
                return done;
            }

            if (done.Weight > MaxNodes || open.Peek().Node.Weight > MaxNodes)
            {
                throw new YamlException(current.Start, current.End, $"more than {MaxNodes} values once aliases are followed");
            }

            Attach(open, done, current, errors);
        }

        return null;
    }

    static void Attach(Stack<(YamlNode Node, string? Anchor, YamlText? Key)> open, YamlNode done, ParsingEvent at, ConfigErrors errors)
    {
        var (parent, anchor, key) = open.Peek();
        if (parent is YamlList list)
        {
            list.Add(done);
            return;
        }

        var map = (YamlMap)parent;
        if (key is null)
        {
            open.Pop();
            open.Push((parent, anchor, done as YamlText ?? throw new YamlException(at.Start, at.End, "a key must be text")));
            return;
        }

        if (key.Text == "<<")
        {
            map.AddMerge(key, done);
        }
        else if (!map.TryAdd(key, done))
        {
            errors.Add(key, $"key {key.Text} is given twice");
        }

        open.Pop();
        open.Push((parent, anchor, null));
    }

    /// <summary>Takes what a merge key brings and the map does not set itself.</summary>
    static void Merge(YamlMap map, ConfigErrors errors)
    {
        foreach (var (key, value) in map.Merges)
        {
            foreach (var source in value is YamlList list ? list.Items : [value])
            {
                if (source is not YamlMap merged)
                {
                    errors.Add(key, "a merge key takes a mapping or a list of mappings");
                    continue;
                }

                foreach (var (name, inherited) in merged.Entries)
                {
                    map.TryAdd(name, inherited);
                }
            }
        }
    }

    static string? Anchor(NodeEvent node) => node.Anchor.IsEmpty ? null : node.Anchor.Value;
}
