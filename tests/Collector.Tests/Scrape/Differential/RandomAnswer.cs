using System.Globalization;
using System.IO.Compression;
using System.Text;
using Observe.Testkit;

namespace Observe.Collector.Tests.Scrape.Differential;

/// <summary>What a target may say: both text formats with all they have, sound and broken, under headers of any kind.</summary>
/// <param name="now">Unix milliseconds; explicit timestamps are around it.</param>
sealed class RandomAnswer(RandomText random, long now)
{
    static readonly string[] s_text = ["text/plain; version=0.0.4", "text/plain", "text/plain; version=1.0.0; escaping=allow-utf-8"];
    static readonly string[] s_openMetrics = ["application/openmetrics-text; version=1.0.0; charset=utf-8", "application/openmetrics-text"];

    static readonly string[] s_oddTypes =
    [
        "TEXT/Plain", "text/plain;", "text/plain; charset", "text/plain; charset=\"utf-8", "text/plain; a=b; a=c", "text/html", "", " ", "text",
        "text/", "/plain", "text/plain, application/json", "text/plain; x=\"a\\\"b\"", "text/plain;;", "text/plain ; version=0.0.4 ", "application/json",
        "application/openmetrics-text; q=é", "text/plain; charset*=utf-8''x", "text /plain", "application/OpenMetrics-Text;version=0.0.1",
        "text/plain; version*0=\"1\"; version*1=\"2\"", "text/plain; a=b; A=b", "text/plain; a=b; a=b",
    ];

    public static readonly string[] Numbers =
    [
        "0", "1", "-1", "1.0", "1e3", "1E+3", "+5", "00.5", "010", ".5", "5.", ".", "-0", "NaN", "nan", "-NaN", "+NaN", "Inf", "+Inf", "-inf", "Infinity", "+INFINITY", "infin",
        "0x10", "0x1p4", "0x.8P1", "0X1P-2", "0b11", "0o17", "1_000", "1_0.5", "0x_1p0", "1e400", "-1e400", "1e-400", "4.9e-324", "2.4703282292062327e-324", "1.7976931348623157e308",
        "1.7976931348623159e308", "9007199254740993", "123456789012345678901234567890", "0.1", "1e", "e1", "1e+", "1 ", "--1", "１", "1f", "1d", "1L", "1.5e3", "100000000000000000000000", "1e21", "1e20", "0.000001", "1e-7", "123456.789e3",
        "0.30000000000000004", "1.0000000000000001", "0.1e1", "10", "1.", "01", "1e01", "1e+01", "0e0", "0e99999999999", "1e99999999999", "-0.0", "0.0",
    ];

    bool _openMetrics;

    public FakeAnswer Next()
    {
        _openMetrics = random.OneIn(3);
        var body = random.OneIn(40) ? [] : Encoding.UTF8.GetBytes(Body());
        body = random.OneIn(12) ? random.Mutate(body) : body;
        var headers = new List<(string, string)>();
        var types = random.OneIn(15) ? s_oddTypes : _openMetrics ? s_openMetrics : s_text;
        for (var count = random.OneIn(25) ? random.Below(3) : 1; count > 0; count--)
        {
            headers.Add((random.One("Content-Type", "Content-Type", "content-type"), random.One(types)));
        }

        body = Encode(body, headers);
        if (random.OneIn(60))
        {
            headers.Add(("X-Long", new string('x', random.One(1000, 30_000, 70_000, 200_000))));
        }

        if (random.OneIn(20))
        {
            headers.Add((random.One("X-A", "Server", "Set-Cookie", "Cache-Control", "Date", "Content-Language", "ETag", "Vary"), random.One("", "a", "é", "a, b", "\t", "x\ty", "\"")));
        }

        var status = random.OneIn(30) ? random.One(201, 204, 301, 304, 404, 500, 503) : 200;
        return new FakeAnswer
        {
            Status = status,
            ContentType = null,
            Body = status is 204 or 304 ? [] : body,
            Headers = headers,
        };
    }

