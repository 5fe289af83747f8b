namespace Observe.Store.Model;

/// <summary>A password or key: prints as <c>&lt;secret&gt;</c> in logs, errors and the configuration that is shown.</summary>
public sealed class Secret(string value)
{
    /// <summary>The secret itself, for whom it is meant and nobody else.</summary>
    public string Reveal() => value;

    public override string ToString() => "<secret>";
}
