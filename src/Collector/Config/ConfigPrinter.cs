using System.Globalization;
using System.Text;
using Observe.Tsdb.Bytes;
using Observe.Tsdb.Ingest;
using Observe.Tsdb.Model;

namespace Observe.Collector.Config;

/// <summary>Prints a configuration as YAML in Prometheus's order of keys; reading the text again gives the same configuration.</summary>
sealed class ConfigPrinter(bool reveal)
{
    readonly StringBuilder _text = new();
    string _indent = "";
    bool _item;

    public static string Print(CollectorConfig config, bool externalLabels = true)
    {
        var printer = new ConfigPrinter(reveal: false);
        printer.Map("global", () => printer.Global(config.Global, externalLabels));
        printer.Map("cluster_label", () => printer.Text("on_conflict", Name(config.OnConflict)));
        printer.List("scrape_configs", config.ScrapeConfigs, printer.Job);
        return printer._text.ToString();
    }

    /// <summary>
    /// A job with all its settings, secrets too: two jobs are the same when these texts are. Must not be shown to anyone.
    /// </summary>
    public static string Identity(ScrapeConfig job)
    {
        var printer = new ConfigPrinter(reveal: true);
        printer.Job(job);
        return printer._text.ToString();
    }

    void Global(GlobalConfig global, bool externalLabels)
    {
        Text("scrape_interval", Duration.Format(global.ScrapeInterval));
        Text("scrape_timeout", Duration.Format(global.ScrapeTimeout));
        Texts("scrape_protocols", global.ScrapeProtocols ?? []);
        Text("evaluation_interval", Duration.Format(global.EvaluationInterval));
        if (global.RuleQueryOffset > TimeSpan.Zero)
        {
            Text("rule_query_offset", Duration.Format(global.RuleQueryOffset));
        }

        if (externalLabels)
        {
            Labels("external_labels", global.ExternalLabels);
        }

        Text("body_size_limit", ByteSize.Format(global.BodySizeLimit));
        Number("sample_limit", global.SampleLimit);
        Number("target_limit", global.TargetLimit);
        Number("series_limit", global.SeriesLimit, always: true);
        Number("label_limit", global.LabelLimit, always: true);
        Number("label_name_length_limit", global.LabelNameLengthLimit, always: true);
        Number("label_value_length_limit", global.LabelValueLengthLimit, always: true);
        Number("keep_dropped_targets", global.KeepDroppedTargets);
        Text("metric_name_validation_scheme", global.LegacyNames ? "legacy" : "utf8");
        Text("metric_name_escaping_scheme", global.MetricNameEscapingScheme);
        Bool("scrape_native_histograms", global.ScrapeNativeHistograms);
        Flag("convert_classic_histograms_to_nhcb", global.ConvertClassicHistogramsToNhcb);
        Flag("always_scrape_classic_histograms", global.AlwaysScrapeClassicHistograms);
        Bool("extra_scrape_metrics", global.ExtraScrapeMetrics);
    }

