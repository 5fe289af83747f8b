using System.Globalization;
using System.Text;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Routing;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Query.HttpApi;

/// <summary><c>series</c>, <c>labels</c> and <c>label/NAME/values</c>.</summary>
static class SeriesEndpoints
{
    /// <summary>After so many series a search is no small one.</summary>
    const int FewSeries = 4_096;

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
        var query = QueryEndpoints.Begin(call);
        Task<Found<Labels>> ReadAsync(QueryContext turn) => Found<Labels>.ReadAsync(turn, async all =>
        {
            foreach (var matchers in sets)
            {
                await foreach (var series in querier.SelectAsync(turn.Select(hints, matchers)))
                {
                    turn.Series.Take(1);
                    all.Add(series.Labels.Copy(), series.Labels.Encoded.Length);
                    if (all.Items.Count == FewSeries)
                    {
                        await Task.Yield();
                    }
                }
            }

            if (sets.Count > 1)
            {
                all.Items.Sort();
            }
        });
        using var result = await call.Options.Engine.ReadAsync(query, ReadAsync, mayRunInline: true);
        var found = result.Items;
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
                query.Coverage.Truncate();
                break;
            }

            json.Raw(written++ > 0 ? ","u8 : ""u8).LabelSet(found[i]);
            await call.FlushAsync(noStore: !query.Coverage.IsEmpty);
        }

        json.Raw("]"u8);
        await call.EndAsync(query.Coverage);
    }

    static Task NamesAsync(ApiCall call)
    {
        var limit = call.Parameters.Limit();
        var hints = Hints(call, limit);
        var querier = call.Options.Querier(QueryEndpoints.Fanout(call));
        return TextsAsync(call, limit, (query, matchers) => querier.LabelNamesAsync(query.Select(hints, matchers)));
    }

    static Task ValuesAsync(ApiCall call)
    {
        // The path as it came: what is not UTF-8 in it is lost in the route's value.
        var path = call.Http.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget.Split('?')[0].TrimEnd('/').Split('/');
        if (path.Length < 3 || !UrlEncoded.TryDecode(Encoding.UTF8.GetBytes(path[^2]), isPath: true, out var name))
        {
            name = (string)call.Http.GetRouteValue("name")!;
        }

        name = name.StartsWith("U__", StringComparison.Ordinal) ? Unescape(name) : name;
        if (!LabelName.IsValid(name))
        {
            throw ApiException.BadData($"invalid label name: {GoText.Quote(name)}");
        }

        var limit = call.Parameters.Limit();
        var hints = Hints(call, limit);
        var querier = call.Options.Querier(QueryEndpoints.Fanout(call));
        return TextsAsync(call, limit, (query, matchers) => querier.LabelValuesAsync(name, query.Select(hints, matchers)));
    }

    static async Task TextsAsync(ApiCall call, int limit, Func<QueryContext, IReadOnlyList<Matcher>, ValueTask<IReadOnlyList<string>>> ask)
    {
        var sets = call.Parameters.Matchers(wrap: false);
        var query = QueryEndpoints.Begin(call);
        Task<Found<string>> ReadAsync(QueryContext turn) => Found<string>.ReadAsync(turn, async all =>
        {
            foreach (var matchers in sets.Count == 0 ? [[]] : sets)
            {
                var texts = await ask(turn, matchers);
                all.AddRange(texts, texts.Sum(text => (long)sizeof(char) * text.Length));
            }
        });
        using var result = await call.Options.Engine.ReadAsync(query, ReadAsync, mayRunInline: true);
        List<string> texts = sets.Count <= 1 ? result.Items : [.. result.Items.Distinct(StringComparer.Ordinal).Order(Utf8Order.Instance)];
        if (limit > 0 && texts.Count > limit)
        {
            texts = [.. texts.Take(limit)];
            query.Coverage.Truncate();
        }

        call.Begin().TextList(texts);
        await call.EndAsync(query.Coverage);
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
    /// legacy name can't have. A text that is not in this form is the name itself.
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
            if (end is < 1 or > 6
                || !int.TryParse(text.Slice(i + 1, end), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var rune)
                || !Rune.IsValid(rune))
            {
                return escaped;
            }

            name.Append(new Rune(rune).ToString());
            i += end + 1;
        }

        return name.ToString();
    }

    /// <summary>The results of a search, counted as bytes of its query until they are disposed, once they were written out.</summary>
    sealed class Found<T>(QueryContext query) : IDisposable
    {
        /// <summary>Bytes that a result takes, about, beside its text.</summary>
        const int ItemBytes = 64;

        readonly Budget _held = new(outer: query.Bytes);

        public List<T> Items { get; } = [];

        public static async Task<Found<T>> ReadAsync(QueryContext query, Func<Found<T>, Task> read)
        {
            var found = new Found<T>(query);
            try
            {
                await read(found);
                return found;
            }
            catch
            {
                found.Dispose();
                throw;
            }
        }

        public void Add(T item, int bytes)
        {
            _held.Take(ItemBytes + bytes);
            Items.Add(item);
        }

        public void AddRange(IReadOnlyList<T> items, long bytes)
        {
            _held.Take(((long)ItemBytes * items.Count) + bytes);
            Items.AddRange(items);
        }

        public void Dispose() => _held.Dispose();
    }
}
