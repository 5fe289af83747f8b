using Google.Protobuf;
using Google.Protobuf.Collections;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Observe.Store.Api.Wire;
using Observe.Tsdb.Model;
using Observe.Tsdb.Querying;

namespace Observe.Store.Api;

/// <summary>
/// What an answer lacks, on the wire: as warnings for everybody, and as data in the response's hints for peers that asked for them, who
/// get as warnings only what is known as text.
/// </summary>
static class WireCoverage
{
    const string Accept = "observe-coverage";
    const string TypeUrl = "type.googleapis.com/observe.CoverageHints";

    /// <summary>Metadata of a call whose caller reads the hints.</summary>
    public static Metadata RequestMetadata() => new() { { Accept, "1" } };

    public static bool IsWanted(ServerCallContext call) => call.RequestHeaders.Get(Accept) is not null;

    public static IReadOnlyList<string> Warnings(Coverage coverage, bool withHints) => !withHints
        ? coverage.Warnings()
        : coverage.IsTruncated ? [.. coverage.TextWarnings, CoverageText.Truncated] : coverage.TextWarnings;

    /// <summary>Null when there is nothing to say.</summary>
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
        return hints.CalculateSize() == 0 ? null : new Any { TypeUrl = TypeUrl, Value = hints.ToByteString() };
    }

    /// <summary>Adds what a peer says to what is known of the answer.</summary>
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

    /// <summary>As <see cref="AddTo(Coverage, string)"/>; hints of another kind say nothing.</summary>
    /// <exception cref="IOException">They are damaged.</exception>
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

        foreach (var missing in hints.Missing)
        {
            coverage.Add(new Missing(
                (MissingPart)missing.Part, missing.Name, [.. missing.LabelSets.Select(Labels)], new TimeRange(
                missing.MinTime, missing.MaxTime),
                missing.Reason));
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
