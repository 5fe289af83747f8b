using System.Globalization;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Observe.Query.Promql.Parsing;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Query.HttpApi;

/// <summary>A request's parameters as Go's FormValue reads them: the form's first, then the URL's; of several the first.</summary>
/// <remarks>Errors are <see cref="ApiException"/> in Prometheus's words.</remarks>
sealed class RequestParameters
{
    /// <summary>Start and end of time where a request gives none: seconds that Go's time can hold, in milliseconds.</summary>
    public const long MinTime = -9_223_309_901_257_974_000;

    public const long MaxTime = 9_223_309_901_257_974_999;
    const string MinTimeText = "-292273086-05-16T16:47:06Z";
    const string MaxTimeText = "292277025-08-18T07:12:54.999999999Z";

    /// <summary>More in a URL or a form are refused.</summary>
    const int MaxValues = 16_384;

    readonly Dictionary<string, List<string>>? _form;
    readonly Dictionary<string, List<string>> _url;

    RequestParameters(Dictionary<string, List<string>>? form, Dictionary<string, List<string>> url) => (_form, _url) = (form, url);

    /// <summary>Reads the form of a POST; the body of any other request is not looked at.</summary>
    public static async ValueTask<RequestParameters> ReadAsync(HttpRequest request, long maxBodyBytes, CancellationToken cancellationToken)
    {
        // The form is refused at once, but the server reads the rest and drops it: a client whose connection is closed while it sends never
        // sees the answer.
        var hasForm = HttpMethods.IsPost(request.Method) && request.HasFormContentType;
        if (hasForm && request.ContentLength > maxBodyBytes)
        {
            throw ApiException.BadData($"error parsing form values: the body has {request.ContentLength} bytes, more than {maxBodyBytes}");
        }

        if (hasForm && request.HttpContext.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size)
        {
            size.MaxRequestBodySize = maxBodyBytes;
        }

        try
        {
            var url = UrlEncoded.Values(Encoding.UTF8.GetBytes(request.QueryString.Value?.TrimStart('?') ?? ""), MaxValues);
            return new RequestParameters(
                !hasForm ? null
                : request.ContentType!.StartsWith("multipart/", StringComparison.OrdinalIgnoreCase)
                    ? await PartsAsync(request, maxBodyBytes, cancellationToken)
                    : UrlEncoded.Values(await BodyAsync(request, maxBodyBytes, cancellationToken), MaxValues),
                url);
        }
        catch (Exception e) when (e is InvalidDataException or BadHttpRequestException or IOException)
        {
            throw ApiException.BadData($"error parsing form values: {e.Message}");
        }
    }

    static async ValueTask<byte[]> BodyAsync(HttpRequest request, long maxBodyBytes, CancellationToken cancellationToken)
    {
        using var body = new MemoryStream();
        var buffer = new byte[16_384];
        while (await request.Body.ReadAsync(buffer, cancellationToken) is var read and > 0)
        {
            if (body.Length + read > maxBodyBytes)
            {
                throw new InvalidDataException($"the body has more than {maxBodyBytes} bytes");
            }

            body.Write(buffer, 0, read);
        }

        return body.ToArray();
    }

    static async ValueTask<Dictionary<string, List<string>>> PartsAsync(HttpRequest request, long maxBodyBytes, CancellationToken cancellationToken)
    {
        var options = new FormOptions
        {
            BufferBodyLengthLimit = maxBodyBytes,
            MultipartBodyLengthLimit = maxBodyBytes,
            ValueLengthLimit = (int)maxBodyBytes,
            KeyLengthLimit = 2048,
            ValueCountLimit = MaxValues,
        };
        var form = await new FormFeature(request, options).ReadFormAsync(cancellationToken);
        return form.ToDictionary(pair => pair.Key, pair => pair.Value.OfType<string>().ToList(), StringComparer.Ordinal);
    }

    /// <summary>The first value; "" when there is none.</summary>
    public string this[string name] => _form is not null && _form.TryGetValue(name, out var values) ? values[0] : Url(name);

    /// <summary>The first value in the URL; "" when there is none.</summary>
    public string Url(string name) => _url.TryGetValue(name, out var values) ? values[0] : "";

