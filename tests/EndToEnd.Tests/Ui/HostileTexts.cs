namespace Observe.EndToEnd.Tests.Ui;

/// <summary>A hundred texts that a page must show and never obey: markup, scripts, templates, addresses, and characters that break lines and layouts.</summary>
static class HostileTexts
{
    const string Run = "window.hacked=true";

    static readonly string[] s_elements =
    [
        "script", "SCRIPT", "ScRiPt", "svg/onload=", "svg><script", "iframe srcdoc='<script", "object data=", "embed src=", "base href=", "style>@import '",
        "math><mtext><script", "body onload=", "details open ontoggle=", "video><source onerror=", "audio src=x onerror=", "marquee onstart=",
        "form action=javascript:", "button autofocus onfocus=", "input autofocus onfocus=", "select autofocus onfocus=", "textarea autofocus onfocus=",
        "keygen autofocus onfocus=", "link rel=stylesheet href=", "meta http-equiv=refresh content='0;url=", "template><script", "noscript><p title='</noscript><script",
        "xss id=x tabindex=1 onfocus=", "a href=javascript:", "img src=x onerror=", "img src=`x`onerror=",
    ];

    static readonly string[] s_others =
    [
        $"\"><script>{Run}</script>", $"'><script>{Run}</script>", $"</title><script>{Run}</script>", $"</style><script>{Run}</script>",
        $"</textarea><script>{Run}</script>", $"--><script>{Run}</script>", $"]]><script>{Run}</script>", $"<!--<script>{Run}</script>-->",
        $"<script\n>{Run}</script\n>", $"<scr<script>ipt>{Run}</scr</script>ipt>", $"&lt;script&gt;{Run}&lt;/script&gt;", $"&#60;script&#62;{Run}&#60;/script&#62;",
        $"\\u003cscript\\u003e{Run}\\u003c/script\\u003e", $"%3Cscript%3E{Run}%3C/script%3E", $"javascript:{Run}", $"JaVaScRiPt:{Run}", $"java\tscript:{Run}",
        $"data:text/html,<script>{Run}</script>", $"vbscript:{Run}", "//evil.example/x.js", "http://evil.example/", "\\\\evil.example\\share",
        $"{{{{constructor.constructor('{Run}')()}}}}", $"${{{Run}}}", $"#{{{Run}}}", $"<%= {Run} %>", $"{{{{{Run}}}}}", $"`${{{Run}}}`",
        "__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "valueOf", "undefined", "null", "NaN", "true", "[object Object]", "0", "-1",
        "' OR 1=1 --", "\"; DROP TABLE series; --", "$(touch /tmp/hacked)", "`touch /tmp/hacked`", "; touch /tmp/hacked", "../../../../etc/passwd", "..\\..\\boot.ini",
        "}", "{", "\"", "\\", "\\\"", "a\nb\nc", "a\r\nb", "\t\t\t", "   ", "\u0000", "\u0007\u001b[31mred\u001b[0m", "\u202Eright to left\u202C", "\u200B\u200C\u200D\uFEFF",
        "\u2028line\u2029paragraph", "é\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u0301", "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳", "👩‍👩‍👧‍👦🏳️‍🌈", "田中さんにあげて下さい",
        "مرحبا بالعالم", new string('W', 2000), string.Concat(Enumerable.Repeat("very long text ", 200)), new string('\u0301', 300),
    ];

    public static IReadOnlyList<string> All { get; } = [.. s_elements.Select((element, i) => $"<{element}{(element.EndsWith('=') ? "" : ">")}{Run}//{i}").Concat(s_others)];
}
