using System.Buffers.Binary;
using CsCheck;
using Observe.Tsdb.Index;
using Xunit;

namespace Observe.Tsdb.Tests.Index;

public class PostingsTests
{
    static readonly Gen<uint[]> s_list = Gen.UInt[0, 200].Array[0, 60].Select(a => a.Distinct().Order().ToArray());

    static Postings Array(uint[] list) => Postings.Of(list);

    static Postings BigEndian(uint[] list)
    {
        var bytes = new byte[list.Length * 4];
        for (var i = 0; i < list.Length; i++)
        {
            BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(i * 4), list[i]);
        }

        return Postings.OfBigEndian(bytes);
    }

    [Fact]
    public void Intersect_is_what_all_lists_have() =>
        s_list.Array[1, 4].Sample(lists =>
        {
            var expected = lists.Skip(1).Aggregate(lists[0].AsEnumerable(), (a, b) => a.Intersect(b)).Order().ToArray();
            Assert.Equal(expected, Postings.Intersect([.. lists.Select(Array)]).ToArray());
            Assert.Equal(expected, Postings.Intersect([.. lists.Select(BigEndian)]).ToArray());
        });

    [Fact]
    public void Merge_is_what_any_list_has() =>
        s_list.Array[0, 5].Sample(lists =>
            Assert.Equal(lists.SelectMany(l => l).Distinct().Order().ToArray(), Postings.Merge([.. lists.Select(Array)]).ToArray()));

    [Fact]
    public void Merge_of_sparse_lists_is_sorted_and_without_duplicates() =>
        Gen.UInt.Array[0, 20].Select(a => a.Distinct().Order().ToArray()).Array[3, 5].Sample(lists =>
            Assert.Equal(lists.SelectMany(l => l).Distinct().Order().ToArray(), Postings.Merge([.. lists.Select(BigEndian)]).ToArray()));

    [Fact]
    public void Without_is_what_only_the_first_list_has() =>
        Gen.Select(s_list, s_list).Sample((full, drop) =>
            Assert.Equal(full.Except(drop).Order().ToArray(), Postings.Without(BigEndian(full), Array(drop)).ToArray()));

    [Fact]
    public void Seek_goes_to_the_first_reference_at_or_after_the_target_and_never_back()
    {
        var kinds = new Func<uint[], Postings>[]
        {
            Array,
            BigEndian,
            list => Postings.Merge(Array([.. list.Where(r => r % 2 == 0)]), Array([.. list.Where(r => r % 3 != 0 || r % 2 == 1)])),
            list => Postings.Intersect(Array(list), BigEndian([.. Enumerable.Range(0, 201).Select(i => (uint)i)])),
            list => Postings.Without(Array([.. list.Concat([500u, 501u])]), Array([500, 501])),
        };
        Gen.Select(s_list, Gen.Int[0, kinds.Length - 1], Gen.Int[-1, 205].Array[0, 40]).Sample((list, kind, steps) =>
        {
            var postings = kinds[kind](list);
            var at = -1;
            foreach (var step in steps)
            {
                var next = step < 0 ? at + 1 : at >= 0 && list[at] >= step ? at : System.Array.FindIndex(list, r => r >= step);
                var found = step < 0 ? postings.Next() : postings.Seek((uint)step);
                if (next < 0 || next >= list.Length)
                {
                    Assert.False(found);
                    return;
                }

                Assert.True(found);
                Assert.Equal(list[next], postings.Current);
                at = next;
            }
        });
    }
}
