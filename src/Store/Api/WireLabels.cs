using Google.Protobuf;
using Observe.Store.Api.Wire;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;
using MatchType = Observe.Tsdb.Model.MatchType;

namespace Observe.Store.Api;

/// <summary>Converts labels and matchers between the model and the wire.</summary>
static class WireLabels
{
    /// <summary>The wire's fields share the labels' memory.</summary>
    public static void AddTo(Google.Protobuf.Collections.RepeatedField<Label> fields, Labels labels)
    {
        var memory = labels.EncodedMemory;
        var at = 0;
        while (at < memory.Length)
        {
            var name = Take(memory, ref at);
            var value = Take(memory, ref at);
            fields.Add(new Label { Name = UnsafeByteOperations.UnsafeWrap(name), Value = UnsafeByteOperations.UnsafeWrap(value) });
        }
    }

    public static LabelSet ToWire(Labels labels)
    {
        var set = new LabelSet();
        AddTo(set.Labels, labels);
        return set;
    }

    /// <summary>Labels that are sorted, as the protocol demands, are copied as they are; others are sorted first.</summary>
    public static Labels FromWire(Google.Protobuf.Collections.RepeatedField<Label> fields)
    {
        var size = 0;
        for (var i = 0; i < fields.Count; i++)
        {
            var name = fields[i].Name.Span;
            var value = fields[i].Value.Span;
            if (value.IsEmpty || (i > 0 && fields[i - 1].Name.Span.SequenceCompareTo(name) >= 0))
            {
                return Sorted(fields);
            }

            size += Varint.SizeUnsigned((ulong)name.Length) + name.Length + Varint.SizeUnsigned((ulong)value.Length) + value.Length;
        }

        if (size == 0)
        {
            return Labels.Empty;
        }

        var encoded = new byte[size];
        var at = 0;
        foreach (var field in fields)
        {
            Put(encoded, ref at, field.Name.Span);
            Put(encoded, ref at, field.Value.Span);
        }

        return new Labels(encoded);
    }

    public static LabelMatcher ToWire(Matcher matcher) => new()
    {
        Name = matcher.Name,
        Value = matcher.Value,
        Type = matcher.Type switch
        {
            MatchType.Equal => LabelMatcher.Types.Type.Eq,
            MatchType.NotEqual => LabelMatcher.Types.Type.Neq,
            MatchType.Regex => LabelMatcher.Types.Type.Re,
            _ => LabelMatcher.Types.Type.Nre,
        },
    };

    /// <exception cref="FormatException">A pattern or a type is not valid.</exception>
    public static Matcher FromWire(LabelMatcher matcher) => new(
        matcher.Type switch
        {
            LabelMatcher.Types.Type.Eq => MatchType.Equal,
            LabelMatcher.Types.Type.Neq => MatchType.NotEqual,
            LabelMatcher.Types.Type.Re => MatchType.Regex,
            LabelMatcher.Types.Type.Nre => MatchType.NotRegex,
            _ => throw new FormatException($"unknown matcher type {(int)matcher.Type}"),
        },
        matcher.Name,
        matcher.Value);

    static Labels Sorted(Google.Protobuf.Collections.RepeatedField<Label> fields)
    {
        var builder = new LabelsBuilder();
        foreach (var field in fields)
        {
            builder.Set(field.Name.Span, field.Value.Span);
        }

        return builder.Build();
    }

    static ReadOnlyMemory<byte> Take(ReadOnlyMemory<byte> encoded, ref int at)
    {
        var length = (int)Varint.ReadUnsigned(encoded.Span[at..], out var size);
        var taken = encoded.Slice(at + size, length);
        at += size + length;
        return taken;
    }

    static void Put(Span<byte> encoded, ref int at, ReadOnlySpan<byte> text)
    {
        at += Varint.WriteUnsigned(encoded[at..], (ulong)text.Length);
        text.CopyTo(encoded[at..]);
        at += text.Length;
    }
}
