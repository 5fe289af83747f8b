namespace Observe.Query.Promql.Functions;

/// <summary>
/// How many raw samples each sample of a window stands for: one where it is raw, more where it is the average of a downsampled window.
/// Asked by rising times.
/// </summary>
ref struct SampleWeights(Window window)
{
    readonly ReadOnlySpan<long> _times = window.WeightTimes;
    readonly ReadOnlySpan<double> _weights = window.Weights;
    int _next;

    public double At(long time)
    {
        while (_next < _times.Length && _times[_next] < time)
        {
            _next++;
        }

        return _next < _times.Length && _times[_next] == time ? _weights[_next] : 1;
    }
}
