using Observe.Store.Api;
using Xunit;

namespace Observe.Store.Tests.Api;

public class ReadAheadStreamTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task All_bytes_come_in_order_however_they_are_asked_for(int seed)
    {
        var random = new Random(seed);
        var sent = new byte[random.Next(1 << 20)];
        random.NextBytes(sent);
        await using var stream = new ReadAheadStream(new MemoryStream(sent));
        var (received, buffer) = (new MemoryStream(), new byte[1 << 18]);
        while (true)
        {
            if (random.Next(3) == 0)
            {
                Assert.Equal(0, await stream.ReadAsync(Memory<byte>.Empty));
            }

            var count = await stream.ReadAsync(buffer.AsMemory(0, random.Next(1, 1 << random.Next(1, 18))));
            if (count == 0)
            {
                break;
            }

            received.Write(buffer, 0, count);
        }

        Assert.Equal(sent, received.ToArray());
        Assert.Equal(0, await stream.ReadAsync(buffer));
    }
}
