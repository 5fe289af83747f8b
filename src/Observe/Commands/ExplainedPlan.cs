using System.Globalization;
using System.Text.Json.Nodes;
using Observe.Tsdb.Bytes;
using Spectre.Console;

namespace Observe.Commands;

/// <summary>
/// Prints the plan of an explained query from the API's JSON: one line for each operator, indented under the operator that reads from it.
/// </summary>
static class ExplainedPlan
{
    /// <summary>Operators below so many others are not indented further.</summary>
    const int DeepestIndent = 16 * 3;

    static readonly string[] s_units = ["B", "KiB", "MiB", "GiB", "TiB"];

    public static void Write(IAnsiConsole console, JsonNode explanation)
    {
        var table = new Table().Border(TableBorder.None);
        table.AddColumn(new TableColumn("OPERATOR").PadRight(2));
        foreach (var column in (string[])["STEPS", "SERIES", "SAMPLES", "TIME", "BYTES"])
        {
            table.AddColumn(new TableColumn(column).NoWrap().RightAligned().PadRight(2));
        }

        AddRows(table, explanation, "", "");
        if (!console.Profile.Out.IsTerminal)
        {
            console.Profile.Width = 400;
        }

        console.Write(table);
    }

    /// <param name="indent">The text before the operator.</param>
    /// <param name="below">The text before the operator's inputs.</param>
    static void AddRows(Table table, JsonNode operation, string indent, string below)
    {
        table.AddRow(
            Markup.Escape(indent + (string)operation["operation"]!),
            Count(operation["steps"]!),
            Count(operation["series"]!),
            Count(operation["samples"]!),
            Time(TimeSpan.FromSeconds((double)operation["seconds"]!)),
            Size((long)operation["bytes"]!));
        var inputs = operation["inputs"]!.AsArray();
        foreach (var line in (operation["reads"]?.AsArray() ?? []).SelectMany(selection => Lines(selection!)))
        {
            table.AddRow(Markup.Escape(below + (inputs.Count > 0 ? "│  " : "   ") + line));
        }

        if (below.Length >= DeepestIndent)
        {
            below = below[..DeepestIndent];
        }

        for (var i = 0; i < inputs.Count; i++)
        {
            var isLast = i == inputs.Count - 1;
            AddRows(table, inputs[i]!, below + (isLast ? "└─ " : "├─ "), below + (isLast ? "   " : "│  "));
        }
    }

    // What is read of series, and from which resolutions.
    static IEnumerable<string> Lines(JsonNode selection)
    {
        var coarsest = (string)selection["maxResolution"]!;
        yield return $"reads {(coarsest == "0s" ? "raw samples" : $"what there is up to {coarsest}")}"
            + string.Concat(selection["needRaw"]!.AsArray().Select((name, i) => $"{(i == 0 ? ", needed by " : ", ")}{name}"));
        foreach (var range in selection["windows"]!.AsArray())
        {
            yield return $"from {Moment(range!["start"]!)} to {Moment(range["end"]!)} {selection["aggregate"]} of windows of "
                + $"{range["resolution"]} of {range["labels"]}";
        }

        foreach (var range in selection["replicas"]!.AsArray())
        {
            yield return $"from {Moment(range!["start"]!)} to {Moment(range["end"]!)} samples of {range["labels"]}";
        }
    }

    static string Moment(JsonNode seconds) => GoText.Rfc3339((long)((double)seconds * 1000));

    static string Count(JsonNode number) => ((long)number).ToString("N0", CultureInfo.InvariantCulture);

    static string Time(TimeSpan time) => time.TotalSeconds >= 1
        ? time.TotalSeconds.ToString("0.00", CultureInfo.InvariantCulture) + " s"
        : time.TotalMilliseconds.ToString("0.00", CultureInfo.InvariantCulture) + " ms";

    static string Size(long bytes)
    {
        var (size, unit) = ((double)bytes, 0);
        for (; size >= 1024 && unit < s_units.Length - 1; unit++)
        {
            size /= 1024;
        }

        return size.ToString(unit == 0 ? "0" : "0.0", CultureInfo.InvariantCulture) + " " + s_units[unit];
    }
}
