using System.CommandLine;
using Observe.Hosting;
using Observe.Tsdb.Model;

namespace Observe.Commands;

/// <summary>The flags of a collector beside a Prometheus, which scrapes nothing by itself.</summary>
sealed class SidecarFlags
{
    public Option<string> Url { get; } = Flags.Text(
        "--prometheus.url", "ship what this Prometheus has instead of scraping, as http://127.0.0.1:9090; with --prometheus.tsdb.path");

    public Option<string> TsdbPath { get; } = Flags.Text("--prometheus.tsdb.path", "Prometheus's data folder, which is only read");

    public Option<string[]> Label { get; } = Flags.Many(
        "--prometheus.label", "NAME=VALUE: an external label besides those of Prometheus's configuration, over which it wins; repeatable");

    public void AddTo(Command command)
    {
        foreach (var option in (Option[])[Url, TsdbPath, Label])
        {
            command.Options.Add(option);
        }
    }

    public bool IsGiven(ParseResult flags) => !string.IsNullOrEmpty(flags.GetValue(Url)) || !string.IsNullOrEmpty(flags.GetValue(TsdbPath));

    /// <exception cref="FlagException">A flag is missing, or has a value that it cannot have.</exception>
    public SidecarOptions Options(ParseResult flags, CollectorFlags collector, CollectorOptions own)
    {
        if (flags.GetValue(collector.ConfigFile) is not null)
        {
            throw new FlagException($"{collector.ConfigFile.Name} and {Url.Name} exclude each other: beside a Prometheus nothing is scraped here");
        }

        if (flags.GetValue(TsdbPath) is not { Length: > 0 } path || flags.GetValue(Url) is not { Length: > 0 } text)
        {
            throw new FlagException($"{Url.Name} and {TsdbPath.Name} go together");
        }

        if (!Uri.TryCreate(text, UriKind.Absolute, out var url) || url.Scheme is not ("http" or "https"))
        {
            throw new FlagException($"{Url.Name}: not a URL: {text} (write http://127.0.0.1:9090)");
        }

        return new SidecarOptions
        {
            Collector = own,
            Url = url,
            TsdbPath = Path.GetFullPath(path),
            Labels = LabelsOf(flags.GetValue(Label) ?? []),
        };
    }

    Labels LabelsOf(string[] pairs)
    {
        var labels = new LabelsBuilder();
        foreach (var pair in pairs)
        {
            var (name, value) = pair.IndexOf('=', StringComparison.Ordinal) is > 0 and var at ? (pair[..at], pair[(at + 1)..].Trim('"')) : ("", "");
            if (value.Length == 0 || !LabelName.IsValid(name))
            {
                throw new FlagException($"{Label.Name}: not a label: {pair} (write cluster=eu1)");
            }

            labels.Set(name, value);
        }

        return labels.Build();
    }
}
