using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Observe.Query.HttpApi;
using Observe.Query.Promql.Parsing;
using Xunit;

namespace Observe.Query.Tests.Promql.Parsing;

public class AstJsonTests
{
    internal static string Json(Expr expr)
    {
        var buffer = new MemoryStream();
        var options = new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, MaxDepth = ApiJson.Options.MaxDepth };
        using (var json = new Utf8JsonWriter(buffer, options))
        {
            AstJson.Write(json, expr);
        }

        return Encoding.UTF8.GetString(buffer.ToArray());
    }

    [Theory]
    [InlineData(
        "-foo{a='b'}[5m:1m] offset 1m",
        """{"expr":{"expr":{"anchored":false,"matchers":[{"name":"a","type":"=","value":"b"},{"name":"__name__","type":"=","value":"foo"}],"name":"foo","offset":0,"offsetExpr":null,"smoothed":false,"startOrEnd":null,"timestamp":null,"type":"vectorSelector"},"offset":60000,"offsetExpr":null,"range":300000,"rangeExpr":null,"startOrEnd":null,"step":60000,"stepExpr":null,"timestamp":null,"type":"subquery"},"op":"-","type":"unaryExpr"}""")]
    [InlineData(
        "1 + (pi())",
        """{"bool":false,"lhs":{"type":"numberLiteral","val":"1"},"matching":null,"op":"+","rhs":{"expr":{"args":[],"func":{"argTypes":[],"name":"pi","returnType":"scalar","variadic":0},"type":"call"},"type":"parenExpr"},"type":"binaryExpr"}""")]
    public void A_tree_is_Prometheuss_answer(string text, string json)
    {
        var sign = text[0] == '-' ? 1 : 0;
        var inner = PromqlParser.Parse(text[sign..], ParserOptions.Default);
        var expr = sign == 1 ? new UnaryExpr(Operator.Sub, inner) : inner;
        Assert.Equal(json, Json(expr));
    }

    [Fact]
    public void Matching_and_fills_are_written()
    {
        var expr = PromqlParser.Parse("a / on(x) group_right(y) fill_left(0.5) b", ParserOptions.Everything);
        Assert.Contains(
            "\"matching\":{\"card\":\"one-to-many\",\"fillValues\":{\"lhs\":0.5,\"rhs\":null},\"include\":[\"y\"],\"labels\":[\"x\"],\"on\":true}",
            Json(expr), StringComparison.Ordinal);
    }
}
