using System.Buffers;
using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Wal;

namespace Observe.Tsdb.Head;

public sealed partial class HeadBlock
{
    const int MaxNamedDamages = 100;

    /// <summary>Reads the log into memory. Returns the number of the segment to go on with.</summary>
    /// <param name="fault">A damage that was met before.</param>
    int Replay(string? fault, CancellationToken cancellationToken)
    {
        var (checkpoint, segments) = Checkpoint.Replay(WalDirectory);
        var last = Checkpoint.Last(WalDirectory)?.Index;
        var times = CutTimes();
        SetCutTime(times.Count == 0 ? long.MinValue : times.Max(cut => cut.Time));
        var damages = Read(checkpoint, segments, out var newest, cancellationToken);
        if (CutTime(times, newest) is var believed && believed < _cutTime)
        {
            // Nothing was taken from the log: all of it is older than the time that is not believed.
            SetCutTime(believed);
            damages = Read(checkpoint, segments, out _, cancellationToken);
            SaveState(believed);
        }

        if (last is { } index && (segments.Count == 0 || segments[0].Index != index + 1))
        {
            // The next segment begins before a checkpoint is written.
            damages.Insert(0, $"{WalSegment.At(WalDirectory, index + 1).Path} at 0: the segments after checkpoint {index} are missing");
        }

        if (last is not null && checkpoint is not [{ Index: 0 }, ..])
        {
            damages.Insert(0, $"{WalDirectory}: checkpoint {last} lacks its first segment: what it had of the segments up to {last} is lost");
        }

        if (fault is not null)
        {
            damages.Insert(0, fault);
        }

        foreach (var damage in damages.Take(MaxNamedDamages))
        {
            LogDamage(damage);
        }

        _walMetrics.Corruptions.Inc(damages.Count);
        Damages = damages;
        DropSeries(long.MinValue, all: true);
        Series.EnterRestored();
        return 1 + Math.Max(segments.Count > 0 ? segments[^1].Index : -1, last ?? -1);
    }

    /// <param name="newest">The time of the newest sample in the log, taken or cut already; long.MinValue when it has none.</param>
    /// <returns>What is damaged.</returns>
    List<string> Read(List<WalSegment> checkpoint, List<WalSegment> segments, out long newest, CancellationToken cancellationToken)
    {
        var damages = new List<string>();
        var snapshot = LoadSnapshot(Checkpoint.Last(WalDirectory)?.Index ?? -1, out var loaded, cancellationToken);
        using var replay = new HeadReplay(this, Math.Clamp(Environment.ProcessorCount - 1, 1, 4));
        replay.Read(snapshot < 0 ? checkpoint : [], isComplete: true, damages, cancellationToken);
        replay.Read([.. segments.Where(segment => segment.Index > snapshot)], isComplete: false, damages, cancellationToken);
        replay.Complete();
        newest = Math.Max(replay.Newest, loaded.MaxTime);
        var (minTime, maxTime) = (Math.Min(replay.MinTime, loaded.MinTime), Math.Max(replay.MaxTime, loaded.MaxTime));
        if (minTime <= maxTime)
        {
            (_minTime, _maxTime) = (minTime, maxTime);
        }

        if (replay.Orphans > 0)
        {
            LogOrphans(replay.Orphans);
        }

        if (replay.Refused > 0)
        {
            damages.Add($"{WalDirectory}: {replay.Refused} histograms that contradict themselves");
        }

        return damages;
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "damaged place in the write-ahead log skipped: {damage}")]
    partial void LogDamage(string damage);

    [LoggerMessage(Level = LogLevel.Error, Message = "{samples} samples of the write-ahead log skipped: the records of their series are lost")]
    partial void LogOrphans(long samples);
}

/// <summary>Reads records on one thread; other threads append their samples, each to its own share of the slots.</summary>
sealed class HeadReplay : IDisposable
{
    const int BatchSize = 4096;

    readonly HeadBlock _head;
    readonly Worker[] _workers;
    readonly long _from;
    readonly List<WalSeries> _series = [];
    readonly List<WalSample> _samples = [];
    readonly List<WalHistogram> _histograms = [];

    /// <summary>References whose samples would go into another series than the log says.</summary>
    readonly HashSet<ulong> _refused = [];

    public HeadReplay(HeadBlock head, int workers)
    {
        (_head, _from) = (head, head.MinValidTime);
        _workers = new Worker[workers];
        for (var i = 0; i < workers; i++)
        {
            _workers[i] = new Worker(head);
        }
    }

    public long MinTime => _workers.Min(w => w.MinTime);

    public long MaxTime => _workers.Max(w => w.MaxTime);

    /// <summary>Histograms that could not be appended to a chunk.</summary>
    public long Refused => _workers.Sum(w => w.Refused);

    /// <summary>The time of the newest sample in the log, whether it was taken or not; long.MinValue when there is none.</summary>
    public long Newest { get; private set; } = long.MinValue;

    /// <summary>Samples that are not yet in a block and whose series the log does not have.</summary>
    public long Orphans { get; private set; }

    public void Read(List<WalSegment> segments, bool isComplete, List<string> damages, CancellationToken cancellationToken)
    {
        using var reader = new WalReader(segments, isComplete);
        while (reader.Next())
        {
            cancellationToken.ThrowIfCancellationRequested();
            try
            {
                Record(reader);
            }
            catch (CorruptionException e)
            {
                reader.Damaged(e.What);
            }
            catch (ArgumentException e)
            {
                reader.Damaged(e.Message);
            }
        }

        damages.AddRange(reader.Damages.Select(d => d.ToString()));
    }

