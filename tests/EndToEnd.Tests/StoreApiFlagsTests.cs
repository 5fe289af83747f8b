using Observe.Commands;
using Xunit;

namespace Observe.EndToEnd.Tests;

public sealed class StoreApiFlagsTests
{
    [Theory]
    [InlineData("store")]
    [InlineData("collector")]
    [InlineData("query")]
    [InlineData("all")]
    [InlineData("demo")]
    public void Every_role_that_serves_the_store_API_bounds_its_calls(string role)
    {
        var command = role switch
        {
            "store" => StoreCommand.Build(),
            "collector" => CollectorCommand.Build(),
            "query" => QueryCommand.Build(),
            "all" => AllCommand.Build(),
            _ => DemoCommand.Build(),
        };
        Assert.Equal(role, command.Name);
        Assert.Contains(command.Options, option => option.Name == "--store.grpc.series-max-concurrency");
        Assert.Contains(command.Options, option => option.Name == "--store.grpc.timeout");
    }
}