    byte[] Encode(byte[] body, List<(string, string)> headers)
    {
        if (!random.OneIn(3))
        {
            if (random.OneIn(40))
            {
                headers.Add(("Content-Encoding", random.One("gzip", "identity", "", "deflate", "br", "x-gzip")));
            }

            return body;
        }

        var cut = random.Below(body.Length + 1);
        byte[] encoded = random.Below(12) switch
        {
            0 => [.. Gzip(body), .. Gzip([])],
            1 => [.. Gzip([]), .. Gzip(body)],
            2 => [.. Gzip(body[..cut]), .. Gzip(body[cut..])],
            3 => [.. Gzip(body[..cut]), .. Gzip([]), .. Gzip([]), .. Gzip(body[cut..]), .. Gzip([])],
            4 => Gzip([]),
            5 => [.. Gzip(body), .. random.One<byte[]>([0], [0, 0, 0, 0], [1, 2, 3], [31, 139], [31], [31, 139, 8, 0])],
            6 => random.Mutate(Gzip(body)),
            7 => Gzip(Gzip(body)),
            _ => Gzip(body),
        };
        headers.Add(("Content-Encoding", random.OneIn(15) ? random.One("GZIP", "Gzip", "x-gzip", "gzip, identity", " gzip ", "gzip;q=1") : "gzip"));
        if (random.OneIn(30))
        {
            headers.Add(("Content-Encoding", random.One("gzip", "identity")));
        }

        return encoded;
    }

