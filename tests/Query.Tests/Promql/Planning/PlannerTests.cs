using Observe.Query.Promql.Parsing;
using Observe.Query.Promql.Planning;
using Xunit;

namespace Observe.Query.Tests.Promql.Planning;

public class PlannerTests
{
    static readonly QueryTimes s_times = new(1_000_000, 1_600_000, 60_000);

    [Theory]
    [InlineData("((foo))", "{__name__=\"foo\"}")]
    [InlineData("foo offset 5m", "{__name__=\"foo\"} offset 300000ms")]
    [InlineData("1 + 2 * 3", "7")]
    [InlineData("-(2)", "-2")]
    [InlineData("2 ^ 3", "once(Pow(2, 3))")]
    [InlineData("foo + (1 + 1)", "Add({__name__=\"foo\"}, 2)")]
    [InlineData("start() + end() + range() + step()", "3260")]
    [InlineData("rate(foo[1m + step()])", "rate({__name__=\"foo\"}[120000ms])")]
    [InlineData("foo[range()] offset -(1m)", "{__name__=\"foo\"} offset -60000ms[600000ms]")]
    [InlineData("max_over_time(foo[1h:])", "max_over_time({__name__=\"foo\"}[3600000ms:60000ms])")]
    [InlineData("sum by (b, a) (foo)", "Sum by (\"b\",\"a\") ({__name__=\"foo\"})")]
    [InlineData("foo * on (x) group_left (y) bar", "Mul ManyToOne on (\"x\") include (\"y\")({__name__=\"foo\"}, {__name__=\"bar\"})")]
    public void Lowering_resolves_durations_constants_and_parentheses(string query, string plan) => Assert.Equal(plan, Plan(query));

    [Theory]
    [InlineData("foo @ 5", "once({__name__=\"foo\"} @ 5000ms)")]
    [InlineData("foo @ end()", "once({__name__=\"foo\"} @ 1600000ms)")]
    [InlineData("foo + bar @ 5", "Add OneToOne ignoring ()({__name__=\"foo\"}, once({__name__=\"bar\"} @ 5000ms))")]
    [InlineData("sum(rate(foo[5m] @ 5))", "once(Sum by () (rate({__name__=\"foo\"} @ 5000ms[300000ms])))")]
    [InlineData("predict_linear(foo[5m] @ 5, 60)", "predict_linear({__name__=\"foo\"} @ 5000ms[300000ms], 60)")]
    [InlineData("timestamp(foo @ 5)", "once(timestamp({__name__=\"foo\"} @ 5000ms))")]
    [InlineData("timestamp(abs(foo @ 5))", "timestamp(once(abs({__name__=\"foo\"} @ 5000ms)))")]
    [InlineData("vector(1)", "once(vector(1))")]
    [InlineData("vector(time())", "vector(time())")]
    [InlineData("max_over_time((foo @ 5)[5m:1m])", "max_over_time(once({__name__=\"foo\"} @ 5000ms)[300000ms:60000ms])")]
    public void What_does_not_depend_on_the_step_is_evaluated_once(string query, string plan) => Assert.Equal(plan, Plan(query));

    [Theory]
    [InlineData("histogram_count(foo)", "histogram_count({__name__=\"foo\"} statistics)")]
    [InlineData("histogram_sum(sum(rate(foo[5m])))", "histogram_sum(Sum by () (rate({__name__=\"foo\"} statistics[300000ms])))")]
    [InlineData("histogram_count(max_over_time(foo[5m:1m]))", "histogram_count(max_over_time({__name__=\"foo\"}[300000ms:60000ms]))")]
    [InlineData("histogram_quantile(0.5, histogram_count(foo))", "histogram_quantile(0.5, histogram_count({__name__=\"foo\"}))")]
    [InlineData("histogram_count(foo </ 3)", "histogram_count(TrimUpper({__name__=\"foo\"}, 3))")]
    public void Buckets_are_left_out_only_where_nothing_looks_at_them(string query, string plan) => Assert.Equal(plan, Plan(query));

    [Theory]
    [InlineData("foo[1m - 2m]", "4:11: duration must be greater than 0")]
    [InlineData("foo offset (1m / (step() - 1m))", "12:29: division by zero")]
    public void A_duration_without_a_usable_value_is_bad_data(string query, string message)
    {
        var fault = Assert.Throws<QueryException>(() => Plan(query));
        Assert.Equal((message, true), (fault.Message, fault.IsBadData));
    }

    static string Plan(string query) => PlanText.Of(QueryPlanner.Plan(PromqlParser.Parse(query, ParserOptions.Everything), s_times, 60_000));
}
