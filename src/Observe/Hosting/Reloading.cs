using Microsoft.Extensions.Logging;
using Prometheus;

namespace Observe.Hosting;

/// <summary>
/// Reloads the configuration of a process, one reload after the other. Where a reload fails, the old configuration stays in force.
/// </summary>
sealed partial class Reloading : IDisposable
{
    readonly SemaphoreSlim _turn = new(1, 1);
    readonly ILogger _logger;
    readonly Gauge _successful;
    readonly Gauge _time;
    bool _started;
    bool _failed;

    public Reloading(MetricFactory metrics, ILogger logger)
    {
        _logger = logger;
        _successful = metrics.CreateGauge(
            "prometheus_config_last_reload_successful", "Whether the last configuration reload attempt was successful.");
        _time = metrics.CreateGauge(
            "prometheus_config_last_reload_success_timestamp_seconds", "Timestamp of the last successful configuration reload.");
    }

    /// <summary>Called when the roles have started: from here on reloads are possible.</summary>
    public async Task BeginAsync(CancellationToken cancellationToken)
    {
        await _turn.WaitAsync(cancellationToken);
        _started = true;
        _successful.Set(_failed ? 0 : 1);
        _time.SetToCurrentTimeUtc();
        _turn.Release();
    }

    /// <returns>The reason of a failure; null when the new configuration is in force.</returns>
    public async Task<string?> RunAsync(IReadOnlyList<IRole> roles)
    {
        await _turn.WaitAsync();
        try
        {
            if (!_started)
            {
                throw new InvalidOperationException(
                    "the start is not done yet; the configuration that was found at its begin comes into force");
            }

            foreach (var role in roles)
            {
                await role.ReloadAsync();
            }

            _failed = false;
            _successful.Set(1);
            _time.SetToCurrentTimeUtc();
            LogReloaded(_logger);
            return null;
        }
        catch (Exception e)
        {
            _failed = true;
            _successful.Set(0);
            LogFailed(_logger, e);
            return e.Message;
        }
        finally
        {
            _turn.Release();
        }
    }

    public void Dispose() => _turn.Dispose();

    [LoggerMessage(LogLevel.Information, "configuration was reloaded")]
    static partial void LogReloaded(ILogger logger);

    [LoggerMessage(LogLevel.Error, "configuration could not be reloaded; the old one stays in force")]
    static partial void LogFailed(ILogger logger, Exception e);
}
