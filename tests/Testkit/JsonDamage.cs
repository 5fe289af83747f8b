using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Observe.Testkit;

/// <summary>Makes JSON documents that somebody might have damaged, or written with ill intent, out of sound ones. Seeded.</summary>
public static class JsonDamage
{
    static readonly string[] s_numbers =
    [
        "-1", "0", "1", "1.5", "-0", "1e400", "2147483648", "-2147483649", "9223372036854775807", "-9223372036854775808", "18446744073709551616",
        "253402300800000", "-62135596800001", "4503599627370497",
    ];

    static readonly string[] s_texts =
    [
        "\"\"", "\"x\"", "\"../../etc/passwd\"", "\"/etc/passwd\"", "\"chunks/../../x\"", "\"chunks\"", "\"a\\u0000b\"", "\"\\ud800\"", "\"index\"",
        "\"7ZZZZZZZZZZZZZZZZZZZZZZZZZ\"", "\"0001-01-01T00:00:00+14:00\"", "\"9999-12-31T23:59:59.9999999-14:00\"", "\"2026-01-01T00:00:00Z\"",
    ];

    /// <summary>The document with one to three places of it, or its bytes, changed.</summary>
    public static byte[] Of(byte[] json, Random random)
    {
        if (random.Next(8) == 0)
        {
            return Bytes(json, random);
        }

        var node = JsonNode.Parse(json);
        var (root, holes) = (node, new Dictionary<string, string>());
        for (var i = random.Next(3); i >= 0 && root is not null; i--)
        {
            Change(ref root, holes, random);
        }

        var text = root?.ToJsonString() ?? "null";
        foreach (var (hole, content) in holes)
        {
            text = text.Replace($"\"{hole}\"", content, StringComparison.Ordinal);
        }

        return Encoding.UTF8.GetBytes(text);
    }

    static byte[] Bytes(byte[] json, Random random)
    {
        var bytes = json.ToArray();
        switch (random.Next(3))
        {
            case 0:
                bytes[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
                return bytes;
            case 1:
                return bytes[..random.Next(bytes.Length)];
            default:
                var at = random.Next(bytes.Length);
                return [.. bytes[..at], .. bytes[random.Next(at + 1)..]];
        }
    }

    static void Change(ref JsonNode root, Dictionary<string, string> holes, Random random)
    {
        var places = new List<JsonNode>();
        Collect(root, places);
        var parent = places[random.Next(places.Count)];

        // What JsonNode can't hold (null in the middle of nowhere, huge numbers, twice the same name) is a hole that is filled in the text.
        var hole = $"hole-{holes.Count}-{random.Next()}";
        var content = random.Next(9) switch
        {
            0 => "null",
            1 => "{}",
            2 => "[]",
            3 => "[null]",
            4 => "[{}]",
            5 => s_numbers[random.Next(s_numbers.Length)],
            6 => string.Concat(Enumerable.Repeat("[", random.Next(1, 3_000))),
            7 => "true",
            _ => s_texts[random.Next(s_texts.Length)],
        };
        if (content.StartsWith("[[", StringComparison.Ordinal))
        {
            content += new string(']', content.Length);
        }

        holes[hole] = content;
        switch (parent)
        {
            case JsonObject { Count: > 0 } members:
                var name = members.ElementAt(random.Next(members.Count)).Key;
                switch (random.Next(5))
                {
                    case 0:
                        members.Remove(name);
                        break;
                    case 1:
                        holes[hole] = $"{JsonSerializer.Serialize(name)}:{content},{JsonSerializer.Serialize(name)}";
                        var value = members[name]?.DeepClone();
                        members.Remove(name);
                        members[hole] = value;
                        break;
                    default:
                        members[name] = hole;
                        break;
                }

                break;
            case JsonArray { Count: > 0 } items:
                var index = random.Next(items.Count);
                switch (random.Next(4))
                {
                    case 0:
                        items.Add(items[index]?.DeepClone());
                        break;
                    case 1:
                        items.RemoveAt(index);
                        break;
                    default:
                        items[index] = hole;
                        break;
                }

                break;
            case JsonArray items:
                items.Add(hole);
                break;
            case JsonObject members:
                members[random.Next(2) == 0 ? "" : "x"] = hole;
                break;
        }
    }

    static void Collect(JsonNode node, List<JsonNode> places)
    {
        places.Add(node);
        foreach (var child in node is JsonObject members ? members.Select(m => m.Value) : node is JsonArray items ? items : Enumerable.Empty<JsonNode?>())
        {
            if (child is JsonObject or JsonArray)
            {
                Collect(child, places);
            }
        }
    }
}
