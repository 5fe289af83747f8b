using Observe.Tsdb.Histograms;

namespace Observe.Query.Promql.Functions;

/// <summary>Sum and mean of the native histograms of a window that has no floats.</summary>
static class HistogramOverTime
{
    public static Point Sum(Window window)
    {
        var histograms = window.Histograms;
        var sum = histograms[0].Copy();
        Histogram? compensation = null;
        var hints = default(ResetHints);
        hints.Add(sum);
        for (var i = 1; i < histograms.Length; i++)
        {
            hints.Add(histograms[i]);
            if (!HistogramSteps.TryAdd(sum, histograms[i], ref compensation, window.Site, window.MetricName))
            {
                return Point.None;
            }
        }

        if (compensation is not null)
        {
            sum.Add(compensation);
        }

        return WithAnnotation(window, hints, sum);
    }

    public static Point Average(Window window)
    {
        var histograms = window.Histograms;
        var sum = histograms[0].Copy();
        Histogram? mean = null, compensation = null;
        var hints = default(ResetHints);
        hints.Add(sum);
        for (var i = 1; i < histograms.Length; i++)
        {
            double count = i + 1;
            hints.Add(histograms[i]);
            if (mean is null)
            {
                var (newSum, newCompensation) = (sum.Copy(), compensation?.Copy());
                if (!HistogramSteps.TryAdd(newSum, histograms[i], ref newCompensation, window.Site, window.MetricName))
                {
                    return Point.None;
                }

                if (!newSum.HasOverflow)
                {
                    (sum, compensation) = (newSum, newCompensation);
                    continue;
                }

                mean = sum.Copy().Div(count - 1);
                compensation?.Div(count - 1);
            }

            var weight = (count - 1) / count;
            compensation?.Mul(weight);
            mean.Mul(weight);
            if (!HistogramSteps.TryAdd(mean, histograms[i].Copy().Div(count), ref compensation, window.Site, window.MetricName))
            {
                return Point.None;
            }
        }

        if (mean is null)
        {
            mean = sum.Div(histograms.Length);
            compensation?.Div(histograms.Length);
        }

        if (compensation is not null)
        {
            mean.Add(compensation);
        }

        return WithAnnotation(window, hints, mean);
    }

    static Point WithAnnotation(Window window, in ResetHints hints, Histogram result)
    {
        if (hints.Collide)
        {
            window.Site.CounterResetCollision(AnnotationTexts.Aggregation);
        }

        return result;
    }
}