    void Job(ScrapeConfig job)
    {
        Text("job_name", job.JobName);
        Flag("honor_labels", job.HonorLabels);
        Bool("honor_timestamps", job.HonorTimestamps);
        Bool("track_timestamps_staleness", job.TrackTimestampsStaleness);
        if (job.Params.Count > 0)
        {
            Map("params", () =>
            {
                foreach (var (name, values) in job.Params)
                {
                    Texts(name, values);
                }
            });
        }

        Text("scrape_interval", Duration.Format(job.ScrapeInterval));
        Text("scrape_timeout", Duration.Format(job.ScrapeTimeout));
        Texts("scrape_protocols", job.ScrapeProtocols);
        Text("fallback_scrape_protocol", job.FallbackScrapeProtocol);
        Bool("scrape_native_histograms", job.ScrapeNativeHistograms);
        Bool("always_scrape_classic_histograms", job.AlwaysScrapeClassicHistograms);
        Bool("convert_classic_histograms_to_nhcb", job.ConvertClassicHistogramsToNhcb);
        Text("metrics_path", job.MetricsPath);
        Text("scheme", job.Scheme);
        Bool("enable_compression", job.EnableCompression);
        Text("body_size_limit", ByteSize.Format(job.BodySizeLimit));
        Number("sample_limit", job.SampleLimit);
        Number("target_limit", job.TargetLimit);
        Number("series_limit", job.SeriesLimit, always: true);
        Number("label_limit", job.LabelLimit, always: true);
        Number("label_name_length_limit", job.LabelNameLengthLimit, always: true);
        Number("label_value_length_limit", job.LabelValueLengthLimit, always: true);
        Number("native_histogram_bucket_limit", job.NativeHistogramBucketLimit);
        if (job.NativeHistogramMinBucketFactor != 0)
        {
            Text("native_histogram_min_bucket_factor", GoText.Float(job.NativeHistogramMinBucketFactor));
        }

        Number("keep_dropped_targets", job.KeepDroppedTargets);
        Text("metric_name_validation_scheme", job.LegacyNames ? "legacy" : "utf8");
        Text("metric_name_escaping_scheme", job.MetricNameEscapingScheme);
        Bool("extra_scrape_metrics", job.ExtraScrapeMetrics);
        Http(job.Http);
        List("relabel_configs", job.RelabelConfigs, Rule);
        List("metric_relabel_configs", job.MetricRelabelConfigs, Rule);
        List("static_configs", job.StaticConfigs, group =>
        {
            Texts("targets", group.Targets, always: true);
            Labels("labels", group.Labels);
        });
        List("file_sd_configs", job.FileDiscoveryConfigs, discovery =>
        {
            Texts("files", discovery.Files);
            Text("refresh_interval", Duration.Format(discovery.RefreshInterval));
        });
    }

    void Http(HttpClientConfig http)
    {
        if (http.BasicAuth is { } basic)
        {
            Map("basic_auth", () =>
            {
                Text("username", basic.Username.Length > 0 ? basic.Username : null);
                Text("username_file", basic.UsernameFile);
                Secret("password", basic.Password);
                Text("password_file", basic.PasswordFile);
            });
        }

        if (http.Authorization is { } authorization)
        {
            Map("authorization", () =>
            {
                Text("type", authorization.Type);
                Secret("credentials", authorization.Credentials);
                Text("credentials_file", authorization.CredentialsFile);
            });
        }

        if (!http.Tls.IsDefault)
        {
            Map("tls_config", () =>
            {
                Text("ca", http.Tls.Ca);
                Text("cert", http.Tls.Cert);
                Secret("key", http.Tls.Key);
                Text("ca_file", http.Tls.CaFile);
                Text("cert_file", http.Tls.CertFile);
                Text("key_file", http.Tls.KeyFile);
                Text("server_name", http.Tls.ServerName);
                Bool("insecure_skip_verify", http.Tls.InsecureSkipVerify);
                Text("min_version", http.Tls.MinVersion);
                Text("max_version", http.Tls.MaxVersion);
            });
        }

        Bool("follow_redirects", http.FollowRedirects);
        Bool("enable_http2", http.EnableHttp2);
        Text("proxy_url", http.ProxyUrl is null ? null : reveal ? http.ProxyUrl.ToString() : WithoutPassword(http.ProxyUrl));
        Text("no_proxy", http.NoProxy.Length > 0 ? http.NoProxy : null);
        Flag("proxy_from_environment", http.ProxyFromEnvironment);
        if (http.HttpHeaders.Count > 0)
        {
            Map("http_headers", () =>
            {
                foreach (var header in http.HttpHeaders)
                {
                    Map(header.Name, () =>
                    {
                        Texts("values", header.Values);
                        Texts("secrets", [.. header.Secrets.Select(Shown)]);
                        Texts("files", header.Files);
                    });
                }
            });
        }
    }

    void Rule(RelabelRule rule)
    {
        if (rule.SourceLabels.Count > 0)
        {
            Line($"source_labels: [{string.Join(", ", rule.SourceLabels.Select(Quote))}]");
        }

        Text("separator", rule.Separator);
        Text("regex", rule.Regex.Pattern);
        Number("modulus", (long)rule.Modulus);
        Text("target_label", rule.TargetLabel.Length > 0 ? rule.TargetLabel : null);
        Text("replacement", rule.Replacement);
        Text("action", RelabelRule.Name(rule.Action));
    }

