using Observe.Query.Promql.Functions;
using Observe.Query.Promql.Parsing;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Histograms;
using Observe.Tsdb.Model;

namespace Observe.Query.Promql.Execution.Calls;

/// <summary>A number that a function reads off a histogram, native or classic, at a step.</summary>
interface IHistogramQuestion
{
    double Evaluate(Histogram histogram, int step, AnnotationSite site, string metricName);

    double Evaluate(Span<ClassicBucket> buckets, int step, long time, AnnotationSite site, string metricName);
}

/// <summary>
/// <c>histogram_quantile</c>, <c>histogram_fraction</c> and <c>histogram_quantiles</c>: native histograms one by one, classic ones put
/// together of the series that differ in <c>le</c> only.
/// </summary>
/// <param name="expectsNative">
/// Series with a label <c>le</c> may be native histograms; where this is false and one is, evaluation throws <see
/// cref="NativeWithBoundException"/>.
/// </param>
sealed class HistogramVectorFunction(
    SeriesOperator input,
    Func<Evaluation, HistogramQuestions> questions, SeriesOperator[] arguments, Position position, bool expectsNative, Scope scope)
    : UnaryOperator(input, scope)
{
    readonly List<HistogramGroup> _groups = [];
    readonly LabelNumbering _numbering = new();
    HistogramQuestions? _questions;
    Column[]? _held;
    OutputMerge? _merge;
    bool _namesInAnnotations;

    public override long Cost => Input.Cost * 10;

    public override IEnumerable<SeriesOperator> Inputs => [Input, .. arguments];

    public override void Evaluate(int series, Column column, Worker worker) => _merge!.Evaluate(series, column, worker, EvaluateSource);

    protected override async Task OpenCoreAsync(Evaluation evaluation)
    {
        foreach (var argument in arguments)
        {
            await argument.OpenAsync(evaluation);
        }

        await base.OpenCoreAsync(evaluation);
    }

    protected override void Open(Evaluation evaluation)
    {
        _questions = questions(evaluation);
        _namesInAnnotations = evaluation.DelayedNameRemoval;
        if (Grid.IsSingle)
        {
            GroupPresent(evaluation);
        }
        else
        {
            int[] all = [.. Enumerable.Range(0, Input.Series.Length)];
            Group(all, isNative: false);
            Group(all.Where(i => expectsNative && Input.Series[i].Labels.Has("le")), isNative: true);
        }

        var identities = new List<SeriesIdentity>();
        var builder = new LabelsBuilder();
        foreach (var value in _questions.Values)
        {
            foreach (var group in _groups)
            {
                var labels = _questions.Label is { } label ? builder.Reset(group.Labels).Set(label, value).Build() : group.Labels;
                identities.Add(new SeriesIdentity(labels, true));
            }
        }

        _merge = new OutputMerge(NameRemoval.Apply([.. identities], evaluation.DelayedNameRemoval), evaluation);
        Series = _merge.Outputs;
    }

    /// <summary>At a single step native histograms come first, and groups without a sample are left out.</summary>
    void GroupPresent(Evaluation evaluation)
    {
        var held = SingleStep.Evaluate(Input, evaluation);
        _held = held;
        var all = Enumerable.Range(0, held.Length);
        Group(all.Where(i => held[i].Histograms > 0), isNative: true);
        Group(all.Where(i => held[i].Floats > 0), isNative: false);
    }

    /// <param name="isNative">The groups are of native histograms, to which <c>le</c> is a label like others.</param>
    void Group(IEnumerable<int> series, bool isNative)
    {
        var projection = new LabelProjection(["le"], keep: false);
        foreach (var i in series)
        {
            var labels = Input.Series[i].Labels;
            var number = _numbering.Number(isNative ? labels.Encoded : projection.Encode(labels));
            if (number == _groups.Count)
            {
                _groups.Add(new HistogramGroup(_numbering.Labels[number]));
            }

            _groups[number].Add(i, labels);
        }
    }

    void EvaluateSource(int source, Column column, Worker worker)
    {
        var group = _groups[source % _groups.Count];
        var question = _questions!.All[source / _groups.Count];
        var site = new AnnotationSite(worker.Annotations, position.Start, position.End);
        var columns = group.Members.ConvertAll(member =>
        {
            if (_held is not null)
            {
                return _held[member.Series];
            }

            var rented = worker.RentColumn(column.Steps);
            Input.Evaluate(member.Series, rented, worker);
            return rented;
        });
        var buckets = new ClassicBucket[columns.Count];
        for (var step = 0; step < column.Steps; step++)
        {
            var (count, native) = Gather(group, columns, step, buckets, site);
            if (native is not null && count > 0)
            {
                site.MixedClassicNativeHistograms(Name(group.Labels));
            }
            else if (native is not null)
            {
                column.Set(step, question.Evaluate(native, step, site, Name(group.Labels)));
            }
            else if (count > 0)
            {
                column.Set(step, question.Evaluate(buckets.AsSpan(0, count), step, Grid.Time(step), site, Name(group.Labels)));
            }
        }

        worker.CountWork(column.Steps * columns.Count);
        if (_held is null)
        {
            columns.ForEach(worker.Return);
        }
    }

    /// <summary>The classic buckets and the native histogram that a group has at a step.</summary>
    (int Buckets, Histogram? Native) Gather(
        HistogramGroup group, List<Column> columns, int step, ClassicBucket[] buckets, AnnotationSite site)
    {
        var count = 0;
        Histogram? native = null;
        for (var i = 0; i < columns.Count; i++)
        {
            var member = group.Members[i];
            if (columns[i].Presence[step] == Presence.Float && !group.IsNative)
            {
                if (member.Bound is { } bound)
                {
                    buckets[count++] = new ClassicBucket(bound, columns[i].Values[step]);
                }
                else
                {
                    site.BadBucketLabel(Name(group.Labels), member.Labels.Get("le"));
                }
            }
            else if (columns[i].Presence[step] == Presence.Histogram)
            {
                if (member.Labels == group.Labels)
                {
                    native = columns[i].Histogram(step);
                }
                else if (!expectsNative)
                {
                    throw new NativeWithBoundException();
                }
            }
        }

        return (count, native);
    }

    string Name(Labels labels) => _namesInAnnotations ? labels.Get(Labels.MetricName) : "";

    /// <summary>Series that differ in <c>le</c> only.</summary>
    sealed class HistogramGroup(Labels labels)
    {
        public Labels Labels { get; } = labels;

        /// <summary>The label <c>le</c> is one of the native histogram's own labels, not a bucket's bound.</summary>
        public bool IsNative { get; } = labels.Has("le");

        public List<(int Series, Labels Labels, double? Bound)> Members { get; } = [];

        public void Add(int series, Labels labels) => Members.Add((series, labels, BoundOf(labels)));

        static double? BoundOf(Labels labels) => GoFloat.TryParse(labels.Value("le"u8), out var bound) ? bound : null;
    }
}

