using System.Reflection;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Xunit;

namespace Observe.EndToEnd.Tests.Repository;

/// <summary>
/// What runs in the background, found in the source, so that nothing is forgotten: each loop has a test in which it meets what nobody
/// foresaw, and for all else it is said who hears of what it throws.
/// </summary>
public sealed class BackgroundWorkTests
{
    /// <summary>A test of a loop under faults names it so.</summary>
    public const string Loop = "loop";

    /// <summary>Work that is started and is no supervised loop itself: in which file, by which call; and who hears of what it throws.</summary>
    static readonly Dictionary<string, string> s_heard = new()
    {
        ["Collector/Discovery/FileDiscovery.cs: CreateTimer"] = "it only writes to a channel, which the supervised discovery reads",
        ["Collector/Discovery/FileDiscovery.cs: new FileSystemWatcher"] = "as above",
        ["Collector/Discovery/SharedDiscoveries.cs: Run"] = "it is a supervised loop, awaited by the last follower that leaves",
        ["Collector/Scrape/ScrapeLoop.cs: RunAsync"] = "it holds a supervised loop, and is awaited by its pool",
        ["Observe/Commands/CollectorRole.cs: _live.RunAsync"] = "it holds supervised loops, awaited at the stop",
        ["Observe/Commands/CollectorRole.cs: _shipper.RunAsync"] = "it is a supervised loop, awaited at the stop",
        ["Observe/Commands/CollectorRole.cs: _status.RunAsync"] = "as above",
        ["Observe/Commands/QueryRole.cs: stores.RunAsync"] = "as above",
        ["Observe/Commands/SidecarRole.cs: _live.RunAsync"] = "it holds supervised loops, awaited at the stop",
        ["Observe/Commands/SidecarRole.cs: _shipper.RunAsync"] = "it is a supervised loop, awaited at the stop",
        ["Observe/Commands/SidecarRole.cs: _status.RunAsync"] = "as above",
        ["Observe/Commands/SidecarRole.cs: _watch.RunAsync"] = "it is a supervised loop, awaited at the stop",
        ["Observe/Hosting/RoleHost.cs: PosixSignalRegistration.Create ×3"] = "they cancel a token, or begin a reload",
        ["Observe/Hosting/RoleHost.cs: _reloading.RunAsync"] = "it logs and counts whatever a reload throws",
        ["Query/Fanout/FanoutQuerier.cs: StartNew"] = "the query awaits it, before it ends",
        ["Query/Fanout/StoreSilence.cs: _declared.CancelAsync"] = "nobody: what waits for the store hears of its own failure",
        ["Query/Promql/Execution/ParallelLoop.cs: StartNew"] = "whoever runs the loop throws the first that a part of it threw",
        ["Query/Promql/Execution/Prefetch.cs: StartNew"] = "whoever needs the series awaits them too",
        ["Query/Promql/Execution/SeriesOperator.cs: OpenCoreAsync"] = "all who open the operator await the same task",
        ["Query/Promql/PromqlEngine.cs: DisposeResultAsync"] = "nobody: its query has been answered, and its result is given up",
        ["Store/Api/SeriesFrameWriter.cs: responses.WriteAsync"] = "whoever sends the next frame, or ends the call, throws what it threw",
        ["Tsdb/Head/HeadReplay.cs: new Thread"] = "the replay throws what a thread of it threw",
        ["Tsdb/Threading/BackgroundLoop.cs: CreateTimer"] = "it only writes to a channel",
        ["Tsdb/Threading/ComputeShare.cs: StartNew"] = "it runs tasks, each of which holds what it throws",
        ["Tsdb/Threading/ComputeThreads.cs: new Thread"] = "as above",
    };

    static readonly string[] s_runners = ["Thread", "Timer", "PeriodicTimer", "BackgroundWorker", "FileSystemWatcher"];

    static readonly string[] s_starters =
        ["StartNew", "ContinueWith", "CreateTimer", "QueueUserWorkItem", "UnsafeQueueUserWorkItem", "RegisterWaitForSingleObject", "AddHostedService", "PosixSignalRegistration.Create", "Task.Run"];

    [Fact]
    public void Each_loop_has_a_test_in_which_it_meets_what_nobody_foresaw()
    {
        var loops = SourceModel.Files.SelectMany(Loops).ToList();
        Assert.Equal(loops.Order(), loops.Distinct().Order());
        var tested = typeof(BackgroundWorkTests).Assembly.GetTypes().SelectMany(type => type.GetMethods())
            .SelectMany(method => method.GetCustomAttributes<TraitAttribute>()).Where(trait => trait.Name == Loop).Select(trait => trait.Value).Distinct();
        Assert.Equal(loops.Order(), tested.Order());
    }

