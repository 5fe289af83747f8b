using Observe.Store.Bucket;
using Observe.Store.Yaml;
using Xunit;

namespace Observe.Store.Tests.Bucket;

public sealed class BucketConfigTests
{
    [Fact]
    public void A_full_S3_configuration_is_read()
    {
        var config = BucketConfig.Parse(
            """
            type: S3
            config:
              bucket: "metrics"
              endpoint: "minio.storage:9000"
              region: "eu-west-1"
              aws_sdk_auth: false
              access_key: "AKIA"
              insecure: true
              signature_version2: false
              secret_key: "hush"
              session_token: ""
              put_user_metadata: {"X-Amz-Storage-Class": "STANDARD_IA"}
              http_config:
                idle_conn_timeout: 1m30s
                response_header_timeout: 2m
                insecure_skip_verify: false
                tls_handshake_timeout: 10s
                expect_continue_timeout: 1s
                max_idle_conns: 100
                max_idle_conns_per_host: 100
                max_conns_per_host: 7
                tls_config: {ca_file: "", cert_file: "", key_file: "", server_name: "", insecure_skip_verify: false}
                disable_compression: false
              trace: {enable: false}
              list_objects_version: ""
              bucket_lookup_type: path
              send_content_md5: true
              disable_multipart: false
              part_size: 67108864
              sse_config: {type: "", kms_key_id: "", kms_encryption_context: {}, encryption_key: ""}
              sts_endpoint: ""
              max_retries: 3
            prefix: team/x/
            """,
            "bucket.yml");
        Assert.Equal("metrics", config.S3!.Bucket);
        Assert.Equal("minio.storage:9000", config.S3.Endpoint);
        Assert.True(config.S3.Insecure);
        Assert.Equal("hush", config.S3.SecretKey!.Reveal());
        Assert.Null(config.S3.SessionToken);
        Assert.True(config.S3.PathStyle);
        Assert.Equal(3, config.S3.MaxRetries);
        Assert.Equal(7, config.S3.Http.MaxConnsPerHost);
        Assert.Equal(TimeSpan.FromSeconds(90), config.S3.Http.IdleConnTimeout);
        Assert.Equal("STANDARD_IA", config.S3.UserMetadata["X-Amz-Storage-Class"]);
        Assert.Null(config.S3.Encryption);
        Assert.Equal("team/x", config.Prefix);
        Assert.DoesNotContain("hush", config.S3.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_is_read_and_opens()
    {
        var config = BucketConfig.Parse("type: FILESYSTEM\nconfig:\n  directory: /somewhere\n", "f");
        Assert.Equal("/somewhere", config.Folder);
        Assert.Null(config.S3);
    }

    [Theory]
    [InlineData("type: GCS\nconfig: {bucket: b}", "f:1:7: type GCS is not supported yet; S3 and FILESYSTEM are")]
    [InlineData("type: AZURE", "f:1:7: type AZURE is not supported yet; S3 and FILESYSTEM are")]
    [InlineData("type: FTP", "f:1:7: unknown type \"FTP\"; S3 and FILESYSTEM are supported")]
    [InlineData("config: {}", "f:1:1: type is missing in the bucket's configuration")]
    [InlineData("type: FILESYSTEM\nconfig: {}", "f:2:9: directory is missing in config")]
    [InlineData("type: FILESYSTEM", "f: directory is missing in config")]
    [InlineData("type: FILESYSTEM\nconfig:\n  directory: d\n  colour: red", "f:4:3: unknown key \"colour\" in config")]
    [InlineData("type: FILESYSTEM\nconfig:\n  directory: d\nprefx: x", "f:4:1: unknown key \"prefx\" in the bucket's configuration; is prefix meant?")]
    [InlineData("type: FILESYSTEM\nconfig:\n  directory: d\nprefix: ../x", "f:4:9: prefix \"../x\" has a part that is empty, . or ..")]
    [InlineData("type: S3\nconfig:\n  bucket: b\n  endpoint: https://x", "f:4:13: endpoint must be a host and port without a scheme, not \"https://x\"; insecure: true chooses plain HTTP")]
    [InlineData("type: S3\nconfig:\n  bucket: b\n  endpoint: x\n  access_key: a", "f:5:15: access_key and secret_key go together: one of them is missing")]
    [InlineData("type: S3\nconfig:\n  bucket: b\n  endpoint: x\n  part_size: 10", "f:5:14: part_size must be a number from 5242880 to 5368709120, not 10")]
    [InlineData("type: S3\nconfig:\n  bucket: b\n  endpoint: x\n  insecure: maybe", "f:5:13: insecure must be true or false, not \"maybe\"")]
    [InlineData("type: S3\nconfig:\n  bucket: b\n  endpoint: x\n  http_config:\n    idle_conn_timeout: soon", "f:6:24: idle_conn_timeout: not a valid duration string: \"soon\"")]
    [InlineData("type: S3\nconfig:\n  bucket: b\n  endpoint: x\n  sse_config:\n    type: ROT13", "f:6:11: type must be one of SSE-S3, SSE-KMS, SSE-C, not \"ROT13\"")]
    [InlineData("- a", "f:1:1: the bucket's configuration must be a mapping")]
    [InlineData("", "f: type is missing in the bucket's configuration")]
    public void A_fault_is_named_with_file_line_and_key(string yaml, string expected)
    {
        var errors = Assert.Throws<ConfigException>(() => BucketConfig.Parse(yaml, "f")).Errors;
        Assert.Equal([expected], errors.Select(e => e.ToString()));
    }

    [Fact]
    public void All_faults_are_told_together()
    {
        var yaml = "type: S3\nconfig:\n  endpont: x\n  region: r\n  insecure: 1\n  secret_key: s\nx: y\n";
        var errors = Assert.Throws<ConfigException>(() => BucketConfig.Parse(yaml, "f")).Errors.Select(e => e.ToString()).ToList();
        Assert.Equal(5, errors.Count);
        Assert.Contains("f:3:3: unknown key \"endpont\" in config; is endpoint meant?", errors);
        Assert.Contains("f:7:1: unknown key \"x\" in the bucket's configuration", errors);
        Assert.Contains("f:3:3: bucket is missing in config", errors);
    }

    [Fact]
    public void Text_that_is_no_YAML_is_told_with_its_line() =>
        Assert.StartsWith("f:2:", Assert.Throws<ConfigException>(() => BucketConfig.Parse("type: S3\n  bad: [", "f")).Message, StringComparison.Ordinal);
}