    static byte[] Gzip(byte[] body)
    {
        var output = new MemoryStream();
        using (var gzip = new GZipStream(output, CompressionLevel.Optimal))
        {
            gzip.Write(body);
        }

        // .NET writes nothing at all for an empty stream.
        return output.Length > 0 ? output.ToArray() : [31, 139, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    }

    string Body()
    {
        var body = random.Many(1, 12, () => random.OneIn(4) ? Metadata() : random.OneIn(15) ? Sample() : Sound());
        if (_openMetrics)
        {
            return body + (random.OneIn(40) ? "" : "# EOF" + (random.OneIn(20) ? random.One("", "\n\n", " ", "\r\n") : "\n"));
        }

        return random.OneIn(10) ? body.TrimEnd('\n') : body;
    }

    string Metadata()
    {
        var name = Name();
        var text = random.Below(8) switch
        {
            0 => $"# HELP {name} some \\\\ \\n \\\" {random.One("é", "x", "\u0001", "")}\n",
            1 when random.OneIn(4) => $"# {random.One("EOF", "comment", "", " HELP", "TYPE", "HELP m", "TYPE m", "UNIT m", "HELP m x y", "HELP\tm\tx", "TYPE  m  gauge")}\n",
            2 when random.OneIn(4) => $"# UNIT {name} {random.One("seconds", "total", "bucket", "", "s")}\n",
            _ when random.OneIn(20) => $"# TYPE {name} {random.One("untyped", "unknown", "info", "stateset", "gaugehistogram", "Counter", "x", "")}\n",
            _ => $"# TYPE {name} {random.One("counter", "gauge", "histogram", "summary", "histogram", "summary")}\n",
        };
        return random.OneIn(25) ? random.One("\n", "#\n", "  \n", "#x\n", "\t# HELP m x\n", "# \n", "##\n") + text : text;
    }

    string Name() => random.OneIn(60)
        ? random.One("\"a.b\"", "\"m\"", "\"é\"", "\"\"", "\"a\\\"b\"", "\"a\\nb\"", "é", "1m", "m-n", "m.n", ":", "_", "__name__", "\"x\ny\"", "m'", "\"a")
        : random.One("m", "m", "n", "n_total", "h_bucket", "h_sum", "h_count", "s", "s_sum", "a:b", "_x", "m_created", "m_seconds", "i_info", "M9");

    string LabelName() => random.OneIn(20)
        ? random.One("\"a.b\"", "\"é\"", "\"\"", "\"a\"", "é", "1a", "a-b", ":", "__name__", "\"__name__\"", "\"a\\\"b\"", "__x", "__address__", "a:b")
        : random.One("a", "b", "c", "d", "A", "le", "quantile", "job", "instance", "exported_job", "exported_instance", "exported_exported_job", "team", "_");

    string LabelValue() => random.Below(40) switch
    {
        0 => new string('v', random.One(50, 200, 300, 16_383, 20_000, 65_535, 65_536, 70_000, 140_000)),
        1 => random.One("\\n", "\\\"", "\\\\", "\\x", "\\", "\n", "\\\n", "\0", "\r", "\t", "\u0001", "\ufffd", "\\u0041", "\u2028", "\ud83d\ude00", "İıſßǅ"),
        < 9 => "",
        < 20 => random.One(Numbers),
        _ => random.One("x", "y", "z", "0.5", "1", "0.99", "+Inf", "é", "a b", "{}", "#", ",", "=", "'"),
    };

    string Label()
    {
        var label = $"{LabelName()}=\"{LabelValue()}\"";
        return random.OneIn(25) ? label.Replace("=", random.One(" = ", "= ", " =", "\t=", "=="), StringComparison.Ordinal) : label;
    }

    string LabelSet()
    {
        if (random.OneIn(400))
        {
            var count = random.One(64, 300, 2_000, 5_000);
            return "{" + string.Concat(Enumerable.Range(0, count).Select(i => string.Create(CultureInfo.InvariantCulture, $"l{i}=\"{i}\","))) + "}";
        }

        var first = true;
        var labels = random.Many(0, 4, () =>
        {
            var separator = first ? "" : random.OneIn(30) ? random.One(" ", ",,", ", ", " ,", "", ";") : ",";
            first = false;
            return separator + Label();
        });
        var quoted = random.OneIn(15) ? random.One("\"a.b\"", "\"m\"", "\"é\"", "\"\"", "\"a\\\"b\"") + (labels.Length > 0 ? "," : "") : "";
        return random.One("{", "{", "{", "{", "{", "{", "{", "{", "{ ", " {") + quoted + labels + random.One("}", "}", "}", "}", "}", "}", ",}", " }", "", "} ");
    }

    /// <summary>A line without a fault, but for numbers that are none.</summary>
    string Sound()
    {
        var names = new HashSet<string>();
        var labels = random.Many(0, 4, () => random.One("a", "b", "c", "d", "A", "le", "quantile", "job", "instance", "exported_job", "exported_instance", "exported_exported_job", "team", "_") is var name
            && (names.Add(name) || random.OneIn(25)) ? $"{name}=\"{(random.OneIn(4) ? random.One(Numbers) : random.One("", "x", "y", "0.5", "1", "+Inf", "é", "a b", "\\n"))}\"," : "");
        labels = _openMetrics ? labels.TrimEnd(',') : labels;
        var name = random.One("m", "m", "n", "n_total", "h_bucket", "h_sum", "s", "s_sum", "a:b", "_x", "m_created", "M9", random.One("up", "scrape_duration_seconds"));
        labels += name is "up" or "scrape_duration_seconds" ? (labels.Length > 0 && labels[^1] != ',' ? "," : "") + "own=\"1\"" : "";
        var value = random.OneIn(30) ? random.One(Numbers) : random.One("1", "2.5", "1e3", "NaN", "+Inf", random.Below(1000).ToString(CultureInfo.InvariantCulture));
        var line = $"{name}{(labels.Length > 0 || random.OneIn(5) ? "{" + labels + "}" : "")} {value}{Timestamp()}\n";
        return random.OneIn(15) ? line + line : line;
    }

    string Sample()
    {
        var name = random.OneIn(25) ? "" : Name();
        var labels = random.OneIn(3) ? "" : LabelSet();
        var value = random.OneIn(3) ? random.One(Numbers) : random.Below(100).ToString(CultureInfo.InvariantCulture);
        var line = name + labels + (random.OneIn(40) ? random.One("", "  ", "\t", " \t ") : " ") + value + Timestamp();
        if (_openMetrics && random.OneIn(10))
        {
            line += random.One(" # {id=\"1\"} 2", " # {} 1 1", " # {id=\"é\"} 1e3 1520879607.789", " # {id=\"a\\nb\"} x", " #{} 1", " # {id=\"1\",id=\"2\"} 1", " # {a} 1", " # {id=\"1\"} 1 nan", " # {id=\"1\" } 1");
        }

        line = random.OneIn(40) ? random.One(" ", "\t", "\r", "\0", "\ufeff") + line : line;
        line += random.OneIn(40) ? random.One(" ", "\t", "\r", " #", " x", "\0", "  ") : "";

        // The same again, or nearly.
        return line + "\n" + (random.OneIn(12) ? line + random.One("", "", "1", " ") + "\n" : "");
    }

    string Timestamp()
    {
        if (!random.OneIn(6))
        {
            return "";
        }

        if (random.OneIn(20))
        {
            return " " + random.One("0", "-1", "1", "-0", "+1", "1e3", "1.5", "NaN", "Inf", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "99999999999999999999", "x", "0x1", "1_0", "9.3e18");
        }

        var minutes = random.One(-600, -200, -3, -2, -1, 0, 1, 2, 5, 30, 600, 100_000);
        var at = now + (minutes * 60_000L) + random.One(0, 0, 0, 1, 2, 3);
        return " " + (_openMetrics ? (at / 1000.0).ToString("R", CultureInfo.InvariantCulture) : at.ToString(CultureInfo.InvariantCulture));
    }
}
