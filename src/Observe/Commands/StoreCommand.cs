using System.CommandLine;
using Observe.Hosting;

namespace Observe.Commands;

/// <summary><c>observe store</c>: a bucket's blocks over the store API.</summary>
static class StoreCommand
{
    public static Command Build()
    {
        var server = new ServerFlags(10902, 10901);
        var objstore = new ObjstoreFlags();
        var store = new StoreFlags();
        var api = new StoreApiFlags();
        var command = new Command("store", "serve a bucket's blocks over the store API");
        server.AddTo(command);
        objstore.AddTo(command);
        store.AddTo(command);
        api.AddTo(command);
        command.SetAction(async (flags, _) =>
        {
            using var host = new RoleHost("store", flags, server);
            using var folder = DataFolder.Open(flags, store.DataFolder, "store");
            return await host.RunAsync(
                [StoreRole.Create(host, flags, store, folder, objstore.Required(flags), serve: api.Options(flags, host))]);
        });
        return command;
    }
}
