using Observe.Query.Promql.Parsing;

namespace Observe.Query.Promql.Planning;

/// <summary>From an expression to the plan that is executed: lowering, then one rewrite after the other.</summary>
static class QueryPlanner
{
    /// <param name="maxResolutionMs">The coarsest resolution that the request allows; null: what each selector's use allows.</param>
    public static PlanNode Plan(Expr expression, QueryTimes times, long defaultSubqueryStepMs, long? maxResolutionMs = 0)
    {
        var plan = new Lowering(times, defaultSubqueryStepMs).Lower(expression);
        plan = HistogramStatisticsOnly.Apply(plan);
        plan = ConstantFolding.Apply(plan);
        plan = StepInvariance.Apply(plan);
        return SelectorResolution.Apply(plan, times, maxResolutionMs);
    }
}
