using System.Runtime.CompilerServices;

namespace Observe.Tsdb.Bytes;

/// <summary>
/// Appends bits, most significant first, to a buffer that grows by doubling. A struct, so that an open chunk keeps it among its own fields.
/// </summary>
public struct BitWriter(byte[] buffer, int length = 0)
{
    /// <summary>The bytes, of which <see cref="Length"/> are in use; replaced by a larger array as they fill.</summary>
    public byte[] Buffer { get; private set; } = buffer;

    /// <summary>Bytes in use, the last of them perhaps in part.</summary>
    public int Length { get; private set; } = length;

    /// <summary>Bits still free in the last byte in use, 0 to 7.</summary>
    public int Free { get; private set; }

    public readonly ReadOnlySpan<byte> Written => Buffer.AsSpan(0, Length);

    /// <summary>A writer that goes on where another one stopped.</summary>
    public static BitWriter Resume(byte[] buffer, int length, int free) => new(buffer, length) { Free = free };

    public void Bit(bool bit) => Bits(bit ? 1UL : 0UL, 1);

    public void Byte(byte value) => Bits(value, 8);

    /// <summary>The low <paramref name="count"/> bits of a value, 0 to 64 of them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Bits(ulong value, int count)
    {
        if (Buffer.Length - Length < 9)
        {
            var larger = new byte[Math.Max(Buffer.Length * 2, 32)];
            Buffer.AsSpan(0, Length).CopyTo(larger);
            Buffer = larger;
        }

        if (count < 64)
        {
            value &= (1UL << count) - 1;
        }

        if (Free > 0)
        {
            if (count <= Free)
            {
                Free -= count;
                Buffer[Length - 1] |= (byte)(value << Free);
                return;
            }

            count -= Free;
            Buffer[Length - 1] |= (byte)(value >> count);
            Free = 0;
        }

        while (count >= 8)
        {
            count -= 8;
            Buffer[Length++] = (byte)(value >> count);
        }

        if (count > 0)
        {
            Free = 8 - count;
            Buffer[Length++] = (byte)(value << Free);
        }
    }

    public void UVarint(ulong value)
    {
        for (; value >= 0x80; value >>= 7)
        {
            Byte((byte)(value | 0x80));
        }

        Byte((byte)value);
    }

    public void SignedVarint(long value) => UVarint((ulong)((value << 1) ^ (value >> 63)));
}
