using System.Text;

namespace Observe.Collector.Tests.Scrape.Differential;

/// <summary>Draws pieces at random; equal seeds draw equal pieces.</summary>
sealed class RandomText(int seed)
{
    readonly Random _random = new(seed);

    public int Below(int bound) => _random.Next(bound);

    /// <summary>True once in so many times.</summary>
    public bool OneIn(int times) => _random.Next(times) == 0;

    public T One<T>(params ReadOnlySpan<T> of) => of[_random.Next(of.Length)];

    /// <summary>So many pieces, one behind another.</summary>
    public string Many(int least, int most, Func<string> piece)
    {
        var text = new StringBuilder();
        for (var count = _random.Next(least, most + 1); count > 0; count--)
        {
            text.Append(piece());
        }

        return text.ToString();
    }

    /// <summary>Changes, removes, doubles or inserts some bytes.</summary>
    public byte[] Mutate(byte[] text)
    {
        var bytes = new List<byte>(text);
        for (var i = _random.Next(1, 5); i > 0 && bytes.Count > 0; i--)
        {
            var at = _random.Next(bytes.Count);
            var length = Math.Min(_random.Next(1, 12), bytes.Count - at);
            switch (_random.Next(6))
            {
                case 0:
                    bytes[at] = (byte)_random.Next(256);
                    break;
                case 1:
                    bytes.RemoveRange(at, length);
                    break;
                case 2:
                    bytes.InsertRange(at, bytes.GetRange(_random.Next(bytes.Count - length + 1), length));
                    break;
                case 3:
                    bytes.Insert(at, "{}\"\\,=# \n\0\t1+-eE.x\r"u8[_random.Next(19)]);
                    break;
                case 4:
                    bytes[at] = "{}\"\\,=# \n"u8[_random.Next(9)];
                    break;
                default:
                    bytes.RemoveRange(at, bytes.Count - at);
                    break;
            }
        }

        return [.. bytes];
    }
}
