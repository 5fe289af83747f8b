namespace Observe.Testkit;

/// <summary>Waits for what another process will bring about.</summary>
public static class Eventually
{
    /// <summary>Asks again and again until the answer is not null (an exception counts as no answer); fails with the last one.</summary>
    public static async Task<T> GetAsync<T>(Func<Task<T?>> ask, TimeSpan limit, string what)
        where T : class
    {
        using var timeout = new CancellationTokenSource(limit);
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(100));
        Exception? last = null;
        try
        {
            do
            {
                try
                {
                    if (await ask() is { } answer)
                    {
                        return answer;
                    }
                }
                catch (Exception e) when (e is HttpRequestException or IOException or System.Text.Json.JsonException)
                {
                    last = e;
                }
            }
            while (await timer.WaitForNextTickAsync(timeout.Token));
        }
        catch (OperationCanceledException)
        {
        }

        throw new TimeoutException($"{what} did not come about within {limit}", last);
    }

    public static Task TrueAsync(Func<Task<bool>> ask, TimeSpan limit, string what) =>
        GetAsync(async () => await ask() ? "" : null, limit, what);
}
