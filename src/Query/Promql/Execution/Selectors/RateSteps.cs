using Observe.Query.Promql.Functions;
using Observe.Query.Promql.Parsing;

namespace Observe.Query.Promql.Execution.Selectors;

/// <summary>
/// Samples in the windows of several steps: in the largest window, in all windows together, and those that no earlier window had.
/// </summary>
record struct WindowCounts(long Largest, long Total, long Entered);

/// <summary>
/// rate, increase and delta at many steps in one loop: the same results as <see cref="RateFunctions"/> step by step, for as long as the
/// window has floats only and all samples that a step needs are loaded.
/// </summary>
sealed class RateSteps
{
    readonly bool _isCounter;
    readonly bool _isRate;

    RateSteps(bool isCounter, bool isRate) => (_isCounter, _isRate) = (isCounter, isRate);

    /// <summary>Null for functions that are none of these.</summary>
    public static RateSteps? Of(FunctionId function) => function switch
    {
        FunctionId.Rate => new RateSteps(isCounter: true, isRate: true),
        FunctionId.Increase => new RateSteps(isCounter: true, isRate: false),
        FunctionId.Delta => new RateSteps(isCounter: false, isRate: false),
        _ => null,
    };

    /// <summary>Evaluates steps from a first one on; returns the first step that was not evaluated.</summary>
    /// <param name="loadedTo">All samples before this time are loaded.</param>
    public int Evaluate(Window window, long loadedTo, in SelectorTimes times, Column column, int step, ref WindowCounts counts)
    {
        var floats = window.Floats;
        ReadOnlySpan<long> stamps = floats.TimeBuffer.AsSpan(0, floats.Loaded);
        ReadOnlySpan<double> values = floats.Buffer.AsSpan(0, floats.Loaded);
        var (first, end, rangeMs) = (floats.First, floats.End, window.RangeMs);
        var geometry = window.Geometry;
        var (largest, total, entered) = (counts.Largest, counts.Total, counts.Entered);
        var to = times.Reference(step);
        for (; step < column.Steps && to < loadedTo; step++, to += times.Grid.Step)
        {
            var from = to - rangeMs;
            entered += WindowRun<double>.Advance(stamps, from, to, ref first, ref end);
            var count = end - first;
            total += count;
            largest = Math.Max(largest, count);
            if (count < 2)
            {
                continue;
            }

            var (firstValue, firstTime, lastTime) = (values[first], stamps[first], stamps[end - 1]);
            var increase = values[end - 1] - firstValue;
            if (_isCounter && window.HasDropsWithin(first, end))
            {
                for (var i = first + 1; i < end; i++)
                {
                    if (values[i] < values[i - 1])
                    {
                        increase += values[i - 1];
                    }
                }
            }

            if (!geometry.Fits(count, firstTime - from, to - lastTime, lastTime - firstTime, 0, rangeMs))
            {
                geometry = new WindowGeometry(count, firstTime - from, to - lastTime, lastTime - firstTime, 0, rangeMs);
            }

            var factor = _isRate ? geometry.RateFactor : geometry.Factor;
            if (_isCounter && increase > 0 && firstValue >= 0 && !(firstValue >= increase && geometry.ToStart <= geometry.Sampled))
            {
                factor = geometry.FactorFrom(firstValue / increase, _isRate);
            }

            column.Set(step, increase * factor);
        }

        floats.MoveTo(first, end);
        window.Geometry = geometry;
        counts = new WindowCounts(largest, total, entered);
        return step;
    }
}
