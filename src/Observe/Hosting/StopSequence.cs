using Microsoft.Extensions.Logging;

namespace Observe.Hosting;

/// <summary>
/// Takes the steps of a stop to the end, whatever any of them throws; what was thrown is logged, and makes the exit code 1.
/// </summary>
sealed partial class StopSequence(ILogger logger)
{
    public bool HasFailed { get; private set; }

    public async Task StepAsync(string step, Func<Task> run)
    {
        LogStep(logger, step);
        try
        {
            await run();
        }
        catch (Exception e)
        {
            HasFailed = true;
            LogFailed(logger, step, e);
        }
    }

    [LoggerMessage(LogLevel.Information, "stop: {Step}")]
    static partial void LogStep(ILogger logger, string step);

    [LoggerMessage(LogLevel.Error, "a step of the stop failed, those after it are taken all the same: {Step}")]
    static partial void LogFailed(ILogger logger, string step, Exception e);
}
