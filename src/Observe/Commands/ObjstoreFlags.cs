using System.CommandLine;
using Observe.Hosting;

namespace Observe.Commands;

/// <summary>The pair of flags that names the bucket: <c>--objstore.config</c> (YAML) or <c>--objstore.config-file</c> (its path).</summary>
sealed class ObjstoreFlags
{
    public Option<string> Config { get; } = Flags.Text("--objstore.config", "the bucket as YAML, in Thanos's form");

    public Option<string> ConfigFile { get; } = Flags.Text("--objstore.config-file", "a file that holds it");

    public void AddTo(Command command)
    {
        command.Options.Add(Config);
        command.Options.Add(ConfigFile);
    }

    /// <summary>The YAML and its source for messages; null when neither flag is set.</summary>
    public (string Content, string Source)? Content(ParseResult flags) => Flags.Content(flags, Config, ConfigFile);

    /// <exception cref="FlagException">Neither flag is set.</exception>
    public (string Content, string Source) Required(ParseResult flags) =>
        Content(flags) ?? throw new FlagException("a bucket is needed: give --objstore.config or --objstore.config-file");
}
