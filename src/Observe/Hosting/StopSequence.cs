using Microsoft.Extensions.Logging;

namespace Observe.Hosting;

/// <summary>Runs all steps of a stop, even where some of them throw; exceptions are logged, and make the exit code 1.</summary>
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
