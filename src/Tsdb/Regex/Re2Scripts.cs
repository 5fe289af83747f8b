namespace Observe.Tsdb.Regex;

/// <summary>
/// The code points of each script (<c>\p{Greek}</c>), from the Unicode Character Database 14.0 (Scripts.txt): base64 of uvarints, each the
/// distance to where the next range starts or, alternately, ends (exclusive).
/// </summary>
static class Re2Scripts
{
    static readonly Dictionary<string, string> s_ranges = new(StringComparer.Ordinal)
    {
        ["Adlam"] = "gNIHTAQKBAI=",
        ["Ahom"] = "gK4EGwIPBBc=",
        ["Anatolian_Hieroglyphs"] = "gIgFxwQ=",
        ["Arabic"] = "gAwFAQYBDgEDASABCgsaAWwBIlAw8AEfAQIGSgEd0OQDcxDrAgJQAjYHASAQcAUBhwHjHh+BvwMEARsBAgEBAgEBCgEEAQEBAQYBBAEBAQEBAQ"
            + "MBAgEBAgEBAQEBAQEBAQECAQECBAEHAQQBBAEBAQoBEQUDAQUBETQC",
        ["Armenian"] = "sQomAjICA4PrAwU=",
        ["Avestan"] = "gJYENgMH",
        ["Balinese"] = "gDZNAy8=",
        ["Bamum"] = "oM0CWIiCA7kE",
        ["Bassa_Vah"] = "0NUFHgIG",
        ["Batak"] = "wDc0CAQ=",
        ["Bengali"] = "gBMEAQgCAgIWAQcBAQMEAgkCAgIECAEEAgEFAhk=",
        ["Bhaiksuki"] = "gLgECQEtAQ4KHQ==",
        ["Bopomofo"] = "6gUCmVwrcCA=",
        ["Brahmi"] = "gKAETgQkCQE=",
        ["Braille"] = "gFCAAg==",
        ["Buginese"] = "gDQcAgI=",
        ["Buhid"] = "wC4U",
        ["Canadian_Aboriginal"] = "gCiABbAERrqDBBA=",
        ["Carian"] = "oIUEMQ==",
        ["Caucasian_Albanian"] = "sIoENAsB",
        ["Chakma"] = "gKIENQES",
        ["Cham"] = "gNQCNwkOAgoCBA==",
        ["Cherokee"] = "oCdWAgbyrgJQ",
        ["Chorasmian"] = "sJ8EHA==",
        ["Common"] = "AEEaBhovAQ8BBRcBHwHBAycFBQIUdAEJAQYBAQH9BAEGAQ4BAwEgAZwBAYQEAYEBAtkJAZUDBKICAe8LA0cCywECAQHNCQENAQcEAQYBAwIBhQ"
            + "YMAlcBCwMLAQ8RIT8mAQMCBgEbAREpAwSXBRkLFaAHgAL0BAIgAWmABF6SAwwEBQEBARkPCAQEWwIDAVoCkwEQICQ8QB9RLwFYqAHAM0CAsgEi"
            + "ZgOlAQr0AQGgAQGLAwEOAtKjAQLQAQoWIwETAQSTAQEBIBoGGgsKAS0CQAcBBwoFggIDBC0DCVANMy3kARuk8wIErCV0PPYBCicCPgMRCAIHHg"
            + "Q99QEUDFcJGYcBVQFHAQICAQICAgQBDAEBAQcBQQEEAggBBwEcAQQBBQEBAwcB1AICpAICMvEoREw9wgUsBGQMDwIPAQ8BJQquATgaAQINLAQJ"
            + "BwIOBpoB2AcFEAMNA3QMWQcMBAEPDAQ4CAoGKAgeAgJO1AIMDgIFAwUDBwkdAwsFBgoKBggIBwmTAQE3JQqHiDABHmA=",
        ["Coptic"] = "4gcOkFF0BQc=",
        ["Cuneiform"] = "gMAEmgdmbwEFC8QB",
        ["Cypriot"] = "gJAEBgIBASwBAgMBAgE=",
        ["Cypro_Minoan"] = "kN8EYw==",
        ["Cyrillic"] = "gAiFAQKpAdAuCaIBAUwB5yAgwPABYI6vAQI=",
        ["Deseret"] = "gIgEUA==",
        ["Devanagari"] = "gBJRBA8CGuC+AiA=",
        ["Dives_Akuru"] = "gLIEBwIBAggBAgEeAQICDAkK",
        ["Dogra"] = "gLAEPA==",
        ["Duployan"] = "gPgGawUNAwkHCgIE",
        ["Egyptian_Hieroglyphs"] = "gOAErwgBCQ==",
        ["Elbasan"] = "gIoEKA==",
        ["Elymaic"] = "4J8EFw==",
        ["Ethiopic"] = "gCRJAQQCBwEBAQQCKQEEAiEBBAIHAQEBBAIPATkBBAJDAiADGuYzFwkHAQcBBwEHAQcBBwEHAQei+gEGAgYCBgkHAQex+QQHAQQBAgEP",
        ["Georgian"] = "oCEmAQEFAQIrAQSQFysCA8AgJgEBBQE=",
        ["Glagolitic"] = "gFhgoOcGBwERAgcBAgEF",
        ["Gothic"] = "sIYEGw==",
        ["Grantha"] = "gKYEBAEIAgICFgEHAQIBBQIJAgICAwIBBgEFBwIHAwU=",
        ["Greek"] = "8AYEAQMCBAEBBAEBAQEDAQEBFAE/DhCmMgUyBQQFVAHAAhYCBgImAgYCCAEBAQEBAQEfAjUBDwEOAgYBEwIDAQmnAgG+lAIB2qsBTxEB36ADRg"
            + "==",
        ["Gujarati"] = "gRUDAQkBAwEWAQcBAgEFAgoBAwEDAgEPBAIMBwc=",
        ["Gunjala_Gondi"] = "4LoEBgECASUBAgEGBwo=",
        ["Gurmukhi"] = "gRQDAQYEAgIWAQcBAgECAQICAQEFBAICAwMBBwQBAQcR",
        ["Han"] = "gF0aAVkM1gEvAQEBGQkOBMQHwDNAgKQBgLIB7gICaojqAQIMAo6gAuDNAiC5IAfeAQKCLQ6xOp8YngTiC8sm",
        ["Hangul"] = "gCKAAq48AoECXnEfQR/h7QEdgwWkVwwXBDGkTx8DBgIGAgYCAw==",
        ["Hanifi_Rohingya"] = "gJoEKAgK",
        ["Hanunoo"] = "oC4V",
        ["Hatran"] = "4JEEEwECBQU=",
        ["Hebrew"] = "kQs3CBsEBqjqAxoBBQEBAQIBAgEK",
        ["Hiragana"] = "wWBWBgPh/gWfAjADrYEBAQ==",
        ["Imperial_Aramaic"] = "wJAEFgEJ",
        ["Inherited"] = "gAZwlQICxAMLGgHgBQTbIh+BBAMBDQEHBAEGAQMCxgFAjAQCwgEhuR4EawLlmgMQEA7PBwHiAQHaIAHE9wIuAhegBAMRCAIHHgTS3jDwAQ==",
        ["Inscriptional_Pahlavi"] = "4JYEEwUI",
        ["Inscriptional_Parthian"] = "wJYEFgII",
        ["Javanese"] = "gNMCTgIKBAI=",
        ["Kaithi"] = "gKEEQwoB",
        ["Kannada"] = "gBkNAQMBFwEKAQUCCQEDAQQHAgYCAQQCCgEC",
        ["Katakana"] = "oWFaAgPwARDQAS8BWI6YAwoBLdLgAgQBBwECAQGfAgNBBA==",
        ["Kayah_Li"] = "gNICLgEB",
        ["Kharoshthi"] = "gJQEBAECBQgBAwEdAgMECgcJ",
        ["Khitan_Small_Script"] = "5N8FAZs21gM=",
        ["Khmer"] = "gC9eAgoGCuYDIA==",
        ["Khojki"] = "gKQEEgEs",
        ["Khudawadi"] = "sKUEOwUK",
        ["Lao"] = "gR0CAQEBBQEYAQEBFwIFAQEBBgIKAgQ=",
        ["Latin"] = "QRoGGi8BDwEFFwEfAcEDJwWbNCYGMQUEBQ0BRkGAAvECAQ0BEA2NAQIGARsBESnXFSCi9QFmA0AFAgEBAQUYDrAGKwEJAQSWnwEHmggaBhqlEA"
            + "YBKgEJxa4DHw==",
        ["Lepcha"] = "gDg4Aw8DAw==",
        ["Limbu"] = "gDIfAQwEDAQBAww=",
        ["Linear_A"] = "gIwEtwIJFgoI",
        ["Linear_B"] = "gIAEDAEaARMBAgEPAg4iew==",
        ["Lisu"] = "0MkCMLD1AQE=",
        ["Lycian"] = "gIUEHQ==",
        ["Lydian"] = "oJIEGgUB",
        ["Mahajani"] = "0KIEJw==",
        ["Makasar"] = "4L0EGQ==",
        ["Malayalam"] = "gBoNAQMBMwEDAQYEEAIa",
        ["Mandaic"] = "wBAcAgE=",
        ["Manichaean"] = "wJUEJwQM",
        ["Marchen"] = "8LgEIAIWAQ4=",
        ["Masaram_Gondi"] = "gLoEBwECASwDAQECAQkICg==",
        ["Medefaidrin"] = "wNwFWw==",
        ["Meetei_Mayek"] = "4NUCF8kBLgIK",
        ["Mende_Kikakui"] = "gNAHxQECEA==",
        ["Meroitic_Cursive"] = "oJMEGAQUAi4=",
        ["Meroitic_Hieroglyphs"] = "gJMEIA==",
        ["Miao"] = "gN4FSwQ5BxE=",
        ["Modi"] = "gKwERQsK",
        ["Mongolian"] = "gDACAgEBFAZZByu1+wMN",
        ["Mro"] = "wNQFHwEKBAI=",
        ["Multani"] = "gKUEBwEBAQQBDwEL",
        ["Myanmar"] = "gCCgAcCyAh9hIA==",
        ["Nabataean"] = "gJEEHwgJ",
        ["Nandinagari"] = "oLMECAIuAgs=",
        ["New_Tai_Lue"] = "gDMsBBoGCwMC",
        ["Newa"] = "gKgEXAEF",
        ["Nko"] = "wA87AgM=",
        ["Nushu"] = "4d8FAY6DAYwD",
        ["Nyiakeng_Puachue_Hmong"] = "gMIHLQMOAgoEAg==",
        ["Ogham"] = "gC0d",
        ["Ol_Chiki"] = "0Dgw",
        ["Old_Hungarian"] = "gJkEMw0zBwY=",
        ["Old_Italic"] = "gIYEJAkD",
        ["Old_North_Arabian"] = "gJUEIA==",
        ["Old_Permic"] = "0IYEKw==",
        ["Old_Persian"] = "oIcEJAQO",
        ["Old_Sogdian"] = "gJ4EKA==",
        ["Old_South_Arabian"] = "4JQEIA==",
        ["Old_Turkic"] = "gJgESQ==",
        ["Old_Uyghur"] = "8J4EGg==",
        ["Oriya"] = "gRYDAQgCAgIWAQcBAgEFAgkCAgIDBwMEAgEFAhI=",
        ["Osage"] = "sIkEJAQk",
        ["Osmanya"] = "gIkEHgIK",
        ["Pahawh_Hmong"] = "gNYFRgoKAQcBFQUT",
        ["Palmyrene"] = "4JAEIA==",
        ["Pau_Cin_Hau"] = "wLUEOQ==",
        ["Phags_Pa"] = "wNACOA==",
        ["Phoenician"] = "gJIEHAMB",
        ["Psalter_Pahlavi"] = "gJcEEgcEDAc=",
        ["Rejang"] = "sNICJAsB",
        ["Runic"] = "oC1LAws=",
        ["Samaritan"] = "gBAuAg8=",
        ["Saurashtra"] = "gNECRggM",
        ["Sharada"] = "gKMEYA==",
        ["Shavian"] = "0IgEMA==",
        ["Siddham"] = "gKsENgIm",
        ["SignWriting"] = "gLAHjAUPBQEP",
        ["Sinhala"] = "gRsDARIDGAEJAQECBwMBBAYBAQEIBgoCA+yHBBQ=",
        ["Sogdian"] = "sJ4EKg==",
        ["Sora_Sompeng"] = "0KEEGQcK",
        ["Soyombo"] = "0LQEUw==",
        ["Sundanese"] = "gDdAgAII",
        ["Syloti_Nagri"] = "gNACLQ==",
        ["Syriac"] = "gA4OATwCA5ACCw==",
        ["Tagalog"] = "gC4WCQE=",
        ["Tagbanwa"] = "4C4NAQMBAg==",
        ["Tai_Le"] = "0DIeAgU=",
        ["Tai_Tham"] = "oDQ/AR0CCwYKBg4=",
        ["Tai_Viet"] = "gNUCQxgF",
        ["Takri"] = "gK0EOgYK",
        ["Tamil"] = "ghcCAQYDAwEEAwIBAQECAwIDAwMMBAUDAwEEAgEGAQ4VxacEMg0B",
        ["Tangsa"] = "8NQFTwEK",
        ["Tangut"] = "4N8FAR/4LwiABoAECQ==",
        ["Telugu"] = "gBgNAQMBFwEQAgkBAwEEBwIBAwIBAgQCCgcJ",
        ["Thaana"] = "gA8y",
        ["Thai"] = "gRw6BRw=",
        ["Tibetan"] = "gB5IASQEJwEkAQ8BBwQC",
        ["Tifinagh"] = "sFo4BwIOAQ==",
        ["Tirhuta"] = "gKkESAgK",
        ["Toto"] = "kMUHHw==",
        ["Ugaritic"] = "gIcEHgEB",
        ["Vai"] = "gMoCrAI=",
        ["Vithkuqi"] = "8IoECwEPAQcBAgELAQ8BBwEC",
        ["Wancho"] = "wMUHOgUB",
        ["Warang_Citi"] = "oLEEUwwB",
        ["Yezidi"] = "gJ0EKgEDAgI=",
        ["Yi"] = "gMACjQkDNw==",
        ["Zanabazar_Square"] = "gLQESA==",
    };

    /// <summary>Null when there is no script of that name; names are as Go has them, with underscores and capitals.</summary>
    public static Re2RuneSet? Find(string name)
    {
        if (!s_ranges.TryGetValue(name, out var encoded))
        {
            return null;
        }

        var bytes = Convert.FromBase64String(encoded);
        var ranges = new List<(int Low, int High)>();
        var (at, code, low) = (0, 0, -1);
        while (at < bytes.Length)
        {
            code += (int)Bytes.Varint.ReadUnsigned(bytes.AsSpan(at), out var size);
            at += size;
            if (low < 0)
            {
                low = code;
            }
            else
            {
                ranges.Add((low, code - 1));
                low = -1;
            }
        }

        return Re2RuneSet.Of(ranges);
    }
}
