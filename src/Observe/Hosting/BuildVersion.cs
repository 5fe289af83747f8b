using System.Reflection;

namespace Observe.Hosting;

/// <summary>The version of this build, for <c>--version</c>, <c>/api/v1/status/buildinfo</c> and <c>observe_build_info</c>.</summary>
static class BuildVersion
{
    static readonly string[] s_informational =
        (typeof(BuildVersion).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "0.0.0")
            .Split('+');

    /// <summary>A semantic version.</summary>
    public static string Version => s_informational[0];

    /// <summary>The commit, "" when it was built outside a checkout.</summary>
    public static string Revision => s_informational.Length > 1 ? s_informational[1] : "";

    public static string Runtime => System.Runtime.InteropServices.RuntimeInformation.FrameworkDescription;
}
