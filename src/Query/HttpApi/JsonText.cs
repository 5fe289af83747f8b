using System.Buffers;
using System.Buffers.Text;
using System.Text;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Query.HttpApi;

/// <summary>JSON written as UTF-8 into one growing buffer, in the very bytes that Prometheus writes.</summary>
/// <remarks>
/// For results of queries, whose size matters: the caller puts commas and brackets where they belong. What else is answered is written with
/// <see cref="ApiCall.BeginData"/>. Names and values of labels are escaped as little as JSON allows, all other text as Go does by default.
/// </remarks>
sealed class JsonText : IBufferWriter<byte>, IDisposable
{
    const int MaxNumber = GoNumber.MaxLength + 2;

    /// <summary>
    /// A sample at its longest: a comma, its time, and a value, which has an exponent where it would be longer than others.
    /// </summary>
    const int MaxPoint = PointStartSize + 32;
    const int PointsAtOnce = 64;

    /// <summary>A bracket, a time at its longest and a comma.</summary>
    const int PointStartSize = 28;
    const int MaxPointStarts = 12_000;

    byte[] _buffer = ArrayPool<byte>.Shared.Rent(4096);
    (long Time, int Length)[] _pointStarts = [];
    byte[] _pointTexts = [];

    public int Length { get; private set; }

    public ReadOnlyMemory<byte> Written => _buffer.AsMemory(0, Length);

    public void Clear() => Length = 0;

    public void Dispose()
    {
        ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = [];
    }

    public JsonText Raw(ReadOnlySpan<byte> text)
    {
        text.CopyTo(Reserve(text.Length));
        Length += text.Length;
        return this;
    }

    public JsonText Number(long value)
    {
        Utf8Formatter.TryFormat(value, Reserve(20), out var written);
        Length += written;
        return this;
    }

    /// <summary>A number as Go's encoder writes a float64.</summary>
    public JsonText Number(double value)
    {
        Length += GoNumber.Format(value, Math.Abs(value) is not 0 and (< 1e-6 or >= 1e21), Reserve(MaxNumber), jsonExponent: true);
        return this;
    }

    /// <summary>Milliseconds as seconds, with three decimals where they are not whole.</summary>
    public JsonText Timestamp(long milliseconds)
    {
        Length += Seconds(milliseconds, Reserve(24));
        return this;
    }

    /// <summary>A value in quotes: with an exponent below 1e-6 and from 1e21, NaN and infinities as Go prints them.</summary>
    public JsonText Value(double value)
    {
        Length += Quoted(value, Reserve(MaxNumber));
        return this;
    }

    /// <summary>Samples with commas between them: <c>[seconds,"value"]</c>.</summary>
    public JsonText Points(ReadOnlySpan<long> milliseconds, ReadOnlySpan<double> values)
    {
        for (var first = 0; first < values.Length; first += PointsAtOnce)
        {
            var room = Reserve((PointsAtOnce * MaxPoint) + MaxNumber);
            var at = 0;
            for (var i = first; i < Math.Min(values.Length, first + PointsAtOnce); i++)
            {
                if (i > 0)
                {
                    room[at++] = (byte)',';
                }

                var start = PointStart(i, milliseconds[i]);
                start.CopyTo(room[at..]);
                at += start.Length;
                at += Quoted(values[i], room[at..]);
                room[at++] = (byte)']';
            }

            Length += at;
        }

        return this;
    }

    /// <summary>A value in quotes, never with an exponent: as scalars are written.</summary>
    public JsonText ScalarValue(double value)
    {
        var room = Reserve(MaxNumber);
        room[0] = (byte)'"';
        var written = GoNumber.Format(value, exponent: false, room[1..]);
        room[written + 1] = (byte)'"';
        Length += written + 2;
        return this;
    }

    /// <summary>Text in quotes, escaped as <see cref="GoJsonEncoder.Html"/> does.</summary>
    public JsonText Text(ReadOnlySpan<char> text)
    {
        Raw("\""u8);
        while (GoJsonEncoder.Html.IndexOfEscaped(text) is var at && at >= 0)
        {
            Utf8(text[..at]);
            Escape(text[at]);
            text = text[(at + 1)..];
        }

        Utf8(text);
        return Raw("\""u8);
    }

