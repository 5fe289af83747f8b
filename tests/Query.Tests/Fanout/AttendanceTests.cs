using CsCheck;
using Observe.Query.Fanout;
using Observe.Store.Api;
using Observe.Store.Blocks;
using Observe.Store.Fleet;
using Observe.Testkit;
using Observe.Tsdb.Blocks;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;
using Xunit;
using MatchType = Observe.Tsdb.Model.MatchType;

namespace Observe.Query.Tests.Fanout;

/// <summary>
/// Random fleets: collectors that ship late, stop in order, die, return and are acknowledged as gone, shed blocks and lose parts of them; replicas
/// that are joined, also in blocks; a bucket that was looked into some time ago; collectors and stores that answer or do not. What an answer says
/// is missing is what it lacks, and nothing else.
/// </summary>
public sealed class AttendanceTests
{
    const long Second = 1000;
    const long Status = 30 * Second;
    const long Now = 1_700_000_000_000;
    static readonly long s_begin = Now - (3600 * Second);

    enum End
    {
        Lives,
        Stops,
        Dies,
        DiesAndIsAcknowledged,
    }

    /// <summary>A collector's life in seconds after the beginning, and what it makes of it.</summary>
    /// <param name="Away">From when to when it was down in between; equal: never.</param>
    /// <param name="Block">Seconds of a block.</param>
    /// <param name="Delay">Seconds from the end of a block until it is in the bucket.</param>
    /// <param name="Keep">Seconds that the collector keeps what the bucket has.</param>
    /// <param name="Replica">"" where it has no such label.</param>
    /// <param name="Shed">The number of the block that is shed instead of shipped; -1 where none is.</param>
    /// <param name="Damaged">The number of the block whose first half is damaged when it is to be shipped; -1 where none is.</param>
    sealed record Life(
        string Cluster, string Name, int Born, End End, int Ends, (int From, int To) Away, int Block, int Delay, bool Answers, int Keep,
        string Replica, int Shed, int Damaged)
    {
        /// <summary>The oldest second that the collector has, as of some time.</summary>
        public long Oldest(long second) => Samples(second).FirstOrDefault(
            sample => !IsLost(sample, second) && (sample >= second - Keep || !IsShipped(sample, second)), second);

        public Labels Labels => Replica.Length == 0 ? Labels.Of(("cluster", Cluster)) : Labels.Of(("cluster", Cluster), ("replica", Replica));

        /// <summary>Whether nobody has a sample, as of some time.</summary>
        public bool IsLost(long sample, long second) => IsUp(sample)
            && ((BlockOf(sample) == Shed && IsDone(Shed, second)) || (IsDamaged(sample) && IsDone(Damaged, second)));

        public bool IsDamaged(long sample) => BlockOf(sample) == Damaged && Damaged != Shed && (sample - Born) % Block < Block / 2;

        long BlockOf(long sample) => (sample - Born) / Block;

        /// <summary>Whether nothing of the damaged block was whole, so that there is no block of the rest.</summary>
        bool IsDamagedAsAWhole(List<long> samples, long second) =>
            samples.Exists(sample => IsDamaged(sample) && IsLost(sample, second)) && !samples.Exists(sample => BlockOf(sample) == Damaged && !IsDamaged(sample));

        /// <summary>Whether a block was cut and shipped, or shed.</summary>
        bool IsDone(long block, long second)
        {
            var cut = ((block + 1) * Block) + Born + Delay;
            return (End == End.Stops && second >= Ends)
                || (cut <= second && (IsUp(cut) || (cut >= Away.From && cut < Away.To && second >= Away.To && IsUp(Away.To))));
        }

        public bool IsUp(long second) => second >= Born && (second < Away.From || second >= Away.To) && second < Until;

        int Until => End == End.Lives ? int.MaxValue : Ends;

        /// <summary>Seconds that have a sample, as of some time.</summary>
        public IEnumerable<long> Samples(long second) => Range(Born, Math.Min(second, Until)).Where(IsUp);

        /// <summary>When a sample is in the bucket, if the collector lives long enough to bring it there.</summary>
        public bool IsShipped(long sample, long second) => IsDone(BlockOf(sample), second) && BlockOf(sample) != Shed && !IsDamaged(sample);

        static IEnumerable<long> Range(long from, long until)
        {
            for (var second = from; second < until; second++)
            {
                yield return second;
            }
        }

        /// <summary>The newest status that the collector wrote, as of some time; null before the first.</summary>
        public CollectorStatus? StatusAt(long second)
        {
            var written = End == End.Stops && second >= Ends ? Ends : second;
            while (written >= Born && !(IsUp(written) && (written - Born) % (Status / Second) == 0) && !(End == End.Stops && written == Ends))
            {
                written--;
            }

            if (written < Born)
            {
                return null;
            }

            var samples = Samples(written).ToList();
            var unshipped = samples.Where(sample => !IsShipped(sample, written) && !IsLost(sample, written)).ToList();
            var shed = samples.Where(sample => BlockOf(sample) == Shed && IsLost(sample, written)).ToList();
            var before = shed.Count == 0 ? [] : unshipped.Where(sample => sample < shed[0]).ToList();
            var after = unshipped.Skip(before.Count).ToList();
            return new CollectorStatus
            {
                Cluster = Cluster,
                Collector = Name,
                Instance = "i",
                Labels = Labels.ToDictionary(),
                ProgramVersion = "1",
                ConfigHash = "h",
                StartedAt = At(written >= Away.To && Away.To > Away.From ? Away.To : Born),
                WrittenAt = At(written),
                IntervalMs = Status,
                NewestSample = samples.Count == 0 ? null : Ms(samples[^1]),
                Unshipped = [.. new[] { before, after }.Where(run => run.Count > 0).Select(run => new TimeRange(Ms(run[0]), Ms(run[^1])))],
                Lost =
                [
                    .. new[] { (Number: Shed, IsLost: shed.Count > 0), (Number: Damaged, IsLost: IsDamagedAsAWhole(samples, written)) }
                        .Where(block => block.IsLost)
                        .Select(block => new LostRange(Ms(Born + (block.Number * Block)), Ms(Born + ((block.Number + 1) * Block)) - 1, "shed", Ms(written))),
                ],
                Stopped = End == End.Stops && second >= Ends,
                Acknowledged = End == End.DiesAndIsAcknowledged && second >= Ends + 200 ? At(Ends + 200) : null,
            };
        }

        /// <summary>Blocks in the bucket, as of some time. As a head cuts them, they follow one another without a time between them.</summary>
        public IEnumerable<BlockMeta> Blocks(long second) => Samples(second).Where(sample => IsShipped(sample, second))
            .GroupBy(BlockOf).Select(block => LostTimes.AddTo(
            new BlockMeta
            {
                Id = new BlockId((UInt128)(Ms(block.Key) + (Name[0] * 7)) << 80),
                MinTime = Ms(Born + (block.Key * Block)),
                MaxTime = End == End.Stops && block.Max() == Ends - 1 ? Ms(block.Max()) + 1 : Ms(Born + ((block.Key + 1) * Block)),
                Stats = new BlockStats(),
                Compaction = new BlockCompaction(),
                Thanos = new ThanosSection
                {
                    Labels = Labels.ToDictionary(),
                    Extensions = new() { ["observe"] = new System.Text.Json.Nodes.JsonObject { ["collector"] = Name } },
                },
            },
            block.Key != Damaged || Damaged == Shed ? [] : [new TimeRange(Ms(Born + (Damaged * Block)), Ms(Born + (Damaged * Block) + (Block / 2)) - 1)]));
    }

