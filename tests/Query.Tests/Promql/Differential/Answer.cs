using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Observe.Query.Promql;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;

namespace Observe.Query.Tests.Promql.Differential;

enum DifferenceKind
{
    Error, NoError, Missing, TooMuch, Value, Order, Notes,
}

/// <param name="Time">A step at which it shows, where there is one.</param>
sealed record Difference(DifferenceKind Kind, long? Time, string Text);

/// <summary>An answer in a form in which two can be compared: each series' points as text, by its labels.</summary>
sealed partial record Answer(string? Error, SortedDictionary<string, SortedDictionary<long, string>> Series, SortedSet<string> Notes)
{
    public static Answer Of(QueryResult result)
    {
        var series = new SortedDictionary<string, SortedDictionary<long, string>>(StringComparer.Ordinal);
        if (result.Type == ResultType.Scalar)
        {
            series["scalar"] = new() { [result.TimeMs] = GoText.Float(result.Scalar) };
        }

        if (result.Type == ResultType.String)
        {
            series["string"] = new() { [result.TimeMs] = result.Text };
        }

        foreach (var one in result.Series)
        {
            var points = new SortedDictionary<long, string>();
            for (var i = 0; i < one.Values.Length; i++)
            {
                points[result.Type == ResultType.Vector ? result.TimeMs : one.Timestamps.Span[i]] = GoText.Float(one.Values.Span[i]);
            }

            for (var i = 0; i < one.Histograms.Length; i++)
            {
                points[result.Type == ResultType.Vector ? result.TimeMs : one.HistogramTimestamps.Span[i]] = Text(one.Histograms.Span[i]);
            }

            series[Key(one.Labels)] = points;
        }

        return new Answer(null, series, [.. result.Warnings.Concat(result.Infos).Select(n => Counts().Replace(n, ""))])
        {
            Order = result.Type == ResultType.Vector ? [.. result.Series.Select(s => Key(s.Labels))] : [],
        };
    }

    public static Answer Of(JsonElement response)
    {
        if (response.GetProperty("status").GetString() == "error")
        {
            return new Answer(response.GetProperty("error").GetString(), new(StringComparer.Ordinal), []);
        }

        var data = response.GetProperty("data");
        var result = data.GetProperty("result");
        var series = new SortedDictionary<string, SortedDictionary<long, string>>(StringComparer.Ordinal);
        var order = new List<string>();
        var type = data.GetProperty("resultType").GetString();
        if (type is "scalar" or "string")
        {
            series[type] = new() { [Time(result[0])] = result[1].GetString()! };
        }
        else
        {
            foreach (var one in result.EnumerateArray())
            {
                var labels = Labels.Of(one.GetProperty("metric").EnumerateObject().Select(p => KeyValuePair.Create(p.Name, p.Value.GetString()!)));
                series[Key(labels)] = Points(one);
                order.Add(Key(labels));
            }
        }

        var notes = new SortedSet<string>(StringComparer.Ordinal);
        foreach (var name in new[] { "warnings", "infos" })
        {
            if (response.TryGetProperty(name, out var texts))
            {
                notes.UnionWith(texts.EnumerateArray().Select(t => OptionalName().Replace(t.GetString()!, "")));
            }
        }

        return new Answer(null, series, notes) { Order = type == "vector" ? order : [] };
    }

    /// <summary>Stands between the notes of a difference's text.</summary>
    public const string BetweenNotes = " | ";

    /// <summary>The series of an instant vector in the order in which they came.</summary>
    public IReadOnlyList<string> Order { get; init; } = [];

