"""Every refusal of a server is one sentence, in the form that OpenAI's and vLLM's clients read."""

from collections.abc import Mapping

from starlette.responses import JSONResponse

TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    503: "service_unavailable_error",
}


def refusal(status: int, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """`{"error": {"message", "type", "param", "code"}}` with this status."""
    error = {"message": message, "type": TYPES.get(status, "invalid_request_error"), "param": None, "code": status}
    return JSONResponse({"error": error}, status, headers)
