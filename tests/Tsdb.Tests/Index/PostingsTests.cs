using System.Buffers.Binary;
using CsCheck;
using Observe.Testkit;
using Observe.Tsdb.Bytes;
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
            list => Postings.MergeLazily([Array([.. list.Where(r => r % 2 == 0)]), BigEndian([.. list.Where(r => r % 5 > 1)]), Array(list)]),
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

    [Fact]
    public void Lists_overlap_where_they_have_a_reference_in_common() =>
        Gen.Select(s_list, s_list).Sample((list, sorted) =>
        {
            var sparse = sorted.Where(r => r % 7 == 0).ToArray();
            Assert.Equal(list.Intersect(sorted).Any(), Postings.Overlap(BigEndian(list), sorted));
            Assert.Equal(list.Intersect(sparse).Any(), Postings.Overlap(Array(list), sparse));
        });

    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 1)]
    [InlineData(3, 5)]
    [InlineData(4, 20)]
    public void A_list_in_a_file_is_read_from_any_place_on(int seed, int unevenness)
    {
        var random = new Random(seed);
        var list = Enumerable.Range(0, 50_000)
            .Select(_ => (uint)(1_000_000 * Math.Pow(random.NextDouble(), unevenness))).Distinct().Order().ToArray();
        using var folder = new TemporaryFolder();
        using var file = new IndexFile(Write(folder, list, (uint)list.Length));
        for (var round = 0; round < 50; round++)
        {
            var (expected, actual) = (Array(list), new PostingsInFile(file, new PostingsRange(3, file.Length)));
            var (isThere, target) = (true, 0u);
            while (isThere)
            {
                target += (uint)random.Next(1 << random.Next(1, 18));
                var isNext = random.Next(3) > 0;
                isThere = isNext ? expected.Next() : expected.Seek(target);
                Assert.Equal(isThere, isNext ? actual.Next() : actual.Seek(target));
                Assert.Equal(expected.Current, isThere ? actual.Current : expected.Current);
            }
        }
    }

    [Fact]
    public void A_list_in_a_file_that_does_not_rise_or_has_another_length_is_damaged()
    {
        using var folder = new TemporaryFolder();
        using (var file = new IndexFile(Write(folder, [1, 5, 4], 3)))
        {
            var list = new PostingsInFile(file, new PostingsRange(3, file.Length));
            Assert.Throws<CorruptionException>(() => list.Take(new uint[3]));
        }

        var random = new Random(1);
        using (var file = new IndexFile(Write(folder, [.. Enumerable.Range(0, 20_000).Select(_ => (uint)random.Next(1_000_000))], 20_000)))
        {
            for (var target = 0u; target < 1_000_000; target += 5_000)
            {
                // Anything may be found, or that it is damaged, and the end is reached.
                var list = new PostingsInFile(file, new PostingsRange(3, file.Length));
                Assert.True(!list.Seek(target) || list.Current >= target);
            }
        }

        using var other = new IndexFile(Write(folder, [1, 2, 3], 4));
        Assert.Throws<CorruptionException>(() => new PostingsInFile(other, new PostingsRange(3, other.Length)));
    }

    static string Write(TemporaryFolder folder, uint[] list, uint count)
    {
        using var bytes = new ByteWriter();
        bytes.Raw([1, 2, 3]);
        bytes.UInt32((uint)(4 * list.Length) + 4);
        bytes.UInt32(count);
        System.Array.ForEach(list, bytes.UInt32);
        bytes.UInt32(0);
        var path = System.IO.Path.Combine(folder.Path, $"{list.Length}-{count}");
        System.IO.File.WriteAllBytes(path, bytes.Written.ToArray());
        return path;
    }
}
