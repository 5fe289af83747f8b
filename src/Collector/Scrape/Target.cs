using System.Globalization;
using System.IO.Hashing;
using System.Text;
using Observe.Collector.Config;
using Observe.Collector.Discovery;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Model;

namespace Observe.Collector.Scrape;

/// <summary>The result of a target's last scrape. Replaced whole after each scrape.</summary>
sealed record TargetState(TargetHealth Health, string LastError, DateTimeOffset? LastScrape, TimeSpan LastScrapeDuration)
{
    public static TargetState NotScraped { get; } = new(TargetHealth.Unknown, "", null, TimeSpan.Zero);
}

/// <summary>One endpoint to scrape, made of discovered labels by relabelling.</summary>
sealed class Target
{
    const string AddressLabel = "__address__";
    const string Scheme = "__scheme__";
    const string MetricsPath = "__metrics_path__";
    const string Interval = "__scrape_interval__";
    const string Timeout = "__scrape_timeout__";
    const string ParameterPrefix = "__param_";
    const string MetaPrefix = "__meta_";
    const string ReservedPrefix = "__";

    volatile TargetState _state = TargetState.NotScraped;

    Target(Labels all, string address, string url, TimeSpan scrapeInterval, TimeSpan scrapeTimeout)
    {
        (Address, Url, ScrapeInterval, ScrapeTimeout) = (address, url, scrapeInterval, scrapeTimeout);
        if (Uri.TryCreate(url, new UriCreationOptions { DangerousDisablePathAndQueryCanonicalization = true }, out var uri)
            && uri.Scheme is "http" or "https")
        {
            Uri = uri;
        }
        else
        {
            Fault = $"{GoText.Quote(url)} is not an http or https URL";
        }

        Fault = all.Has("") ? "a label of the target has an empty name" : Fault;
        var visible = new LabelsBuilder();
        foreach (var label in all)
        {
            if (!label.Name.IsEmpty && !label.NameText.StartsWith(ReservedPrefix, StringComparison.Ordinal))
            {
                visible.Set(label.Name, label.Value);
            }
        }

        Labels = visible.Build();
        var hash = new XxHash64();
        hash.Append(all.Encoded);
        hash.Append(Encoding.UTF8.GetBytes(url));
        Hash = hash.GetCurrentHashAsUInt64();
    }

    /// <summary>The labels that the target's series get.</summary>
    public Labels Labels { get; }

    /// <summary>As Prometheus shows it. It is the target's own text, and may be no URL at all.</summary>
    public string Url { get; }

    /// <summary>What the URL leads to; null where <see cref="Fault"/> says why it leads nowhere.</summary>
    public Uri? Uri { get; }

    /// <summary>Host and port, as they stand in the URL.</summary>
    public string Address { get; }

    /// <summary>The reason why the target cannot be scraped, ever; null where it can.</summary>
    public string? Fault { get; }

    public TimeSpan ScrapeInterval { get; }

    public TimeSpan ScrapeTimeout { get; }

    /// <summary>A hash of labels and URL, the same in every process.</summary>
    public ulong Hash { get; }

    /// <summary>The group that the target was discovered in, and its index there.</summary>
    public required (TargetGroup Group, int Index) Source { get; set; }

    public TargetState State
    {
        get => _state;
        set => _state = value;
    }

    /// <summary>
    /// Makes a target of discovered labels; null when relabelling drops it, or when it cannot be scraped and <paramref name="error"/> says
    /// why.
    /// </summary>
    public static Target? Create(ScrapeConfig config, TargetGroup group, int index, out string? error)
    {
        error = null;
        var labels = Discover(config, group, index);
        if (!RelabelRule.Apply(config.RelabelConfigs, labels))
        {
            return null;
        }

        var address = labels.Get(AddressLabel);
        if (address.Length == 0)
        {
            error = "no address";
            return null;
        }

        if (address.Contains('/', StringComparison.Ordinal))
        {
            error = $"{GoText.Quote(address)} is not a valid hostname";
            return null;
        }

        if (!TryDuration(labels, Interval, "interval", out var interval, out error)
            || !TryDuration(labels, Timeout, "timeout", out var timeout, out error))
        {
            return null;
        }

        if (timeout > interval)
        {
            error = $"scrape timeout cannot be greater than scrape interval ({GoText.Quote(labels.Get(Timeout))} > {GoText.Quote(labels.Get(Interval))})";
            return null;
        }

        foreach (var (name, _) in labels.ToList())
        {
            if (name.StartsWith(MetaPrefix, StringComparison.Ordinal))
            {
                labels.Delete(name);
            }
        }

        if (labels.Get("instance").Length == 0)
        {
            labels.Set("instance", address);
        }

        return new Target(labels.Build(), address, UrlOf(config, labels), interval, timeout) { Source = (group, index) };
    }