/// <summary>
/// A native histogram has a label <c>le</c>, as buckets have, and no output was made for it. The query is executed once more with outputs
/// for such histograms.
/// </summary>
sealed class NativeWithBoundException() : Exception("a native histogram has a label le");

/// <summary>The numbers that one call reads off each histogram.</summary>
/// <param name="All">One for each output of a histogram.</param>
/// <param name="Label">The label that tells the outputs apart; null where there is one output.</param>
/// <param name="Values">Its value for each question; one empty text where there is no label.</param>
sealed record HistogramQuestions(IReadOnlyList<IHistogramQuestion> All, string? Label, IReadOnlyList<string> Values);

/// <summary>A quantile, given for each step.</summary>
sealed class QuantileQuestion(double[] quantiles) : IHistogramQuestion
{
    public double Evaluate(Histogram histogram, int step, AnnotationSite site, string metricName) =>
        HistogramStatistics.Quantile(quantiles[step], histogram, site, metricName);

    public double Evaluate(Span<ClassicBucket> buckets, int step, long time, AnnotationSite site, string metricName)
    {
        var quantile = ClassicHistogram.Quantile(quantiles[step], buckets, out var monotonicity);
        if (monotonicity.Forced)
        {
            site.ForcedMonotonicity(metricName, time, monotonicity.MinBucket, monotonicity.MaxBucket, monotonicity.MaxDifference);
        }

        return quantile;
    }
}

/// <summary>The fraction between two values, given for each step.</summary>
sealed class FractionQuestion(double[] lower, double[] upper) : IHistogramQuestion
{
    public double Evaluate(Histogram histogram, int step, AnnotationSite site, string metricName) =>
        HistogramStatistics.Fraction(lower[step], upper[step], histogram, site, metricName);

    public double Evaluate(Span<ClassicBucket> buckets, int step, long time, AnnotationSite site, string metricName) =>
        ClassicHistogram.Fraction(lower[step], upper[step], buckets);
}