    /// <summary>UTF-8 in quotes, as labels are written.</summary>
    public JsonText LabelText(ReadOnlySpan<byte> utf8)
    {
        Raw("\""u8);
        while (utf8.IndexOfAny(s_escaped) is var at && at >= 0)
        {
            Raw(utf8[..at]);
            Escape((char)utf8[at]);
            utf8 = utf8[(at + 1)..];
        }

        return Raw(utf8).Raw("\""u8);
    }

    public JsonText LabelSet(Labels labels)
    {
        Raw("{"u8);
        var first = true;
        foreach (var label in labels)
        {
            if (!first)
            {
                Raw(","u8);
            }

            first = false;
            LabelText(label.Name).Raw(":"u8).LabelText(label.Value);
        }

        return Raw("}"u8);
    }

    public JsonText TextList(IEnumerable<string> texts)
    {
        Raw("["u8);
        var first = true;
        foreach (var text in texts)
        {
            if (!first)
            {
                Raw(","u8);
            }

            first = false;
            Text(text);
        }

        return Raw("]"u8);
    }

    /// <summary>A name and a colon; the name needs no escaping. Preceded by a comma unless it is the first of its object.</summary>
    public JsonText Key(ReadOnlySpan<byte> name)
    {
        if (Length > 0 && _buffer[Length - 1] is not ((byte)'{' or (byte)','))
        {
            Raw(","u8);
        }

        return Raw("\""u8).Raw(name).Raw("\":"u8);
    }

    Memory<byte> IBufferWriter<byte>.GetMemory(int sizeHint)
    {
        Reserve(Math.Max(sizeHint, 1));
        return _buffer.AsMemory(Length);
    }

    Span<byte> IBufferWriter<byte>.GetSpan(int sizeHint) => Reserve(Math.Max(sizeHint, 1));

    void IBufferWriter<byte>.Advance(int count) => Length += count;

    static readonly SearchValues<byte> s_escaped = SearchValues.Create(
        [.. Enumerable.Range(0, 0x20).Select(i => (byte)i), (byte)'"', (byte)'\\']);

    // The bracket, the time and the comma. Samples at the same place of other series have the same time, as a rule.
    ReadOnlySpan<byte> PointStart(int index, long milliseconds)
    {
        index = index < MaxPointStarts ? index : 0;
        if (index >= _pointStarts.Length)
        {
            Array.Resize(ref _pointStarts, Math.Max(64, index * 2));
            Array.Resize(ref _pointTexts, _pointStarts.Length * PointStartSize);
        }

        ref var start = ref _pointStarts[index];
        var text = _pointTexts.AsSpan(index * PointStartSize, PointStartSize);
        if (start.Length == 0 || start.Time != milliseconds)
        {
            text[0] = (byte)'[';
            var length = 1 + Seconds(milliseconds, text[1..]);
            text[length++] = (byte)',';
            start = (milliseconds, length);
        }

        return text[..start.Length];
    }

    static int Quoted(double value, Span<byte> room)
    {
        room[0] = (byte)'"';
        var written = GoNumber.Format(value, Math.Abs(value) is not 0 and (< 1e-6 or >= 1e21), room[1..]);
        room[written + 1] = (byte)'"';
        return written + 2;
    }

    static int Seconds(long milliseconds, Span<byte> room)
    {
        var magnitude = milliseconds < 0 ? (ulong)-milliseconds : (ulong)milliseconds;
        var at = 0;
        if (milliseconds < 0)
        {
            room[at++] = (byte)'-';
        }

        Utf8Formatter.TryFormat(magnitude / 1000, room[at..], out var written);
        at += written;
        var fraction = (int)(magnitude % 1000);
        if (fraction != 0)
        {
            // Three digits, zeros at the end too: 1.5 s is 1.500.
            room[at] = (byte)'.';
            room[at + 1] = (byte)('0' + (fraction / 100));
            room[at + 2] = (byte)('0' + (fraction / 10 % 10));
            room[at + 3] = (byte)('0' + (fraction % 10));
            at += 4;
        }

        return at;
    }

    void Escape(char character) => Utf8(GoJsonEncoder.Escaped(character));

    void Utf8(ReadOnlySpan<char> text) => Length += Encoding.UTF8.GetBytes(text, Reserve(Encoding.UTF8.GetMaxByteCount(text.Length)));

    Span<byte> Reserve(int size)
    {
        if (_buffer.Length - Length < size)
        {
            var grown = ArrayPool<byte>.Shared.Rent(Math.Max(_buffer.Length * 2, Length + size));
            Written.Span.CopyTo(grown);
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = grown;
        }

        return _buffer.AsSpan(Length);
    }
}
