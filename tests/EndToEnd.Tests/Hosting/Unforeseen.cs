using System.Collections;
using System.Collections.Concurrent;
using System.Diagnostics;

namespace Observe.EndToEnd.Tests.Hosting;

/// <summary>
/// What nobody foresees, in a place of the program: what is handed in to it (a clock, a list of its configuration) throws where the call
/// comes from there, which the stack says.
/// </summary>
sealed class Unforeseen
{
    readonly ConcurrentDictionary<string, int> _places = new();

    /// <summary>The next so many calls from a place throw.</summary>
    /// <param name="place">Part of a frame of the stack: a type, or <c>Type.Method</c>.</param>
    public void Throw(string place, int times = 1) => _places[place] = times;

    /// <summary>How many are still to come.</summary>
    public int Left(string place) => _places.GetValueOrDefault(place);

    /// <summary>Called by what is handed in.</summary>
    public void Pass()
    {
        if (_places.Values.All(left => left <= 0))
        {
            return;
        }

        // A method that awaits is a type of its own there, named after it: Type+<Method>d__1.MoveNext().
        var stack = string.Join('\n', new StackTrace().GetFrames().Select(frame => frame.GetMethod()).OfType<System.Reflection.MethodBase>()
            .Select(method => $"{method.DeclaringType?.FullName}.{method.Name}"))
            .Replace("+<", ".", StringComparison.Ordinal).Replace("<", "", StringComparison.Ordinal).Replace(">", " ", StringComparison.Ordinal);
        foreach (var place in _places.Keys.Where(place => stack.Contains(place, StringComparison.Ordinal)))
        {
            if (_places.AddOrUpdate(place, 0, (_, left) => Math.Max(left - 1, -1)) >= 0)
            {
                throw new KeyNotFoundException($"nobody foresaw this in {place}");
            }
        }
    }
}

/// <summary>The system's clock, on which what nobody foresees may happen.</summary>
sealed class UnforeseenClock(Unforeseen unforeseen) : TimeProvider
{
    public override DateTimeOffset GetUtcNow()
    {
        unforeseen.Pass();
        return base.GetUtcNow();
    }

    public override long GetTimestamp()
    {
        unforeseen.Pass();
        return base.GetTimestamp();
    }

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        unforeseen.Pass();
        return base.CreateTimer(callback, state, dueTime, period);
    }
}

/// <summary>A list of a configuration, on which what nobody foresees may happen.</summary>
sealed class UnforeseenList<T>(Unforeseen unforeseen, IReadOnlyList<T> inner) : IReadOnlyList<T>
{
    public int Count
    {
        get
        {
            unforeseen.Pass();
            return inner.Count;
        }
    }

    public T this[int index] => inner[index];

    public IEnumerator<T> GetEnumerator()
    {
        unforeseen.Pass();
        return inner.GetEnumerator();
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
