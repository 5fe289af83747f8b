using Observe.Store.Bytes;

namespace Observe.Store.Model;

/// <summary>Labels of a series and the external ones of its source as one: where both have a name, the external value stands.</summary>
static class ExternalLabelMerge
{
    /// <param name="series">In the form of <see cref="Labels.Encoded"/>.</param>
    /// <param name="merged">Cleared, then filled in the same form.</param>
    public static void Merge(ReadOnlySpan<byte> series, Labels external, ByteWriter merged)
    {
        merged.Clear();
        var own = new Labels.Enumerator(series);
        var moreOwn = own.MoveNext();
        foreach (var other in external)
        {
            while (moreOwn)
            {
                var order = own.Current.Name.SequenceCompareTo(other.Name);
                if (order > 0)
                {
                    break;
                }

                if (order < 0)
                {
                    merged.LengthPrefixed(own.Current.Name);
                    merged.LengthPrefixed(own.Current.Value);
                }

                moreOwn = own.MoveNext();
            }

            merged.LengthPrefixed(other.Name);
            merged.LengthPrefixed(other.Value);
        }

        if (moreOwn)
        {
            // From here on it is as it was.
            merged.LengthPrefixed(own.Current.Name);
            merged.LengthPrefixed(own.Current.Value);
            merged.Raw(own.Rest);
        }
    }
}
