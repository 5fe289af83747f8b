using System.Diagnostics.CodeAnalysis;

namespace Observe.Query.Fanout;

/// <summary>
/// Whether a store was declared silent since it last answered. What waits for the store learns of it by the token, at once. Thread-safe.
/// </summary>
[SuppressMessage("Design", "CA1001", Justification = "the source has no timer, and whoever waits for the store may hold its token")]
public sealed class StoreSilence
{
    readonly CancellationTokenSource _declared = new();
    string? _reason;

    /// <summary>Why the store is silent; null while it is not.</summary>
    public string? Reason => Volatile.Read(ref _reason);

    /// <summary>Cancelled when the store is declared silent.</summary>
    public CancellationToken Token => _declared.Token;

    /// <summary>The first reason is kept. What waits for the store goes on elsewhere, not on the thread of the caller.</summary>
    public void Declare(string reason)
    {
        if (Interlocked.CompareExchange(ref _reason, reason, null) is null)
        {
            _ = _declared.CancelAsync();
        }
    }
}
