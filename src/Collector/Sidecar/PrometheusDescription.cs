using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Observe.Store.Yaml;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Collector.Sidecar;

/// <summary>What is known of a Prometheus.</summary>
/// <param name="Labels">Its own external labels.</param>
/// <param name="ConfigHash">Of its configuration, external labels left out.</param>
/// <param name="BlockRangeMs">The span of the blocks that it cuts.</param>
/// <param name="LongestBlockMs">Up to which it joins them; 0 where that is not known.</param>
public sealed record PrometheusDescription(Labels Labels, string ConfigHash, string Version, long BlockRangeMs, long LongestBlockMs)
{
    public const long UsualBlockRangeMs = 2 * 3_600_000;

    const string FileName = "prometheus.json";

    /// <summary>It joins blocks, so that a long one may repeat what was shipped.</summary>
    public bool JoinsBlocks => LongestBlockMs > BlockRangeMs;

    /// <summary>External labels and hash of a configuration as Prometheus prints it.</summary>
    /// <exception cref="IOException">It is none.</exception>
    public static (Labels Labels, string Hash) ReadConfig(string yaml)
    {
        var errors = new ConfigErrors("Prometheus's configuration");
        var (labels, own) = (new LabelsBuilder(), new HashSet<int>());
        try
        {
            _ = YamlTree.TryRead(yaml, errors, out var tree);
            var global = new ConfigSection(tree, "the configuration", errors).SectionOrEmpty("global");
            own.Add(global.Key("external_labels")?.Line ?? 0);
            foreach (var (name, value) in global.Pairs("external_labels"))
            {
                own.Add(name.Line);
                if (value.Length > 0 && LabelName.IsValid(name.Text))
                {
                    labels.Set(name.Text, value);
                }
            }

            errors.ThrowIfAny();
        }
        catch (ConfigException e)
        {
            throw new IOException(e.Message, e);
        }

        var common = string.Join('\n', yaml.Split('\n').Where((_, line) => !own.Contains(line + 1)));
        return (labels.Build(), Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(common))));
    }

    /// <summary>What was known when this ran last; null where nothing was, or it can't be read.</summary>
    public static PrometheusDescription? Load(string folder)
    {
        try
        {
            return StateFile.Read(Path.Combine(folder, FileName)) is { } json
                && JsonSerializer.Deserialize(json, PrometheusJson.Default.KnownPrometheus) is { Labels: { } labels } known
                ? new PrometheusDescription(Labels.Of(labels), known.ConfigHash ?? "", known.Version ?? "", Math.Max(1, known.BlockRangeMs), known.LongestBlockMs) : null;
        }
        catch (Exception e) when (e is IOException or JsonException)
        {
            return null;
        }
    }

    /// <exception cref="IOException"/>
    public void Save(string folder) => StateFile.Write(
        Path.Combine(folder, FileName), JsonSerializer.SerializeToUtf8Bytes(
            new KnownPrometheus(Labels.ToDictionary(), ConfigHash, Version, BlockRangeMs, LongestBlockMs), PrometheusJson.Default.KnownPrometheus));
}

/// <summary>What <c>prometheus.json</c> says.</summary>
sealed record KnownPrometheus(IReadOnlyDictionary<string, string>? Labels, string? ConfigHash, string? Version, long BlockRangeMs, long LongestBlockMs);

[JsonSerializable(typeof(KnownPrometheus))]
sealed partial class PrometheusJson : JsonSerializerContext;