    /// <summary>The labels of a target before relabelling: its own, its group's, and those of the job's settings.</summary>
    public static Labels Discovered(ScrapeConfig config, TargetGroup group, int index) => Discover(config, group, index).Build();

    /// <summary>All of them count as set, in this order, which decides where relabelling leads several to one name.</summary>
    static LabelsBuilder Discover(ScrapeConfig config, TargetGroup group, int index)
    {
        var labels = new LabelsBuilder();
        foreach (var label in group.Targets[index])
        {
            labels.Set(label.Name, label.Value);
        }

        foreach (var label in group.Labels)
        {
            if (label.NameText != AddressLabel)
            {
                Default(labels, label.NameText, label.ValueText);
            }
        }

        Default(labels, "job", config.JobName);
        Default(labels, Interval, Duration.Format(config.ScrapeInterval));
        Default(labels, Timeout, Duration.Format(config.ScrapeTimeout));
        Default(labels, MetricsPath, config.MetricsPath);
        Default(labels, Scheme, config.Scheme);
        foreach (var (name, values) in config.Params)
        {
            if (values.Count > 0)
            {
                Default(labels, ParameterPrefix + name, values[0]);
            }
        }

        return labels;
    }

    static void Default(LabelsBuilder labels, string name, string value)
    {
        if (!labels.Has(name))
        {
            labels.Set(name, value);
        }
    }

    static bool TryDuration(LabelsBuilder labels, string name, string what, out TimeSpan span, out string? error)
    {
        span = default;
        if (!Duration.TryParse(labels.Get(name), out var milliseconds, out error))
        {
            error = $"error parsing scrape {what}: {error}";
            return false;
        }

        span = TimeSpan.FromMilliseconds(milliseconds);
        error = milliseconds == 0 ? $"scrape {what} cannot be 0" : null;
        return error is null;
    }

    /// <summary>Labels <c>__param_x</c> replace the first value of a configured parameter; the query is sorted by name.</summary>
    static string UrlOf(ScrapeConfig config, LabelsBuilder labels)
    {
        var parameters = new SortedDictionary<string, List<string>>(Utf8Order.Instance);
        foreach (var (name, values) in config.Params)
        {
            parameters[name] = [.. values];
        }

        foreach (var (name, value) in labels.ToList())
        {
            if (!name.StartsWith(ParameterPrefix, StringComparison.Ordinal))
            {
                continue;
            }

            var key = name[ParameterPrefix.Length..];
            if (parameters.TryGetValue(key, out var values) && values.Count > 0)
            {
                values[0] = value;
            }
            else
            {
                parameters[key] = [value];
            }
        }

        var (scheme, host, path) = (labels.Get(Scheme), labels.Get(AddressLabel), labels.Get(MetricsPath));
        var url = new StringBuilder(scheme).Append(scheme.Length > 0 ? "://" : "//");
        Escape(url, host, "!$&'()*+,;=:[]<>\"");
        url.Append(path.Length == 0 || path[0] == '/' ? "" : "/");
        Escape(url, path == "*" ? "" : path, "$&+,/:;=@").Append(path == "*" ? path : "");
        var separator = '?';
        foreach (var (name, values) in parameters)
        {
            foreach (var value in values)
            {
                Escape(url.Append(separator), name, "", space: '+').Append('=');
                Escape(url, value, "", space: '+');
                separator = '&';
            }
        }

        return url.ToString();
    }

    /// <summary>Appends a part of a URL, escaped as Go's url package does.</summary>
    /// <param name="plain">What needs no escape there, besides letters, digits and <c>-_.~</c>.</param>
    /// <param name="space">Stands for a blank; '%' where a blank is escaped like others.</param>
    static StringBuilder Escape(StringBuilder url, string text, string plain, char space = '%')
    {
        foreach (var b in Encoding.UTF8.GetBytes(text))
        {
            var c = (char)b;
            if (char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' or '~' || plain.Contains(c, StringComparison.Ordinal))
            {
                url.Append(c);
            }
            else if (c == ' ' && space != '%')
            {
                url.Append(space);
            }
            else
            {
                url.Append(CultureInfo.InvariantCulture, $"%{b:X2}");
            }
        }

        return url;
    }
}
