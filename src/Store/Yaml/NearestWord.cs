namespace Observe.Store.Yaml;

/// <summary>Which known word was meant by one that is not known.</summary>
public static class NearestWord
{
    /// <summary>The one that takes the fewest letters to insert, delete or replace; null when it takes more than so many.</summary>
    public static string? Find(string word, IEnumerable<string> known, int within)
    {
        var nearest = known.MinBy(one => Distance(word, one));
        return nearest is not null && Distance(word, nearest) <= within ? nearest : null;
    }

    static int Distance(string a, string b)
    {
        var row = Enumerable.Range(0, b.Length + 1).ToArray();
        for (var i = 1; i <= a.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= b.Length; j++)
            {
                var replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(replaced, Math.Min(row[j], row[j - 1]) + 1);
            }
        }

        return row[^1];
    }
}
