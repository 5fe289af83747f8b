using Microsoft.AspNetCore.Http;
using Observe.Tsdb.Bytes;

namespace Observe.Query.HttpApi;

/// <summary>An answer that is an error: Prometheus's type, the status that goes with it, and the text.</summary>
sealed class ApiException(string type, int status, string message) : Exception(message)
{
    public const int ClientClosedRequest = 499;

    public string Type { get; } = type;

    public int Status { get; } = status;

    public static ApiException BadData(string message) => new("bad_data", StatusCodes.Status400BadRequest, message);

    public static ApiException Parameter(string name, string message) => BadData($"invalid parameter {GoText.Quote(name)}: {message}");

    public static ApiException Execution(string message) => new("execution", StatusCodes.Status422UnprocessableEntity, message);

    public static ApiException Timeout(string message) => new("timeout", StatusCodes.Status503ServiceUnavailable, message);

    public static ApiException Canceled(string message) => new("canceled", ClientClosedRequest, message);

    public static ApiException Internal(string message) => new("internal", StatusCodes.Status500InternalServerError, message);

    public static ApiException Unavailable(string message) => new("unavailable", StatusCodes.Status503ServiceUnavailable, message);

    public static ApiException NotFound(string message) => new("not_found", StatusCodes.Status404NotFound, message);
}
