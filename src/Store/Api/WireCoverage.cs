using Google.Protobuf;
using Google.Protobuf.Collections;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Observe.Store.Api.Wire;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Store.Api;

/// <summary>
/// Coverage on the wire. Peers that ask for it get it as data in the response's hints, and as warnings only those that are known as text;
/// all other peers get the whole coverage as warnings.
/// </summary>
static class WireCoverage
{
    const string Accept = "observe-coverage";
    const string TypeUrl = "type.googleapis.com/observe.CoverageHints";

    /// <summary>The metadata of a request by which a client asks for coverage in the response's hints.</summary>
    public static Metadata RequestMetadata() => new() { { Accept, "1" } };

    public static bool IsWanted(ServerCallContext call) => call.RequestHeaders.Get(Accept) is not null;

    public static IReadOnlyList<string> Warnings(Coverage coverage, bool withHints) => !withHints
        ? coverage.Warnings()
        : coverage.IsTruncated ? [.. coverage.TextWarnings, CoverageText.Truncated] : coverage.TextWarnings;

    /// <summary>The coverage as hints of a response; null when it is empty.</summary>
    public static Any? Hints(Coverage coverage)
    {
        var hints = new CoverageHints();
        foreach (var missing in coverage.Missing)
        {
            var hint = new MissingHint
            {
                Part = (MissingHint.Types.Part)missing.Part,
                Name = missing.Name,
                MinTime = missing.Range.MinTime,
                MaxTime = missing.Range.MaxTime,
                Reason = missing.Reason,
            };
            if (missing.Since is { } since)
            {
                hint.Since = since;
            }

            hint.LabelSets.AddRange(missing.LabelSets.Select(WireLabels.ToWire));
            hints.Missing.Add(hint);
        }

        foreach (var served in coverage.Served)
        {
            var hint = new ServedRangeHint
            {
                ExternalLabels = WireLabels.ToWire(served.ExternalLabels),
                MinTime = served.Range.MinTime,
                MaxTime = served.Range.MaxTime,
                ResolutionMs = served.ResolutionMs,
                MaxResolutionMs = served.MaxResolutionMs,
            };
            hint.Matchers.AddRange(served.Matchers.Select(WireLabels.ToWire));
            hints.Served.Add(hint);
        }

        hints.Infos.AddRange(coverage.TextInfos);
        hints.Doubts.AddRange(coverage.Doubts);
        return hints.CalculateSize() == 0 ? null : new Any { TypeUrl = TypeUrl, Value = hints.ToByteString() };
    }

    /// <summary>Adds a warning of a peer to the answer's coverage.</summary>
    public static void AddTo(Coverage coverage, string warning)
    {
        if (warning == CoverageText.Truncated)
        {
            coverage.Truncate();
        }
        else
        {
            coverage.AddWarning(warning);
        }
    }

    /// <summary>As <see cref="AddTo(Coverage, string)"/>; hints of another kind are ignored.</summary>
    /// <exception cref="IOException">The hints are damaged.</exception>
    public static void AddTo(Coverage coverage, Any? any)
    {
        if (any?.TypeUrl != TypeUrl)
        {
            return;
        }

        var hints = CoverageHints.Parser.ParseFrom(any.Value);
        foreach (var served in hints.Served)
        {
            coverage.Add(new ServedRange(
                Matchers(served), Labels(served.ExternalLabels), new TimeRange(served.MinTime, served.MaxTime), served.ResolutionMs,
                served.MaxResolutionMs));
        }

        foreach (var info in hints.Infos)
        {
            coverage.AddInfo(info);
        }

        foreach (var doubt in hints.Doubts)
        {
            coverage.AddDoubt(doubt);
        }

        foreach (var missing in hints.Missing)
        {
            coverage.Add(new Missing(
                (MissingPart)missing.Part, missing.Name, [.. missing.LabelSets.Select(Labels)], new TimeRange(
                missing.MinTime, missing.MaxTime),
                missing.Reason)
            {
                Since = missing.HasSince ? missing.Since : null,
            });
        }
    }

    static List<Matcher> Matchers(ServedRangeHint served)
    {
        try
        {
            return [.. served.Matchers.Select(WireLabels.FromWire)];
        }
        catch (FormatException e)
        {
            throw new IOException("hints of the response are damaged", e);
        }
    }

    static Labels Labels(LabelSet? set) => WireLabels.FromWire(set?.Labels ?? new RepeatedField<Label>());
}
