using System.Text;
using Microsoft.AspNetCore.Http;
using Observe.Query.HttpApi;
using Xunit;

namespace Observe.Query.Tests.HttpApi;

public sealed class RequestParametersTests
{
    [Theory]
    [InlineData("0", 0)]
    [InlineData("1435781451.781", 1_435_781_451_781)]
    [InlineData("1e3", 1_000_000)]
    [InlineData("-1.5", -1_500)]
    [InlineData(".5", 500)]
    [InlineData("1600096945", 1_600_096_945_000)]
    [InlineData("1600096945000", 1_600_096_945_000_000)]
    [InlineData("2015-07-01T20:10:51.781Z", 1_435_781_451_781)]
    [InlineData("2015-07-01T20:10:51.7819999Z", 1_435_781_451_781)]
    [InlineData("2015-07-01T22:10:51+02:00", 1_435_781_451_000)]
    [InlineData("1969-12-31T23:59:59.5Z", -500)]
    [InlineData("0000-01-01T00:00:00Z", -62_167_219_200_000)]
    [InlineData("9999-12-31T23:59:59Z", 253_402_300_799_000)]
    [InlineData("-292273086-05-16T16:47:06Z", RequestParameters.MinTime)]
    [InlineData("292277025-08-18T07:12:54.999999999Z", RequestParameters.MaxTime)]
    [InlineData("1e30", long.MaxValue)]
    [InlineData("-1e30", long.MinValue)]
    public void A_time_is_seconds_or_RFC_3339(string text, long expected)
    {
        Assert.True(RequestParameters.TryTime(text, out var time, out _));
        Assert.Equal(expected, time);
    }

    [Theory]
    [InlineData("")]
    [InlineData("foo")]
    [InlineData("30s")]
    [InlineData("2015-07-01")]
    [InlineData("2015-07-01 20:10:51Z")]
    [InlineData("2015-02-30T20:10:51Z")]
    [InlineData("2015-07-01T20:10:51")]
    [InlineData("2015-07-01T20:10:51.Z")]
    [InlineData("2015-07-01T24:10:51Z")]
    [InlineData("1 ")]
    [InlineData(" 1")]
    [InlineData("1,000")]
    [InlineData("1e400")]
    public void Anything_else_is_no_time(string text)
    {
        Assert.False(RequestParameters.TryTime(text, out _, out var error));
        Assert.Equal($"cannot parse \"{text}\" to a valid timestamp", error);
    }

    [Theory]
    [InlineData("15", 15_000_000_000)]
    [InlineData("0.5", 500_000_000)]
    [InlineData("-1", -1_000_000_000)]
    [InlineData("1m30s", 90_000_000_000)]
    [InlineData("5m", 300_000_000_000)]
    public void A_duration_is_seconds_or_in_units(string text, long expected)
    {
        Assert.True(RequestParameters.TryDuration(text, out var nanoseconds, out _));
        Assert.Equal(expected, nanoseconds);
    }

    [Theory]
    [InlineData("x", "cannot parse \"x\" to a valid duration")]
    [InlineData("", "cannot parse \"\" to a valid duration")]
    [InlineData("1e20", "cannot parse \"1e20\" to a valid duration. It overflows int64")]
    public void Anything_else_is_no_duration(string text, string expected)
    {
        Assert.False(RequestParameters.TryDuration(text, out _, out var error));
        Assert.Equal(expected, error);
    }

    [Fact]
    public async Task A_form_comes_before_the_URL_and_the_first_value_counts()
    {
        var parameters = await Read("POST", "?dedup=false&dedup=false&match[]=c&only=url", "dedup=true&dedup=false&match[]=a&match[]=b");
        Assert.Equal("true", parameters["dedup"]);
        Assert.Equal("url", parameters["only"]);
        Assert.Equal("", parameters["none"]);
        Assert.Equal(["a", "b", "c"], parameters.All("match[]"));
    }

    [Fact]
    public async Task Only_the_URL_counts_in_a_GET()
    {
        var parameters = await Read("GET", "?a=url", "a=body&b=body");
        Assert.Equal("url", parameters["a"]);
        Assert.Equal("", parameters["b"]);
    }

    [Fact]
    public async Task A_form_that_is_too_long_is_refused()
    {
        var error = await Assert.ThrowsAsync<ApiException>(() => Read("POST", "", "query=" + new string('a', 2_000), 1_000));
        Assert.Equal(400, error.Status);
    }

    [Theory]
    [InlineData("1", true)]
    [InlineData("True", true)]
    [InlineData("f", false)]
    [InlineData("", true)]
    public async Task Booleans_are_read_as_Go_reads_them(string text, bool expected) =>
        Assert.Equal(expected, (await Read("GET", $"?dedup={text}", "")).Bool("dedup", otherwise: true));

    [Fact]
    public async Task Faults_are_told_in_Go_s_words()
    {
        var parameters = await Read("GET", "?dedup=yes&limit=ten", "");
        Assert.Equal("'dedup' parameter: strconv.ParseBool: parsing \"yes\": invalid syntax",
            Assert.Throws<ApiException>(() => parameters.Bool("dedup", true)).Message);
        Assert.Equal("invalid parameter \"limit\": strconv.Atoi: parsing \"ten\": invalid syntax",
            Assert.Throws<ApiException>(() => parameters.Limit()).Message);
    }

    [Theory]
    [InlineData("U__http_2e_status", "http.status")]
    [InlineData("U__a__b", "a_b")]
    [InlineData("U___1f600_", "😀")]
    [InlineData("U__plain", "plain")]
    [InlineData("U__a_", "U__a_")]
    [InlineData("U__a_zz_", "U__a_zz_")]
    [InlineData("U__a_d800_", "U__a_d800_")]
    public void Escaped_names_are_unescaped(string escaped, string expected) => Assert.Equal(expected, SeriesEndpoints.Unescape(escaped));

    static async Task<RequestParameters> Read(string method, string url, string body, long maxBodyBytes = 1 << 20)
    {
        var http = new DefaultHttpContext();
        http.Request.Method = method;
        http.Request.QueryString = new QueryString(url);
        http.Request.ContentType = "application/x-www-form-urlencoded";
        http.Request.Body = new MemoryStream(Encoding.UTF8.GetBytes(body));
        return await RequestParameters.ReadAsync(http.Request, maxBodyBytes, default);
    }
}