    static readonly Gen<Life> s_life = Gen.Select(
        Gen.Bool.Select(one => one ? "dev" : "prod"), Gen.Int[0, 2].Select(one => "abc"[one..(one + 1)]), Gen.Int[0, 1500], Gen.Enum<End>(),
        Gen.Int[1600, 3500], Gen.Select(Gen.Int[200, 1500], Gen.Int[0, 400]), Gen.Select(Gen.Int[60, 600], Gen.Int[1, 900]),
        Gen.Select(Gen.Bool, Gen.Int[10, 4000], Gen.Int[0, 3], Gen.Int[-4, 8], Gen.Int[-4, 8]))
        .Select((cluster, name, born, end, ends, away, block, own) => new Life(
            cluster, name, born, end, ends,
            away.Item2 < 30 ? (0, 0) : (Math.Max(born + 1, away.Item1), Math.Max(born + 1, away.Item1) + away.Item2),
            block.Item1, block.Item2, own.Item1, own.Item2, cluster == "dev" ? "" : own.Item3 == 1 ? "y" : "x",
            Math.Max(-1, own.Item4), Math.Max(-1, own.Item5)));

    [Fact]
    public void What_is_said_to_be_missing_is_what_the_answer_lacks() => Gen.Select(
        s_life.Array[1, 5], Gen.Int[0, 900], Gen.Int[0, 3500], Gen.Int[0, 3600], Gen.Int[0, 2].Select(one => new[] { "", "dev", "prod" }[one]), Gen.Bool,
        Gen.Bool, Gen.Int[-2000, 3600])
        .Sample((lives, syncAge, from, length, cluster, storeAnswers, areJoined, deduplicatedUntil) => Check(
            [.. lives.DistinctBy(life => (life.Cluster, life.Name))], 3600 - syncAge, from, from + length, cluster, storeAnswers, areJoined, deduplicatedUntil),
            iter: Iterations);

