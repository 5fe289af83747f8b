using CsCheck;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Tsdb.Tests.Model;

public class DurationTests
{
    [Theory]
    [InlineData("0", 0)]
    [InlineData("0s", 0)]
    [InlineData("5ms", 5)]
    [InlineData("90s", 90_000)]
    [InlineData("1h30m", 5_400_000)]
    [InlineData("1y2w3d4h5m6s7ms", 33_019_506_007)]
    [InlineData("292y", 9_208_512_000_000)]
    public void Durations_are_milliseconds(string text, long milliseconds) => Assert.Equal(milliseconds, Duration.ParseMilliseconds(text));

    /// <summary>Prometheus's words.</summary>
    [Theory]
    [InlineData("", "empty duration string")]
    [InlineData("5", "not a valid duration string: \"5\"")]
    [InlineData("m", "not a valid duration string: \"m\"")]
    [InlineData("-5m", "not a valid duration string: \"-5m\"")]
    [InlineData("5hs", "unknown unit \"hs\" in duration \"5hs\"")]
    [InlineData("1.5h", "unknown unit \".\" in duration \"1.5h\"")]
    [InlineData("1s1h", "not a valid duration string: \"1s1h\"")]
    [InlineData("1m1m", "not a valid duration string: \"1m1m\"")]
    [InlineData("99999999999999999999m", "not a valid duration string: \"99999999999999999999m\"")]
    [InlineData("293y", "duration out of range")]
    [InlineData("292y52w", "duration out of range")]
    public void Faults_are_named(string text, string error)
    {
        Assert.False(Duration.TryParse(text, out _, out var actual));
        Assert.Equal(error, actual);
    }

    [Theory]
    [InlineData(0, "0s")]
    [InlineData(1, "1ms")]
    [InlineData(60_000, "1m")]
    [InlineData(604_800_000, "1w")]
    [InlineData(691_200_000, "8d")]
    [InlineData(31_536_000_000, "1y")]
    [InlineData(5_400_500, "1h30m500ms")]
    [InlineData(-90_000, "-1m30s")]
    public void Durations_print_as_Prometheus_prints_them(long milliseconds, string text) => Assert.Equal(text, Duration.Format(milliseconds));

    [Fact]
    public void What_is_printed_reads_back() =>
        Gen.Long[0, 9_000_000_000_000].Sample(ms => Duration.ParseMilliseconds(Duration.Format(ms)) == ms);
}