    [Fact]
    public void Whatever_is_started_in_the_background_is_a_loop_or_somebody_hears_of_its_end() =>
        Assert.Equal(
            string.Join("\n", s_heard.Keys.Order(StringComparer.Ordinal)), string.Join("\n", SourceModel.Files.SelectMany(Started).Order(StringComparer.Ordinal)));

    [Theory]
    [InlineData("void M() { Task.Run(() => { }); }", "Task.Run")]
    [InlineData("void M() { new Thread(Run).Start(); }", "new Thread")]
    [InlineData("Thread _t = new(Run);", "new Thread")]
    [InlineData("void M() { FooAsync(); }", "FooAsync")]
    [InlineData("void M() => FooAsync();", "FooAsync")]
    [InlineData("void M() { _ = FooAsync(); }", "FooAsync")]
    [InlineData("void M() { _loops = [FooAsync(), BarAsync()]; }", "FooAsync", "BarAsync")]
    [InlineData("void M() { x.Finished = a ? FooAsync() : Task.CompletedTask; }", "FooAsync")]
    [InlineData("void M() { _all.Add(FooAsync()); }", "FooAsync")]
    [InlineData("Task _t = FooAsync();", "FooAsync")]
    [InlineData("void M() { var t = FooAsync(); }", "FooAsync")]
    [InlineData("async void M() { }", "async void")]
    [InlineData("void M() { x.Changed += async (_, _) => { }; }", "async void")]
    [InlineData("async Task M() { await Task.Factory.StartNew(Run).Unwrap(); }")]
    [InlineData("Task M() => Task.Factory.StartNew(Run);")]
    [InlineData("Task M() { _x = Task.Run(Run); return Run(); }", "Task.Run")]
    [InlineData("C() { Task.Factory.StartNew(Run).ContinueWith(Run); }", "ContinueWith", "StartNew")]
    [InlineData("async Task M() { await FooAsync(); var t = BarAsync(); await t; _x = await FooAsync(); }")]
    [InlineData("Task M() { _cache = Get(() => FooAsync()); return FooAsync(); }")]
    [InlineData("void M() { _loop = loop.RepeatAsync(FooAsync, token); }")]
    public void What_is_started_is_found(string member, params string[] found)
    {
        var tree = CSharpSyntaxTree.ParseText($"class C {{ {member} Task FooAsync() => null; Task BarAsync() => null; }}");
        Assert.Equal(found.Select(call => "x: " + call).Order(), Started(new SourceFile("x", "x", tree)).Order());
    }

    /// <summary>The names of the loops that a file makes; how it makes them when that does not say their names.</summary>
    static IEnumerable<string> Loops(SourceFile file) =>
        from node in file.Root.DescendantNodes().OfType<BaseObjectCreationExpressionSyntax>()
        where Created(node) == "BackgroundLoop"
        select node.DescendantNodes().OfType<AssignmentExpressionSyntax>()
            .Where(a => a.Left.ToString() == "Name").Select(a => a.Right).OfType<LiteralExpressionSyntax>().FirstOrDefault()?.Token.ValueText
            ?? $"{file.Path}: {node}";

    static IEnumerable<string> Started(SourceFile file)
    {
        var tasks = file.Root.DescendantNodes().OfType<MethodDeclarationSyntax>()
            .Where(method => method.ReturnType.ToString().Split('<')[0].TrimEnd('?') is "Task" or "ValueTask").Select(method => method.Identifier.Text).ToHashSet();
        return file.Root.DescendantNodes().SelectMany(node => Calls(node, tasks).Select(call => $"{file.Path}: {call}"))
            .GroupBy(call => call).Select(calls => calls.Count() == 1 ? calls.Key : $"{calls.Key} ×{calls.Count()}");
    }

    /// <param name="tasks">Methods of the file that give a task, beside those whose name says so.</param>
    static IEnumerable<string> Calls(SyntaxNode node, HashSet<string> tasks)
    {
        switch (node)
        {
            case BaseObjectCreationExpressionSyntax creation when Created(creation) is { } type && s_runners.Contains(type):
                yield return "new " + type;
                break;
            case InvocationExpressionSyntax call when s_starters.FirstOrDefault(starter => IsCallOf(call, starter)) is { } starter:
                if (!IsAwaited(call))
                {
                    yield return starter;
                }

                break;
            case InvocationExpressionSyntax call when (tasks.Contains(NameOf(call)) || NameOf(call).EndsWith("Async", StringComparison.Ordinal)) && IsDropped(call):
                yield return call.Expression.ToString();
                break;
            case MethodDeclarationSyntax method when method.Modifiers.Any(SyntaxKind.AsyncKeyword) && method.ReturnType.ToString() == "void":
            case LocalFunctionStatementSyntax local when local.Modifiers.Any(SyntaxKind.AsyncKeyword) && local.ReturnType.ToString() == "void":
            case AnonymousFunctionExpressionSyntax lambda when lambda.AsyncKeyword != default && lambda.Parent is AssignmentExpressionSyntax { RawKind: (int)SyntaxKind.AddAssignmentExpression }:
                yield return "async void";
                break;
        }
    }

