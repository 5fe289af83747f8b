namespace Observe.Store.Yaml;

/// <summary>Gathers the faults and warnings of one file, so that all are reported at once.</summary>
public sealed class ConfigErrors(string file)
{
    readonly List<ConfigError> _errors = [];
    readonly List<ConfigError> _warnings = [];

    public string File { get; } = file;

    public IReadOnlyList<ConfigError> Warnings => InOrder(_warnings);

    public void Add(YamlNode? at, string message) => Add(at?.Line ?? 0, at?.Column ?? 0, message);

    public void Add(int line, int column, string message) => _errors.Add(new ConfigError(File, line, column, message));

    public void Warn(YamlNode at, string message) => _warnings.Add(new ConfigError(File, at.Line, at.Column, message));

    /// <summary>Takes over what was found in a file that this one includes.</summary>
    public void AddAll(ConfigErrors included)
    {
        _errors.AddRange(included._errors);
        _warnings.AddRange(included._warnings);
    }

    /// <exception cref="ConfigException">There are errors.</exception>
    public void ThrowIfAny()
    {
        if (_errors.Count > 0)
        {
            throw new ConfigException(InOrder(_errors));
        }
    }

    /// <summary>Of this file first, then of those it includes; from top to bottom.</summary>
    List<ConfigError> InOrder(List<ConfigError> errors) =>
        [.. errors.OrderBy(e => e.File != File).ThenBy(e => e.File, StringComparer.Ordinal).ThenBy(e => e.Line).ThenBy(e => e.Column)];
}

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