    /// <summary>All values, the form's before the URL's.</summary>
    public IReadOnlyList<string> All(string name) => [.. _form?.GetValueOrDefault(name) ?? [], .. _url.GetValueOrDefault(name) ?? []];

    /// <summary>Unix milliseconds.</summary>
    public long Time(string name) => TryTime(this[name], out var time, out var error) ? time : throw ApiException.Parameter(name, error);

    public long Time(string name, long otherwise)
    {
        var text = this[name];
        return text.Length == 0 ? otherwise
            : TryTime(text, out var time, out var error) ? time
            : throw ApiException.Parameter(name, $"invalid time value for '{name}': {error}");
    }

    /// <summary>A duration in nanoseconds, null where it is not given.</summary>
    public long? Duration(string name)
    {
        var text = this[name];
        return text.Length == 0
            ? null : TryDuration(text, out var nanoseconds, out var error) ? nanoseconds : throw ApiException.Parameter(name, error);
    }

    /// <summary>A limit; 0 is none.</summary>
    public int Limit()
    {
        var text = this["limit"];
        if (text.Length == 0)
        {
            return 0;
        }

        var limit = Integer("limit", text);
        return limit < 0 ? throw ApiException.Parameter("limit", "limit must be non-negative") : (int)Math.Min(limit, int.MaxValue - 1);
    }

    public bool Bool(string name, bool otherwise) => this[name] switch
    {
        "" => otherwise,
        "1" or "t" or "T" or "true" or "TRUE" or "True" => true,
        "0" or "f" or "F" or "false" or "FALSE" or "False" => false,
        var text => throw ApiException.BadData($"'{name}' parameter: strconv.ParseBool: parsing {GoText.Quote(text)}: invalid syntax"),
    };

    /// <summary>The selectors of all <c>match[]</c>; a selector must not match all series.</summary>
    /// <param name="wrap">Whether errors name the parameter.</param>
    public IReadOnlyList<IReadOnlyList<Matcher>> Matchers(bool wrap)
    {
        var sets = new List<IReadOnlyList<Matcher>>();
        foreach (var text in All("match[]"))
        {
            try
            {
                sets.Add(PromqlParser.ParseMetricSelector(text));
            }
            catch (ParseException e)
            {
                throw wrap ? ApiException.Parameter("match[]", e.Message) : ApiException.BadData(e.Message);
            }
        }

        if (sets.Any(set => set.All(m => m.MatchesEmpty)))
        {
            const string Empty = "match[] must contain at least one non-empty matcher";
            throw wrap ? ApiException.Parameter("match[]", Empty) : ApiException.BadData(Empty);
        }

        return sets;
    }

    /// <summary>Parses a float as Unix seconds, or RFC 3339, into milliseconds; values beyond int64 become its ends.</summary>
    internal static bool TryTime(string text, out long milliseconds, out string error)
    {
        error = "";
        if (TryFloat(text, out var seconds) && double.IsFinite(seconds))
        {
            var whole = Math.Truncate(seconds);
            var nanoseconds = (long)(Math.Round((seconds - whole) * 1000, MidpointRounding.AwayFromZero) / 1000 * 1e9);
            milliseconds = whole * 1000 is > -9.2e18 and < 9.2e18
                ? ((long)whole * 1000) + (long)Math.Floor(nanoseconds / 1e6)
                : whole < 0 ? long.MinValue : long.MaxValue;
            return true;
        }

        switch (text)
        {
            case MinTimeText:
                milliseconds = MinTime;
                return true;
            case MaxTimeText:
                milliseconds = MaxTime;
                return true;
            default:
                if (TryRfc3339(text, out milliseconds))
                {
                    return true;
                }

                error = $"cannot parse {GoText.Quote(text)} to a valid timestamp";
                return false;
        }
    }

    /// <summary>Parses a float as seconds, or a duration of Prometheus, into nanoseconds.</summary>
    internal static bool TryDuration(string text, out long nanoseconds, out string error)
    {
        error = "";
        if (TryFloat(text, out var seconds) && !double.IsNaN(seconds))
        {
            var exact = seconds * 1e9;
            if (exact is > long.MaxValue or < long.MinValue)
            {
                nanoseconds = 0;
                error = $"cannot parse {GoText.Quote(text)} to a valid duration. It overflows int64";
                return false;
            }

            nanoseconds = exact >= long.MaxValue ? long.MaxValue : (long)exact;
            return true;
        }

        if (Tsdb.Model.Duration.TryParse(text, out var milliseconds, out _))
        {
            nanoseconds = milliseconds * 1_000_000;
            return true;
        }

        nanoseconds = 0;
        error = $"cannot parse {GoText.Quote(text)} to a valid duration";
        return false;
    }