    /// <summary>What differs; null when nothing does.</summary>
    /// <param name="tolerance">By how much floats may differ, relatively.</param>
    /// <param name="isStrict">
    /// Warnings and infos count, and the order of an instant vector, but for values that are not the same and yet within the tolerance.
    /// </param>
    public Difference? Difference(Answer expected, double tolerance, bool isStrict = false)
    {
        if (Error is not null || expected.Error is not null)
        {
            return (Error is null) == (expected.Error is null)
                ? null
                : new Difference(Error is null ? DifferenceKind.NoError : DifferenceKind.Error, null, $"error {Error ?? "none"}, expected {expected.Error ?? "none"}");
        }

        foreach (var labels in Series.Keys.Union(expected.Series.Keys))
        {
            if (!Series.TryGetValue(labels, out var own))
            {
                return new Difference(DifferenceKind.Missing, expected.Series[labels].Keys.First(), $"{labels} is missing");
            }

            if (!expected.Series.TryGetValue(labels, out var other))
            {
                return new Difference(DifferenceKind.TooMuch, own.Keys.First(), $"{labels} is too much");
            }

            foreach (var time in own.Keys.Union(other.Keys))
            {
                var (a, b) = (own.GetValueOrDefault(time, "nothing"), other.GetValueOrDefault(time, "nothing"));
                if (a != b && !AreClose(a, b, tolerance))
                {
                    return new Difference(DifferenceKind.Value, time, string.Create(CultureInfo.InvariantCulture, $"{labels} at {time}: {a}, expected {b}"));
                }
            }
        }

        if (isStrict && Order.Count == expected.Order.Count && Order.Zip(expected.Order).Any(p => p.First != p.Second && !IsRounded(p.First, p.Second)))
        {
            return new Difference(DifferenceKind.Order, null, $"order {string.Join(", ", Order)}, expected {string.Join(", ", expected.Order)}");
        }

        return isStrict && !Notes.SetEquals(expected.Notes) && !expected.Notes.Any(n => n.EndsWith("annotations omitted", StringComparison.Ordinal))
            ? new Difference(DifferenceKind.Notes, null, string.Join(BetweenNotes, [
                .. Notes.Except(expected.Notes).Select(n => "too much: " + n),
                .. expected.Notes.Except(Notes).Select(n => "missing: " + n),
            ]))
            : null;

        bool IsRounded(string first, string second)
        {
            var (a, b) = (Series[first].Values.Single(), expected.Series[second].Values.Single());
            return a != b && AreClose(a, b, Math.Max(tolerance, 1e-12));
        }
    }

    /// <summary>Labels, numbers in them (of count_values) to eleven digits.</summary>
    static string Key(Labels labels) => LongNumber().Replace(labels.ToString(), m => double.TryParse(m.Value, CultureInfo.InvariantCulture, out var number)
        ? number.ToString("G11", CultureInfo.InvariantCulture)
        : m.Value);

    /// <summary>What 3.5 says more of classic histograms than later versions do without delayed removal of names.</summary>
    [GeneratedRegex("(?<=malformed value of .*|histogram_quantile\\)|classic and native histograms|NaN observations, .*) for metric name \".*\"(?= \\(\\d)")]
    private static partial Regex OptionalName();

    /// <summary>What later versions say more of buckets that do not rise.</summary>
    [GeneratedRegex(", from buckets .*(?= \\(\\d)")]
    private static partial Regex Counts();

    [GeneratedRegex(@"[0-9]*\.[0-9]{4,}(e[-+]?[0-9]+)?")]
    private static partial Regex LongNumber();

    static bool AreClose(string a, string b, double tolerance)
    {
        var (left, right) = (a.Split(' '), b.Split(' '));
        return left.Length == right.Length && left.Zip(right).All(p => p.First == p.Second || (
            double.TryParse(p.First, CultureInfo.InvariantCulture, out var x) && double.TryParse(p.Second, CultureInfo.InvariantCulture, out var y)
            && (x.Equals(y) || Math.Abs(x - y) <= tolerance * Math.Max(Math.Abs(x), Math.Abs(y)))));
    }

    static SortedDictionary<long, string> Points(JsonElement series)
    {
        var points = new SortedDictionary<long, string>();
        foreach (var (name, isMany) in new[] { ("value", false), ("values", true), ("histogram", false), ("histograms", true) })
        {
            if (series.TryGetProperty(name, out var found))
            {
                foreach (var point in isMany ? found.EnumerateArray() : Enumerable.Repeat(found, 1))
                {
                    points[Time(point[0])] = point[1].ValueKind == JsonValueKind.String ? point[1].GetString()! : Text(point[1]);
                }
            }
        }

        return points;
    }

    static long Time(JsonElement seconds) => (long)Math.Round((seconds.ValueKind == JsonValueKind.Array ? seconds[0] : seconds).GetDouble() * 1000);

    static string Text(Histogram histogram) => string.Join(' ', [
        GoText.Float(histogram.Count),
        GoText.Float(histogram.Sum),
        .. histogram.AllBuckets().Where(b => b.Count != 0).Select(b => $"{GoText.Float(b.Lower)} {GoText.Float(b.Upper)} {GoText.Float(b.Count)}"),
    ]);

    static string Text(JsonElement histogram) => string.Join(' ', [
        histogram.GetProperty("count").GetString()!,
        histogram.GetProperty("sum").GetString()!,
        .. histogram.TryGetProperty("buckets", out var buckets)
            ? buckets.EnumerateArray().Select(b => $"{b[1].GetString()} {b[2].GetString()} {b[3].GetString()}")
            : [],
    ]);
}
