using System.Globalization;
using System.Text;
using Microsoft.AspNetCore.Routing;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Query.HttpApi;

/// <summary><c>series</c>, <c>labels</c> and <c>label/NAME/values</c>.</summary>
static class SeriesEndpoints
{
    public static void Map(ApiRoutes api)
    {
        api.Map("series", "series", SeriesAsync, post: true);
        api.Map("labels", "label_names", NamesAsync, post: true);
        api.Map("label/{name}/values", "label_values", ValuesAsync);
    }

    static async Task SeriesAsync(ApiCall call)
    {
        if (call.Parameters.All("match[]").Count == 0)
        {
            throw ApiException.BadData("no match[] parameter provided");
        }

        var limit = call.Parameters.Limit();
        var hints = Hints(call, limit);
        var sets = call.Parameters.Matchers(wrap: true);
        var querier = call.Options.Querier(QueryEndpoints.Fanout(call));
        var warnings = new Warnings();
        var found = await call.Options.Engine.ReadAsync(
            async token =>
            {
                var all = new List<Labels>();
                foreach (var matchers in sets)
                {
                    await foreach (var series in querier.SelectAsync(hints, matchers, warnings, token))
                    {
                        all.Add(series.Labels.Copy());
                    }
                }

                if (sets.Count > 1)
                {
                    all.Sort();
                }

                return all;
            },
            call.Cancelled);
        var json = call.Begin().Raw("["u8);
        var written = 0;
        for (var i = 0; i < found.Count; i++)
        {
            if (i > 0 && found[i] == found[i - 1])
            {
                continue;
            }

            if (limit > 0 && written == limit)
            {
                warnings.Add(Warnings.Truncated);
                break;
            }

            json.Raw(written++ > 0 ? ","u8 : ""u8).LabelSet(found[i]);
            await call.FlushAsync(noStore: !warnings.IsEmpty);
        }

        json.Raw("]"u8);
        await call.EndAsync(warnings);
    }

    static Task NamesAsync(ApiCall call)
    {
        var limit = call.Parameters.Limit();
        var hints = Hints(call, limit);
        var querier = call.Options.Querier(QueryEndpoints.Fanout(call));
        return TextsAsync(call, limit, (matchers, warnings, token) => querier.LabelNamesAsync(hints, matchers, warnings, token));
    }

    static Task ValuesAsync(ApiCall call)
    {
        var name = (string)call.Http.GetRouteValue("name")!;
        if (name.StartsWith("U__", StringComparison.Ordinal))
        {
            name = Unescape(name);
        }

        var limit = call.Parameters.Limit();
        var hints = Hints(call, limit);
        var querier = call.Options.Querier(QueryEndpoints.Fanout(call));
        return TextsAsync(call, limit, (matchers, warnings, token) => querier.LabelValuesAsync(name, hints, matchers, warnings, token));
    }

    static async Task TextsAsync(
        ApiCall call, int limit, Func<IReadOnlyList<Matcher>, Warnings, CancellationToken, ValueTask<IReadOnlyList<string>>> ask)
    {
        var sets = call.Parameters.Matchers(wrap: false);
        var warnings = new Warnings();
        var texts = await call.Options.Engine.ReadAsync(
            async token =>
            {
                if (sets.Count <= 1)
                {
                    return await ask(sets.Count == 1 ? sets[0] : [], warnings, token);
                }

                var all = new SortedSet<string>(Utf8Order.Instance);
                foreach (var matchers in sets)
                {
                    all.UnionWith(await ask(matchers, warnings, token));
                }

                return [.. all];
            },
            call.Cancelled);
        if (limit > 0 && texts.Count > limit)
        {
            texts = [.. texts.Take(limit)];
            warnings.Add(Warnings.Truncated);
        }

        call.Begin().TextList(texts);
        await call.EndAsync(warnings);
    }

    static SelectHints Hints(ApiCall call, int limit)
    {
        var start = call.Parameters.Time("start", RequestParameters.MinTime);
        var end = call.Parameters.Time("end", RequestParameters.MaxTime);
        return new SelectHints
        {
            Range = new TimeRange(start, end),
            Function = "series",
            SkipSamples = true,
            Limit = limit > 0 ? limit + 1 : 0,
        };
    }

    /// <summary>
    /// A name in the escaping of values: <c>U__</c>, then <c>__</c> for an underscore and <c>_HEX_</c> for any other character that a
    /// legacy name can't have. What is not in this form is the name itself.
    /// </summary>
    internal static string Unescape(string escaped)
    {
        var text = escaped.AsSpan(3);
        var name = new StringBuilder(text.Length);
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] != '_')
            {
                name.Append(text[i]);
                continue;
            }

            if (i + 1 < text.Length && text[i + 1] == '_')
            {
                name.Append('_');
                i++;
                continue;
            }

            var end = text[(i + 1)..].IndexOf('_');
            if (end is < 1 or > 6 || !int.TryParse(text.Slice(i + 1, end), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var rune)
                || !Rune.IsValid(rune))
            {
                return escaped;
            }

            name.Append(new Rune(rune).ToString());
            i += end + 1;
        }

        return name.ToString();
    }
}
