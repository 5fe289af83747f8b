using System.Globalization;
using System.Text.Json;

namespace Observe.Benchmarks.QueryBench;

/// <summary>What a server answered, by series and timestamp.</summary>
/// <param name="Error">Null when it is a success.</param>
sealed record QueryAnswer(Dictionary<string, List<(string Time, string Value)>> Series, string? Error)
{
    public int Samples => Series.Values.Sum(points => points.Count);

    public static QueryAnswer Parse(byte[] json)
    {
        using var document = JsonDocument.Parse(json);
        var root = document.RootElement;
        var series = new Dictionary<string, List<(string, string)>>(StringComparer.Ordinal);
        if (root.GetProperty("status").GetString() != "success")
        {
            return new QueryAnswer(series, root.GetProperty("error").GetString());
        }

        foreach (var one in root.GetProperty("data").GetProperty("result").EnumerateArray())
        {
            var labels = string.Join(
                ',', one.GetProperty("metric").EnumerateObject().Select(l => $"{l.Name}={l.Value.GetString()}").Order(StringComparer.Ordinal));
            var points = one.TryGetProperty("values", out var values) ? values.EnumerateArray() : Enumerable.Repeat(one.GetProperty("value"), 1);
            series.Add(labels, [.. points.Select(p => (p[0].GetRawText(), p[1].GetString()!))]);
        }

        return new QueryAnswer(series, null);
    }

    /// <summary><c>equal</c>: to the last digit; <c>1e-12</c>: relative, where sums were added in another order; else the first difference.</summary>
    public string Compare(QueryAnswer other)
    {
        if (Error is not null || other.Error is not null)
        {
            return $"error: {Error ?? other.Error}";
        }

        if (Series.Count != other.Series.Count)
        {
            return $"{Series.Count} and {other.Series.Count} series";
        }

        var exact = true;
        foreach (var (labels, points) in Series)
        {
            if (!other.Series.TryGetValue(labels, out var others) || points.Count != others.Count)
            {
                return $"{{{labels}}}: {points.Count} and {others?.Count ?? 0} samples";
            }

            for (var i = 0; i < points.Count; i++)
            {
                if (points[i] == others[i])
                {
                    continue;
                }

                exact = false;
                if (points[i].Time != others[i].Time || !IsClose(points[i].Value, others[i].Value))
                {
                    return $"{{{labels}}}: {points[i]} and {others[i]}";
                }
            }
        }

        return exact ? "equal" : "1e-12";
    }

    static bool IsClose(string a, string b) =>
        double.TryParse(a, CultureInfo.InvariantCulture, out var x) && double.TryParse(b, CultureInfo.InvariantCulture, out var y)
        && Math.Abs(x - y) <= 1e-12 * Math.Max(Math.Abs(x), Math.Abs(y));
}
