using System.Text;

namespace Observe.Query.Promql.Parsing;

/// <summary>An expression over several lines, where it is too long for one.</summary>
sealed class PrettyPrinter(Expr root)
{
    /// <summary>The longest line that is not broken, in bytes.</summary>
    const int LineLength = 100;

    /// <summary>The longest text: each operator of a chain is indented more than the one before.</summary>
    const int MaxLength = 16 << 20;

    readonly StringBuilder _text = new();
    readonly HashSet<Expr> _long = new(ReferenceEqualityComparer.Instance);

    public string Print()
    {
        FindLong(root);
        Write(root, 0);
        return _text.ToString();
    }

    /// <summary>
    /// Finds the expressions that do not fit in a line. An expression with a long part is long itself, and need not be printed to know
    /// that.
    /// </summary>
    bool FindLong(Expr expr)
    {
        var holdsLong = false;
        foreach (var part in Parts(expr))
        {
            holdsLong |= FindLong(part);
        }

        var isLong = holdsLong || Encoding.UTF8.GetByteCount(Printer.Print(expr)) > LineLength;
        if (isLong)
        {
            _long.Add(expr);
        }

        return isLong;
    }

    static IReadOnlyList<Expr> Parts(Expr expr) => expr switch
    {
        UnaryExpr unary => [unary.Inner],
        ParenExpr paren => [paren.Inner],
        BinaryExpr binary => [binary.Left, binary.Right],
        AggregateExpr aggregate => aggregate.Parameter is { } parameter ? [parameter, aggregate.Inner] : [aggregate.Inner],
        Call call => call.Arguments,
        SubqueryExpr subquery => [subquery.Inner],
        _ => [],
    };

    /// <param name="isIndented">Whether the first line is indented.</param>
    void Write(Expr expr, int level, bool isIndented = true)
    {
        if (_text.Length > MaxLength)
        {
            throw new QueryException($"the formatted query is longer than {MaxLength} characters");
        }

        var isLong = _long.Contains(expr);
        switch (expr)
        {
            case BinaryExpr binary when isLong:
                Write(binary.Left, level + 1, isIndented);
                Printer.WriteOperator(_text.Append('\n').Append(' ', level * 2), binary);
                _text.Append('\n');
                Write(binary.Right, level + 1);
                return;
            case SubqueryExpr subquery when isLong:
                Write(subquery.Inner, level, isIndented);
                Printer.WriteBrackets(_text, subquery);
                return;
            case SubqueryExpr:
                // Prometheus does not indent expressions that fit in a line.
                Printer.Write(_text, expr);
                return;
        }

        _text.Append(' ', isIndented ? level * 2 : 0);
        switch (expr)
        {
            case UnaryExpr unary:
                _text.Append(Printer.NameOf(unary.Operator));
                Write(unary.Inner, level, isIndented: false);
                break;
            case AggregateExpr aggregate when isLong:
                Printer.WriteHead(_text, aggregate);
                WriteLines(expr, level);
                break;
            case Call call when isLong:
                _text.Append(call.Function.Name);
                WriteLines(expr, level);
                break;
            case ParenExpr when isLong:
                WriteLines(expr, level);
                break;
            default:
                Printer.Write(_text, expr);
                break;
        }
    }

    /// <summary>The parts of an expression in parentheses, each on its own lines.</summary>
    void WriteLines(Expr expr, int level)
    {
        var parts = Parts(expr);
        _text.Append('(');
        for (var i = 0; i < parts.Count; i++)
        {
            _text.Append(i == 0 ? "\n" : ",\n");
            Write(parts[i], level + 1);
        }

        _text.Append('\n').Append(' ', level * 2).Append(')');
    }
}
