namespace Observe.Tsdb.Blocks;

/// <summary>Counts who uses something that is opened once, the opener among them; the last to release it closes it. Thread-safe.</summary>
public sealed class UseCount(Action close)
{
    int _users = 1;

    /// <summary>More than one uses it at this moment.</summary>
    public bool IsShared => Volatile.Read(ref _users) > 1;

    /// <summary>False when it is closed already.</summary>
    public bool TryAcquire()
    {
        var users = Volatile.Read(ref _users);
        while (users > 0)
        {
            var seen = Interlocked.CompareExchange(ref _users, users + 1, users);
            if (seen == users)
            {
                return true;
            }

            users = seen;
        }

        return false;
    }

    public void Release()
    {
        if (Interlocked.Decrement(ref _users) == 0)
        {
            close();
        }
    }
}
