using Observe.Query.Promql.Parsing;

namespace Observe.Query.Promql.Planning;

/// <summary>From an expression to the plan that is executed: lowering, then one rewrite after the other.</summary>
static class QueryPlanner
{
    public static PlanNode Plan(Expr expression, QueryTimes times, long defaultSubqueryStepMs)
    {
        var plan = new Lowering(times, defaultSubqueryStepMs).Lower(expression);
        plan = HistogramStatisticsOnly.Apply(plan);
        plan = ConstantFolding.Apply(plan);
        return StepInvariance.Apply(plan);
    }
}
