namespace Observe.Query.Promql.Functions;

/// <summary>Parts of the date that a number of seconds since 1970 stands for, in UTC, by the proleptic Gregorian calendar.</summary>
/// <remarks>Own arithmetic, since a value may lie far outside the years that DateTime knows.</remarks>
static class TimeFunctions
{
    const long SecondsPerDay = 86_400;

    // From the year of Go's absolute zero to 1970, in seconds: whole days, and a multiple of 400 years.
    const long FromAbsoluteZero = 9_223_372_028_715_321_600;

    public static double DayOfMonth(double seconds) => Date(seconds).Day;

    public static double DayOfWeek(double seconds) => Mod(Days(seconds) + 4, 7);

    public static double DayOfYear(double seconds)
    {
        var (year, month, day) = Date(seconds);
        var dayOfYear = day;
        for (var m = 1; m < month; m++)
        {
            dayOfYear += Length(year, m);
        }

        return dayOfYear;
    }

    public static double DaysInMonth(double seconds)
    {
        var (year, month, _) = Date(seconds);
        return Length(year, month);
    }

    public static double Hour(double seconds) => Absolute(seconds) % SecondsPerDay / 3600;

    public static double Minute(double seconds) => Absolute(seconds) % 3600 / 60;

    public static double Month(double seconds) => Date(seconds).Month;

    public static double Year(double seconds) => Date(seconds).Year;

    // As Go converts on amd64: NaN and values that do not fit become the smallest integer.
    static long Whole(double seconds) => seconds is >= -9223372036854775808.0 and < 9223372036854775808.0 ? (long)seconds : long.MinValue;

    // The sum is unsigned and wraps around, which gives NaN and values that are too large the date that Go gives them.
    static ulong Absolute(double seconds) => unchecked((ulong)(Whole(seconds) + FromAbsoluteZero));

    static long Days(double seconds) => (long)(Absolute(seconds) / SecondsPerDay) - (FromAbsoluteZero / SecondsPerDay);

    static long Mod(long value, long by) => ((value % by) + by) % by;

    static long Length(long year, int month) => month switch
    {
        2 => year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28,
        4 or 6 or 9 or 11 => 30,
        _ => 31,
    };

    /// <summary>Eras of 400 years that start on 1 March, so that the leap day is the last of its year.</summary>
    static (long Year, int Month, long Day) Date(double seconds)
    {
        var days = Days(seconds) + 719_468;
        var era = (days - Mod(days, 146_097)) / 146_097;
        var dayOfEra = days - (era * 146_097);
        var yearOfEra = (dayOfEra - (dayOfEra / 1460) + (dayOfEra / 36_524) - (dayOfEra / 146_096)) / 365;
        var dayOfYear = dayOfEra - ((365 * yearOfEra) + (yearOfEra / 4) - (yearOfEra / 100));
        var shifted = ((5 * dayOfYear) + 2) / 153;
        var day = dayOfYear - (((153 * shifted) + 2) / 5) + 1;
        var month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
        return (yearOfEra + (era * 400) + (month <= 2 ? 1 : 0), month, day);
    }
}