    /// <summary>Waits until all samples are in their chunks.</summary>
    public void Complete()
    {
        foreach (var worker in _workers)
        {
            worker.Complete();
        }
    }

    public void Dispose()
    {
        foreach (var worker in _workers)
        {
            worker.Dispose();
        }
    }

    void Record(WalReader reader)
    {
        switch ((WalRecordType)reader.Record[0])
        {
            case WalRecordType.Series:
                _series.Clear();
                WalRecords.Series(reader.Record, _series, reader.File, reader.Offset);
                foreach (var (reference, labels) in _series)
                {
                    var result = _head.Series.Restore(reference, labels);
                    if (result == RestoreResult.Restored)
                    {
                        _refused.Remove(reference);
                    }
                    else if (_refused.Add(reference))
                    {
                        reader.Damaged($"a series with the reference {reference} and {labels.Count} labels: {result}");
                    }
                }

                break;
            case WalRecordType.Samples or WalRecordType.SamplesV2:
                _samples.Clear();
                WalRecords.Samples(reader.Record, _samples, reader.File, reader.Offset);
                foreach (var sample in _samples)
                {
                    if (TryGetWorker(sample.Ref, sample.Time, out var slot, out var worker))
                    {
                        worker.Add(sample with { Ref = (ulong)slot });
                    }
                }

                break;
            case (>= WalRecordType.Histograms and <= WalRecordType.CustomBucketsFloatHistograms)
                or WalRecordType.HistogramsV2 or WalRecordType.FloatHistogramsV2:
                _histograms.Clear();
                WalRecords.Histograms(reader.Record, _histograms, reader.File, reader.Offset);
                foreach (var sample in _histograms)
                {
                    if (TryGetWorker(sample.Ref, sample.Time, out var slot, out var worker))
                    {
                        worker.Add(sample with { Ref = (ulong)slot });
                    }
                }

                break;
        }
    }

    bool TryGetWorker(ulong reference, long time, out int slot, out Worker worker)
    {
        worker = _workers[0];
        Newest = Math.Max(Newest, time);
        if ((!_head.Series.TryGetSlot(reference, out slot) && !_head.Series.TryGetSlot(_head.Series.Resolve(reference), out slot))
            || (_refused.Count > 0 && _refused.Contains(reference)))
        {
            Orphans += time >= _from ? 1 : 0;
            return false;
        }

        worker = _workers[slot % _workers.Length];
        return time >= _from;
    }

    /// <summary>Samples and histograms in the order of the log, for one share of the series.</summary>
    sealed class Worker : IDisposable
    {
        readonly HeadBlock _head;
        readonly BlockingCollection<(WalSample[] Samples, int Count, WalHistogram Histogram)> _queue = new(16);
        readonly Thread _thread;
        WalSample[] _filling = ArrayPool<WalSample>.Shared.Rent(BatchSize);
        int _count;
        Exception? _failed;

        public Worker(HeadBlock head)
        {
            _head = head;
            _thread = new Thread(Run) { IsBackground = true, Name = "wal replay" };
            _thread.Start();
        }

        public long Refused { get; private set; }

        public long MinTime { get; private set; } = long.MaxValue;

        public long MaxTime { get; private set; } = long.MinValue;

        public void Add(WalSample sample)
        {
            _filling[_count++] = sample;
            if (_count == _filling.Length)
            {
                Flush();
            }
        }

        public void Add(WalHistogram histogram)
        {
            Flush();
            _queue.Add(([], 0, histogram));
        }

        public void Complete()
        {
            Flush();
            _queue.CompleteAdding();
            _thread.Join();
            if (_failed is not null)
            {
                throw new IOException($"the write-ahead log could not be replayed: {_failed.GetType().Name}: {_failed.Message}", _failed);
            }
        }

        public void Dispose()
        {
            _queue.CompleteAdding();
            _thread.Join();
            _queue.Dispose();
        }

        void Flush()
        {
            if (_count > 0)
            {
                _queue.Add((_filling, _count, default));
                (_filling, _count) = (ArrayPool<WalSample>.Shared.Rent(BatchSize), 0);
            }
        }

        void Run()
        {
            foreach (var (samples, count, histogram) in _queue.GetConsumingEnumerable())
            {
                if (_failed is not null)
                {
                    continue;
                }

                try
                {
                    Apply(samples.AsSpan(0, count), histogram);
                }
                catch (Exception e)
                {
                    // Whatever it is: on a thread of its own it would end the process, at every start anew.
                    _failed = e;
                }

                if (samples.Length > 0)
                {
                    ArrayPool<WalSample>.Shared.Return(samples);
                }
            }
        }

        void Apply(ReadOnlySpan<WalSample> samples, WalHistogram histogram)
        {
            foreach (ref readonly var sample in samples)
            {
                ref var series = ref _head.Series.At((int)sample.Ref);
                if (sample.Time > series.MaxTime)
                {
                    _head.Chunks.Append(ref series, (int)sample.Ref, sample.Time, sample.Value, sample.Start);
                    Note(sample.Time);
                }
            }

            if (histogram.Histogram is not null)
            {
                ref var series = ref _head.Series.At((int)histogram.Ref);
                if (histogram.Time <= series.MaxTime)
                {
                    return;
                }

                try
                {
                    _head.Chunks.Append(ref series, (int)histogram.Ref, histogram.Time, histogram.Histogram, histogram.Start);
                    Note(histogram.Time);
                }
                catch (Exception e) when (e is ArgumentException or InvalidOperationException or OverflowException)
                {
                    Refused++;
                }
            }
        }

        void Note(long time)
        {
            MinTime = Math.Min(MinTime, time);
            MaxTime = Math.Max(MaxTime, time);
        }
    }
}
