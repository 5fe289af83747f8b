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
        if (!window.Weights.IsEmpty)
        {
            return WeightedAverage(window);
        }

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

    static Point WeightedAverage(Window window)
    {
        var weights = new SampleWeights(window);
        var hints = default(ResetHints);
        Histogram? sum = null, compensation = null;
        double count = 0;
        for (var i = 0; i < window.Histograms.Length; i++)
        {
            var weight = weights.At(window.HistogramTimes[i]);
            var weighted = window.Histograms[i].Copy().Mul(weight);
            hints.Add(window.Histograms[i]);
            count += weight;
            if (sum is null)
            {
                sum = weighted;
            }
            else if (!HistogramSteps.TryAdd(sum, weighted, ref compensation, window.Site, window.MetricName))
            {
                return Point.None;
            }
        }

        if (compensation is not null)
        {
            sum!.Add(compensation);
        }

        return WithAnnotation(window, hints, sum!.Div(count));
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