    static int Iterations => int.TryParse(Environment.GetEnvironmentVariable("OBSERVE_ATTENDANCE_CASES"), out var cases) ? cases : 100;

    static void Check(
        List<Life> lives, long synced, int from, int until, string cluster, bool storeAnswers, bool areJoined, int deduplicatedUntil)
    {
        IReadOnlyList<string> replicaLabels = areJoined ? ["replica"] : [];
        var range = new TimeRange(Ms(from), Math.Min(Ms(until), Now));
        var matchers = cluster.Length == 0 ? [] : new[] { new Matcher(MatchType.Equal, "cluster", cluster) };
        var selection = new QueryContext().Select(new SelectHints { Range = range }, matchers);
        var statuses = lives.Select(life => life.StatusAt(synced)).OfType<CollectorStatus>().ToList();
        var cut = lives.SelectMany(life => life.Blocks(synced)).ToList();
        List<BlockMeta> blocks =
        [
            .. cut.Where(block => block.MaxTime > Ms(deduplicatedUntil)),
            .. cut.Where(block => block.MaxTime <= Ms(deduplicatedUntil)).GroupBy(block => block.ExternalLabels.Without("replica")).Select(Deduplicated),
        ];
        var fleet = new FleetStatus([.. statuses.GroupBy(s => s.Cluster).Select(g => new ClusterStatus(g.Key, [.. g]))], []);
        var bucket = State("bucket", new StoreDescription("store", [.. blocks.Select(b => b.ExternalLabels).Distinct()], blocks.Count == 0 ? new TimeRange(0, -1) : TimeRange.All)
        {
            Ranges = blocks.GroupBy(b => b.ExternalLabels).ToDictionary(g => g.Key, g => new TimeRange(g.Min(b => b.MinTime), g.Max(b => b.Range.MaxTime))),
            Fleet = fleet.Known(blocks, At(synced)),
        });
        var live = lives.Where(life => life.IsUp(3600) || life.End != End.Lives).ToDictionary(life => life, life => State(
            life.Cluster + life.Name, new StoreDescription("sidecar", [life.Labels], new TimeRange(Ms(life.Oldest(3600)), long.MaxValue)) { Collector = life.Name }));
        var attendance = new Attendance([bucket, .. live.Values], selection, replicaLabels, Now);
        foreach (var (life, state) in live.Where(one => !Answers(one.Key)))
        {
            attendance.Lose(state, "it is away");
        }

        if (!storeAnswers)
        {
            attendance.Lose(bucket, "it is away");
        }

        var missing = attendance.Missing().ToList();
        var oldest = lives.Distinct().ToDictionary(life => life, life => life.Oldest(3600));
        foreach (var life in lives.Where(life => life.End != End.DiesAndIsAcknowledged && (cluster.Length == 0 || life.Cluster == cluster)))
        {
            var claimed = missing.Where(one => one.LabelSets.Contains(life.Labels) || one.LabelSets.Contains(life.Labels.Without("replica"))).Select(one => one.Range).ToList();
            foreach (var sample in life.Samples(3600).Where(sample => range.Contains(Ms(sample)) && !IsAnswered(life, sample)))
            {
                // What was lost after the last look into the bucket, the collector seems to have still.
                Assert.True(
                    claimed.Exists(r => r.Contains(Ms(sample))) || life.StatusAt(synced) is null || IsCoveredByReplica(life, sample)
                    || (Answers(life) && life.IsLost(sample, 3600) && !life.IsLost(sample, (long)(life.StatusAt(synced)!.WrittenAt - At(0)).TotalSeconds)), $"{life.Cluster}/{life.Name} lacks {sample} and nothing says so");
            }
        }

        foreach (var claim in missing)
        {
            Assert.True(range.Intersect(claim.Range) == claim.Range);
            Assert.NotEmpty(claim.LabelSets);
            bool IsWithin(TimeRange span) => span.Intersect(claim.Range) == claim.Range;
            foreach (var labels in claim.LabelSets)
            {
                Assert.True(cluster.Length == 0 || labels.Get("cluster") == cluster);
                var ofIt = lives.Where(life => life.Labels == labels || (labels == life.Labels.Without("replica") && deduplicatedUntil > 0)).ToList();

                // Something is lacking: a sample, or what a collector that is expected should have gathered. Statuses and descriptions tell spans,
                // and not the holes in them: of a collector that was down meanwhile, and of a store that does not answer, a hole may be said to
                // be missing, but nothing of it was answered.
                Assert.True(
                    ofIt.Exists(life => life.Samples(3600).Any(s => claim.Range.Contains(Ms(s)) && !IsAnswered(life, s)))
                    || (!storeAnswers && claim.Name == bucket.Name && IsWithin(bucket.Description!.RangeOf(labels)))
                    || ofIt.Exists(life => IsWithLost(life, claim.Range))
                    || ofIt.Exists(life => !Answers(life) && IsHole(life, claim.Range) && life.StatusAt(synced) is { } status && status.Unshipped.Any(IsWithin)
                        && !(storeAnswers && life.Blocks(synced).Any(block => block.Range.Overlaps(claim.Range))))
                    || ofIt.Exists(life => !Answers(life)
                        && (life.End != End.Stops || synced < life.Ends)
                        && (life.End != End.DiesAndIsAcknowledged || synced < life.Ends + 200)
                        && claim.Range.MaxTime > NewestKnown(life)),
                    $"{labels} is not missing from {(claim.Range.MinTime - s_begin) / 1000} to {(claim.Range.MaxTime - s_begin) / 1000}: {claim.Name}: {claim.Reason}");
            }
        }

        // Seconds that have a sample lie a second apart: what lies between two of them is no hole.
        bool IsHole(Life life, TimeRange span) => span.MinTime == range.MinTime || span.MaxTime == range.MaxTime
            || Enumerable.Range(0, 3600).Any(second => span.Contains(Ms(second)) && !life.IsUp(second));

        // A span that was lost may be longer than its samples.
        bool IsWithLost(Life life, TimeRange span) => life.StatusAt(synced)?.Lost.Any(lost => lost.Range.Overlaps(span)) == true
            || life.Blocks(synced).SelectMany(LostTimes.Of).Any(lost => lost.Range.Overlaps(span));

        // One replica tells of spans, and not of the holes in them where it was down.
        bool IsCoveredByReplica(Life life, long sample) => areJoined && lives.Exists(other =>
            other.Labels != life.Labels && other.Labels.Without("replica") == life.Labels.Without("replica")
            && ((Answers(other) && sample >= oldest[other]) || (storeAnswers && other.Blocks(synced).Any(block =>
                block.Range.Contains(Ms(sample)) && !LostTimes.Of(block).Any(lost => lost.Range.Contains(Ms(sample)))))));

        bool Answers(Life life) => life.Answers && life.IsUp(3600) && live.ContainsKey(life);

        // A status is older than the newest sample; from what it tells on, its collector's silence counts.
        long NewestKnown(Life life) => life.StatusAt(synced) is { } status
            ? status.NewestSample ?? Ms(life.Born - 1)
            : Ms(life.Samples(synced).DefaultIfEmpty(life.Born - 1).Last());

        bool IsAnswered(Life life, long sample) => (Answers(life) && sample >= oldest[life] && !life.IsLost(sample, 3600)) || (storeAnswers && life.IsShipped(sample, synced));
    }

    /// <summary>The block that a compaction makes of blocks of replicas.</summary>
    static BlockMeta Deduplicated(IEnumerable<BlockMeta> blocks)
    {
        var all = blocks.ToList();
        return new BlockMeta
        {
            Id = all[0].Id,
            MinTime = all.Min(block => block.MinTime),
            MaxTime = all.Max(block => block.MaxTime),
            Thanos = new ThanosSection
            {
                Labels = all[0].ExternalLabels.Without("replica").ToDictionary(),
                Extensions = BlockOrigin.Joined(all),
            },
        };
    }

    static StoreState State(string name, StoreDescription description) =>
        new(name, new MemoryQuerier([]), description, Now, Now, null, 0) { Silence = new StoreSilence() };

    static long Ms(long second) => s_begin + (second * Second);

    static DateTimeOffset At(long second) => DateTimeOffset.FromUnixTimeMilliseconds(Ms(second));
}
