using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;

namespace Observe.Tsdb.Tests.Querying;

public sealed class CompletenessTests
{
    static readonly Labels s_dev = Labels.Of(("cluster", "dev"));

    [Fact]
    public void An_answer_is_complete_where_nobody_says_that_something_is_missing()
    {
        var coverage = new Coverage();
        coverage.Expect(["prod", "dev"]);
        coverage.Truncate();
        coverage.AddInfo("coarser");
        Assert.True(Completeness.Of(coverage).IsComplete);
        Assert.Equal(["dev", "prod"], Completeness.Of(coverage).Answered);

        coverage.AddWarning("a peer of another make lacks something, and says so in words");
        Assert.False(Completeness.Of(coverage).IsComplete);
        Assert.Empty(Completeness.Of(coverage).Missing);
    }

    [Fact]
    public void Times_are_named_unless_they_are_all()
    {
        Assert.Equal("cluster \"dev\" is missing: store a:1 gave no answer: refused", Warning(TimeRange.All));
        Assert.Equal(
            "cluster \"dev\" is missing from 1970-01-01T00:00:01Z to the end: store a:1 gave no answer: refused",
            Warning(new TimeRange(1000, long.MaxValue)));

        static string Warning(TimeRange range)
        {
            var coverage = new Coverage();
            coverage.Add(new Missing(MissingPart.Source, "a:1", [s_dev], range, "refused"));
            return Assert.Single(coverage.Warnings());
        }
    }
}