    static bool IsCallOf(InvocationExpressionSyntax call, string starter) => starter.Contains('.', StringComparison.Ordinal)
        ? call.Expression.ToString() == starter : NameOf(call) == starter;

    /// <summary>Whether a task that is started is awaited there, or given to the caller.</summary>
    static bool IsAwaited(InvocationExpressionSyntax call)
    {
        SyntaxNode at = call;
        while (at.Parent is MemberAccessExpressionSyntax or InvocationExpressionSyntax && NameOf(call) != "ContinueWith" && at.Parent.ChildNodes().First() == at)
        {
            at = at.Parent;
        }

        return at.Parent is AwaitExpressionSyntax or ReturnStatementSyntax
            || at.Parent is ArrowExpressionClauseSyntax { Parent: MethodDeclarationSyntax method } && method.ReturnType.ToString() != "void";
    }

    /// <summary>Whether a task that a call gives is awaited by nobody there: it is kept in a field or a property, or by nobody.</summary>
    static bool IsDropped(InvocationExpressionSyntax call)
    {
        if (NameOf(call) is "RepeatAsync" or "KeepRunningAsync")
        {
            return false;
        }

        SyntaxNode at = call;
        while (at.Parent is ParenthesizedExpressionSyntax or ConditionalExpressionSyntax or ConditionalAccessExpressionSyntax or CollectionExpressionSyntax
            or ExpressionElementSyntax or InitializerExpressionSyntax or TupleExpressionSyntax or CastExpressionSyntax or PostfixUnaryExpressionSyntax
            || at.Parent is ArgumentSyntax { Parent: TupleExpressionSyntax } || at.Parent is BinaryExpressionSyntax { RawKind: (int)SyntaxKind.CoalesceExpression })
        {
            at = at.Parent;
        }

        return at.Parent switch
        {
            ExpressionStatementSyntax => true,
            ArrowExpressionClauseSyntax { Parent: MethodDeclarationSyntax method } => method.ReturnType.ToString() == "void",
            AssignmentExpressionSyntax assignment => assignment.Right == at && !IsLocal(assignment.Left),
            EqualsValueClauseSyntax { Parent: PropertyDeclarationSyntax } => true,
            EqualsValueClauseSyntax { Parent: VariableDeclaratorSyntax variable } => variable.Parent?.Parent is BaseFieldDeclarationSyntax || !IsUsed(variable),
            ArgumentSyntax { Parent.Parent: InvocationExpressionSyntax { Expression: MemberAccessExpressionSyntax { Name.Identifier.Text: "Add" } add } } => !IsLocal(add.Expression),
            _ => false,
        };
    }

    static bool IsLocal(ExpressionSyntax target) => target is IdentifierNameSyntax { Identifier.Text: var name } && name[0] != '_' && char.IsLower(name[0]);

    static bool IsUsed(VariableDeclaratorSyntax variable) => variable.Ancestors().OfType<BlockSyntax>().FirstOrDefault()?.DescendantNodes()
        .OfType<IdentifierNameSyntax>().Any(name => name.Identifier.Text == variable.Identifier.Text) == true;

    static string NameOf(InvocationExpressionSyntax call) => call.Expression switch
    {
        SimpleNameSyntax name => name.Identifier.Text,
        MemberAccessExpressionSyntax access => access.Name.Identifier.Text,
        MemberBindingExpressionSyntax binding => binding.Name.Identifier.Text,
        _ => "",
    };

    /// <summary>The type that is created, as it is written there or where what gets it is declared.</summary>
    static string? Created(BaseObjectCreationExpressionSyntax creation)
    {
        var type = creation is ObjectCreationExpressionSyntax named ? named.Type : creation.Ancestors().Select(node => node switch
        {
            VariableDeclarationSyntax variable => variable.Type,
            PropertyDeclarationSyntax property => property.Type,
            MethodDeclarationSyntax method => method.ReturnType,
            _ => null,
        }).FirstOrDefault(found => found is not null);
        return type?.ToString().Split('.')[^1].TrimEnd('?');
    }
}