    static string Name(LabelConflict conflict) => conflict == LabelConflict.Overwrite ? "overwrite" : "exported";

    static string WithoutPassword(Uri url) =>
        url.UserInfo.Length == 0 ? url.ToString() : $"{url.Scheme}://xxxxx@{url.Authority}{url.PathAndQuery}";

    string Shown(Secret secret) => reveal ? secret.Reveal() : secret.ToString();

    void Labels(string key, Labels labels)
    {
        if (labels.IsEmpty)
        {
            return;
        }

        Line(Quote(key) + ":");
        foreach (var label in labels)
        {
            Line($"  {Quote(label.NameText)}: {Quote(label.ValueText)}");
        }
    }

    void Secret(string key, Secret? secret) => Text(key, secret is null ? null : Shown(secret));

    void Text(string key, string? value)
    {
        if (value is not null)
        {
            Line($"{key}: {Quote(value)}");
        }
    }

    void Bool(string key, bool value) => Line($"{key}: {(value ? "true" : "false")}");

    void Flag(string key, bool value)
    {
        if (value)
        {
            Bool(key, value);
        }
    }

    /// <param name="always">Zero is printed too, since it is not what the limit is when it is left out.</param>
    void Number(string key, long value, bool always = false)
    {
        if (value != 0 || always)
        {
            Line(string.Create(CultureInfo.InvariantCulture, $"{key}: {value}"));
        }
    }

    void Texts(string key, IReadOnlyList<string> values, bool always = false)
    {
        if (values.Count == 0)
        {
            if (always)
            {
                Line($"{key}: []");
            }

            return;
        }

        Line(Quote(key) + ":");
        foreach (var value in values)
        {
            Line("- " + Quote(value));
        }
    }

    void Map(string key, Action content)
    {
        Line(Quote(key) + ":");
        var indent = _indent;
        _indent += "  ";
        content();
        _indent = indent;
    }

    void List<T>(string key, IReadOnlyList<T> items, Action<T> content)
    {
        if (items.Count == 0)
        {
            return;
        }

        Line(key + ":");
        var indent = _indent;
        _indent += "  ";
        foreach (var item in items)
        {
            _item = true;
            content(item);
        }

        _indent = indent;
    }

    void Line(string text)
    {
        _text.Append(_item ? _indent[..^2] + "- " : _indent).Append(text).Append('\n');
        _item = false;
    }

    static string Quote(string text)
    {
        if (text.Length == 0)
        {
            return "\"\"";
        }

        var plain = !char.IsWhiteSpace(text[0])
            && !char.IsWhiteSpace(text[^1]) && !"-?:,[]{}#&*!|>'\"%@`=<~".Contains(text[0], StringComparison.Ordinal)
            && !text.Contains(": ", StringComparison.Ordinal) && !text.Contains(" #", StringComparison.Ordinal) && text[^1] != ':'
            && !text.Any(c => c is < ' ' or '\x7f' or '\x85' or '\x2028' or '\x2029' or '\xfeff' or ',' or ']' or '[' or '{' or '}'
            || char.IsSurrogate(c))
            && text is not ("null" or "Null" or "NULL" or "true" or "false" or "yes" or "no" or "on" or "off");
        return plain ? text : text == Tsdb.Model.Secret.Hidden ? text : Quoted(text);
    }

    static string Quoted(string text)
    {
        var quoted = new StringBuilder("\"");
        foreach (var c in text)
        {
            _ = c switch
            {
                '"' => quoted.Append("\\\""),
                '\\' => quoted.Append("\\\\"),
                '\n' => quoted.Append("\\n"),
                '\t' => quoted.Append("\\t"),
                < ' ' or '\x7f' or '\x85' or '\x2028' or '\x2029' or '\xfeff' =>
                    quoted.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}"),
                _ => quoted.Append(c),
            };
        }

        return quoted.Append('"').ToString();
    }
}
