namespace Observe.Collector.Config;

/// <summary>One fault in a configuration file.</summary>
/// <param name="Line">From 1; 0 where the fault has no place in the file.</param>
/// <param name="Column">From 1.</param>
public sealed record ConfigError(string File, int Line, int Column, string Message)
{
    public override string ToString() => Line == 0 ? $"{File}: {Message}" : $"{File}:{Line}:{Column}: {Message}";
}

/// <summary>A configuration that cannot be used. Holds every fault of the file, in the order of its lines.</summary>
public sealed class ConfigException(IReadOnlyList<ConfigError> errors)
    : FormatException(string.Join('\n', errors))
{
    public IReadOnlyList<ConfigError> Errors { get; } = errors;
}
