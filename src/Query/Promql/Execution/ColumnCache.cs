namespace Observe.Query.Promql.Execution;

/// <summary>Series that are read several times, each evaluated once and held until it was read for the last time.</summary>
sealed class ColumnCache
{
    readonly SeriesOperator _source;
    readonly Entry[] _entries;

    /// <param name="readings">The series, each as often as it is going to be read.</param>
    public ColumnCache(SeriesOperator source, IEnumerable<int> readings)
    {
        _source = source;
        _entries = new Entry[source.Series.Length];
        foreach (var series in readings)
        {
            (_entries[series] ??= new Entry()).Readings++;
        }
    }

    public void Evaluate(int series, Column column, Worker worker)
    {
        var entry = _entries[series];
        lock (entry)
        {
            entry.Readings--;
            if (entry.Held is null)
            {
                _source.Evaluate(series, column, worker);
                if (entry.Readings > 0)
                {
                    entry.Held = worker.RentColumn(column.Steps);
                    entry.Held.CopyFrom(column);
                }

                return;
            }

            column.CopyFrom(entry.Held);
            if (entry.Readings == 0)
            {
                worker.Return(entry.Held);
                entry.Held = null;
            }
        }
    }

    sealed class Entry
    {
        public int Readings { get; set; }

        public Column? Held { get; set; }
    }
}
