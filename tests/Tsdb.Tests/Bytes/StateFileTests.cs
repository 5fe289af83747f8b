using Observe.Testkit;
using Observe.Tsdb.Bytes;
using Xunit;

namespace Observe.Tsdb.Tests.Bytes;

public sealed class StateFileTests : IDisposable
{
    readonly string _folder = Checkout.NewFolder("state");

    string Path => System.IO.Path.Combine(_folder, "state.json");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void What_was_written_is_read()
    {
        Assert.Null(StateFile.Read(Path));
        StateFile.Write(Path, "{\"a\":1}"u8);
        StateFile.Write(Path, "{\"a\":[2,\"ü\"]}"u8);
        Assert.Equal("{\"a\":[2,\"ü\"]}"u8, StateFile.Read(Path)!);
        Assert.Equal(["a", "checksum"], System.Text.Json.JsonDocument.Parse(File.ReadAllBytes(Path)).RootElement.EnumerateObject().Select(f => f.Name));
    }

    [Fact]
    public void Every_flipped_bit_and_every_length_is_a_corruption()
    {
        StateFile.Write(Path, "{\"a\":1,\"b\":\"text\"}"u8);
        var whole = File.ReadAllBytes(Path);
        for (var bit = 0; bit < whole.Length * 8; bit++)
        {
            Check([.. whole[..(bit / 8)], (byte)(whole[bit / 8] ^ (1 << (bit % 8))), .. whole[((bit / 8) + 1)..]]);
        }

        for (var length = 0; length < whole.Length; length++)
        {
            Check(whole[..length]);
        }

        void Check(byte[] content)
        {
            File.WriteAllBytes(Path, content);
            Assert.Throws<CorruptionException>(() => StateFile.Read(Path));
        }
    }
}