    internal static long Integer(string name, string text)
    {
        if (long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value))
        {
            return value;
        }

        var digits = text.AsSpan(text.StartsWith('-') || text.StartsWith('+') ? 1 : 0);
        var reason = digits.Length > 0 && digits.IndexOfAnyExceptInRange('0', '9') < 0 ? "value out of range" : "invalid syntax";
        throw ApiException.Parameter(name, $"strconv.Atoi: parsing {GoText.Quote(text)}: {reason}");
    }

    /// <summary>Parses a float as strconv.ParseFloat does, but no hexadecimal one.</summary>
    static bool TryFloat(string text, out double value)
    {
        value = text.TrimStart('+', '-').ToUpperInvariant() switch
        {
            "INF" or "INFINITY" => text.StartsWith('-') ? double.NegativeInfinity : double.PositiveInfinity,
            "NAN" => double.NaN,
            _ => 0,
        };
        const NumberStyles Style = NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent;
        return value != 0 || (text.Length > 0 && (char.IsAsciiDigit(text[^1]) || text[^1] == '.')
            && double.TryParse(text, Style, CultureInfo.InvariantCulture, out value) && double.IsFinite(value));
    }

    /// <summary><c>2006-01-02T15:04:05.999999999Z07:00</c>: any number of decimals, years of four digits.</summary>
    static bool TryRfc3339(ReadOnlySpan<char> text, out long milliseconds)
    {
        milliseconds = 0;
        if (text.Length < 20 || !Digits(text[..4], out var year) || text[4] != '-' || !Digits(text[5..7], out var month) || text[7] != '-'
            || !Digits(text[8..10], out var day) || text[10] != 'T' || !Digits(text[11..13], out var hour) || text[13] != ':'
            || !Digits(text[14..16], out var minute) || text[16] != ':' || !Digits(text[17..19], out var second)
            || month is < 1 or > 12 || day < 1 || hour > 23 || minute > 59 || second > 59)
        {
            return false;
        }

        var rest = text[19..];
        var fraction = 0;
        if (rest[0] is '.' or ',')
        {
            var end = rest[1..].IndexOfAnyExceptInRange('0', '9') + 1;
            if (end <= 1)
            {
                return false;
            }

            for (var i = 1; i <= 3; i++)
            {
                fraction = (fraction * 10) + (i < end ? rest[i] - '0' : 0);
            }

            rest = rest[end..];
        }

        var offset = 0;
        if (rest is not "Z")
        {
            if (rest.Length != 6 || rest[0] is not ('+' or '-') || rest[3] != ':' || !Digits(rest[1..3], out var offsetHour)
                || !Digits(rest[4..6], out var offsetMinute) || offsetHour > 24 || offsetMinute > 60)
            {
                return false;
            }

            offset = ((offsetHour * 60) + offsetMinute) * (rest[0] == '-' ? -1 : 1);
        }

        // Year 0 is a leap year that .NET's dates lack; 400 years later all is the same.
        var shift = year == 0 ? 400 : 0;
        if (day > DateTime.DaysInMonth(year + shift, month))
        {
            return false;
        }

        var date = new DateTime(year + shift, month, day, hour, minute, second, DateTimeKind.Utc);
        milliseconds = ((date.Ticks - DateTime.UnixEpoch.Ticks) / TimeSpan.TicksPerMillisecond) + fraction
            - (offset * 60_000L) - (shift == 0 ? 0 : 146_097 * 86_400_000L);
        return true;
    }

    static bool Digits(ReadOnlySpan<char> text, out int value)
    {
        value = 0;
        foreach (var c in text)
        {
            if (!char.IsAsciiDigit(c))
            {
                return false;
            }

            value = (value * 10) + c - '0';
        }

        return true;
    }
}
