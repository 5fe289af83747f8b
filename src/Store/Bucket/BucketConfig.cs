using Observe.Store.Yaml;
using Observe.Tsdb.Bytes;

namespace Observe.Store.Bucket;

/// <summary>Which bucket and how to reach it: Thanos's object store YAML (<c>type</c>, <c>config</c>, <c>prefix</c>).</summary>
/// <remarks>Format: thanos.io/tip/thanos/storage.md. Supported types: S3 and FILESYSTEM.</remarks>
public sealed class BucketConfig
{
    /// <summary>
    /// The keys behind it have up to 300 characters, and no store takes more than <see cref="ObjectKey.MaxSize"/> bytes together.
    /// </summary>
    const int MaxPrefixLength = 200;

    BucketConfig(string? folder, S3Config? s3, string prefix) => (Folder, S3, Prefix) = (folder, s3, prefix);

    /// <summary>Of a FILESYSTEM bucket, else null.</summary>
    public string? Folder { get; }

    /// <summary>Of an S3 bucket, else null.</summary>
    public S3Config? S3 { get; }

    /// <summary>The folder in the bucket that all keys are in; "" for none.</summary>
    public string Prefix { get; }

    /// <summary>A FILESYSTEM bucket without a file.</summary>
    public static BucketConfig OfFolder(string folder) => new(folder, null, "");

    /// <param name="yaml">Its first document counts.</param>
    /// <param name="file">What errors call it: the file's path, or the flag that holds the text.</param>
    /// <exception cref="ConfigException">Holds every error found.</exception>
    public static BucketConfig Parse(string yaml, string file)
    {
        var errors = new ConfigErrors(file);
        _ = YamlTree.TryRead(yaml, errors, out var tree);
        errors.ThrowIfAny();
        var root = new ConfigSection(tree, "the bucket's configuration", errors);
        var type = root.Required("type");
        var section = root.SectionOrEmpty("config");
        var prefix = (root.Text("prefix") ?? "").Trim('/');
        string? folder = null;
        S3Config? s3 = null;
        switch (type.ToUpperInvariant())
        {
            case "S3":
                s3 = S3Config.Read(section);
                section.Done();
                break;
            case "FILESYSTEM":
                folder = section.Required("directory");
                section.Done();
                break;
            case "":
                break;
            case "GCS" or "AZURE" or "SWIFT" or "COS" or "ALIYUNOSS" or "BOS" or "OCI" or "OBS":
                errors.Add(root.Find("type"), $"type {type} is not supported yet; S3 and FILESYSTEM are");
                break;
            default:
                errors.Add(root.Find("type"), $"unknown type {GoText.Quote(type)}; S3 and FILESYSTEM are supported");
                break;
        }

        if (prefix.Length > MaxPrefixLength)
        {
            errors.Add(root.Find("prefix"), $"prefix must have at most {MaxPrefixLength} characters: keys are to have room behind it");
        }
        else if (ObjectKey.PrefixFault(prefix.Length == 0 ? "" : prefix + "/") is { } fault)
        {
            errors.Add(root.Find("prefix"), $"prefix {GoText.Quote(prefix)} {fault}");
        }

        root.Done();
        errors.ThrowIfAny();
        return new BucketConfig(folder, s3, prefix);
    }

    /// <summary>Opens the bucket; nothing is sent to an S3 server yet. The caller disposes it.</summary>
    /// <param name="metrics">Null where nobody asks for them.</param>
    /// <exception cref="BucketException">The folder can't be made.</exception>
    public IBucket Open(TimeProvider time, BucketMetrics? metrics)
    {
        IBucket bucket = S3 is null ? new FileBucket(Folder!, time) : new S3Bucket(S3, time);
        var label = S3?.Bucket ?? bucket.Name;
        bucket = Prefix.Length == 0 ? bucket : new PrefixBucket(bucket, Prefix);
        return metrics is null ? bucket : new MeteredBucket(bucket, label, metrics);
    }
}
