using Observe.Tsdb.Index;
using Observe.Tsdb.Model;
using Xunit;

namespace Observe.Tsdb.Tests.Index;

public class MemPostingsTests
{
    [Fact]
    public void References_only_rise()
    {
        var postings = new MemPostings();
        postings.Add(5, Labels.Of(("a", "1")));
        foreach (var earlier in new uint[] { 1, 5 })
        {
            Assert.Throws<ArgumentOutOfRangeException>(() => postings.Add(earlier, Labels.Of(("a", "2"))));
        }

        postings.Delete(new HashSet<uint> { 5 });
        postings.Add(9, Labels.Of(("a", "1")));
        Assert.Equal([9u], postings.Select([new Matcher(Tsdb.Model.MatchType.Equal, "a", "1")]).ToArray());
        Assert.Equal([9u], postings.All.ToArray());
    }

    [Fact]
    public void Deleted_series_leave_no_names_or_values_behind()
    {
        var postings = new MemPostings();
        postings.Add(1, Labels.Of(("job", "a"), ("old", "x")));
        postings.Add(2, Labels.Of(("job", "b")));
        postings.Add(3, Labels.Of(("job", "b"), ("zone", "z")));
        postings.Delete(new HashSet<uint> { 1, 3 });
        Assert.Equal(["job"], postings.LabelNames());
        Assert.False(postings.TryGet("job"u8, "a"u8, out _));
        Assert.Equal(new LabelNameSize(1, 1, HasAll: true), postings.Size("job"u8));
        Assert.Equal(default, postings.Size("zone"u8));
        Assert.Equal([2u], postings.All.ToArray());
        postings.Add(4, Labels.Of(("job", "a")));
        Assert.Equal([4u], postings.Select([new Matcher(Tsdb.Model.MatchType.Equal, "job", "a")]).ToArray());
    }

    [Fact]
    public void A_list_that_was_given_out_does_not_change()
    {
        var postings = new MemPostings();
        postings.Add(5, Labels.Of(("a", "1")));
        postings.Add(9, Labels.Of(("a", "1")));
        Assert.True(postings.TryGet("a"u8, "1"u8, out var before));
        postings.Add(12, Labels.Of(("a", "1")));
        postings.Delete(new HashSet<uint> { 5 });
        Assert.Equal([5u, 9u], before.ToArray());
    }

    [Fact]
    public async Task Readers_see_whole_lists_while_series_are_added()
    {
        var postings = new MemPostings();
        var matchers = new[] { new Matcher(Tsdb.Model.MatchType.Regex, "v", "[0-9]+") };
        var writer = Task.Run(() =>
        {
            for (uint i = 1; i <= 20_000; i++)
            {
                postings.Add(i, Labels.Of(("a", "1"), ("v", (i % 500).ToString(System.Globalization.CultureInfo.InvariantCulture))));
            }
        });
        while (!writer.IsCompleted)
        {
            var found = postings.Select(matchers).ToArray();
            Assert.Equal(found.Distinct().Order(), found);
        }

        await writer;
        Assert.Equal(20_000, postings.Select(matchers).ToArray().Length);
    }
}
