"""Anthropic: messages, whole and streamed."""

import secrets
from collections.abc import AsyncIterator, Sequence
from typing import Any, NoReturn

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from podcasts.stubs.ad_read import Completion, complete, pieces
from podcasts.stubs.providers.provider import (
    ProviderError,
    credential,
    event,
    is_server_error,
    json_object,
    phrase,
    prompt_text,
)

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_MESSAGES = {
    400: "The request body is not valid JSON.",
    401: "x-api-key header is required",
    404: "Not found",
    429: "This request would exceed your organization's rate limit. Please try again later.",
    500: "Internal server error",
    529: "Overloaded",
}


class Anthropic:
    """`POST /v1/messages`, whole or as server-sent events."""

    name = "anthropic"

    def routes(self) -> Sequence[Route]:
        """Return the endpoint."""
        return [Route("/v1/messages", self._messages, methods=["POST"])]

    def api_key(self, request: Request) -> str:
        """Return the `x-api-key` header, or a bearer token."""
        return request.headers.get("x-api-key", "").strip() or credential(request, "bearer")

    def error(self, status: int, request: Request) -> ProviderError:
        """Return Anthropic's error for `status`."""
        kind = _TYPES.get(status, "api_error" if is_server_error(status) else "invalid_request_error")
        return ProviderError(status, _MESSAGES.get(status, phrase(status)), type=kind)

    def respond(self, error: ProviderError) -> Response:
        """Return `{"type": "error", "error": {"type", "message"}, "request_id"}`."""
        request_id = _request_id()
        body = {"type": "error", "error": {"type": error.type, "message": error.message}, "request_id": request_id}
        return JSONResponse(body, status_code=error.status, headers={"request-id": request_id})

    async def _messages(self, request: Request) -> Response:
        if "anthropic-version" not in request.headers:
            _refuse("anthropic-version: header is required")
        body = await json_object(request)
        for field, kind in (("model", str), ("messages", list), ("max_tokens", int)):
            if field not in body:
                _refuse(f"{field}: Field required")
            if not isinstance(body[field], kind) or not body[field]:
                _refuse(f"{field}: Input should be a valid {kind.__name__}")
        prompt = prompt_text([body.get("system") or "", body["messages"]])
        completion = complete(prompt, model=body["model"], max_tokens=body["max_tokens"])
        message = {
            "id": f"msg_{secrets.token_hex(12)}",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": [{"type": "text", "text": completion.text}],
            "stop_reason": _stop_reason(completion),
            "stop_sequence": None,
            "usage": _usage(completion),
        }
        headers = {"request-id": _request_id()}
        if body.get("stream"):
            return StreamingResponse(_events(message, completion), media_type="text/event-stream", headers=headers)
        return JSONResponse(message, headers=headers)


async def _events(message: dict[str, Any], completion: Completion) -> AsyncIterator[str]:
    def named(name: str, **fields: object) -> str:
        return event({"type": name, **fields}, name=name)

    usage = _usage(completion)
    start = message | {"content": [], "stop_reason": None, "usage": usage | {"output_tokens": 1}}
    yield named("message_start", message=start)
    yield named("content_block_start", index=0, content_block={"type": "text", "text": ""})
    yield named("ping")
    for piece in pieces(completion.text):
        yield named("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
    yield named("content_block_stop", index=0)
    delta = {"stop_reason": _stop_reason(completion), "stop_sequence": None}
    yield named("message_delta", delta=delta, usage={"output_tokens": completion.completion_tokens})
    yield named("message_stop")


def _stop_reason(completion: Completion) -> str:
    return "max_tokens" if completion.truncated else "end_turn"


def _usage(completion: Completion) -> dict[str, Any]:
    return {
        "input_tokens": completion.prompt_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": completion.completion_tokens,
        "service_tier": "standard",
    }


def _request_id() -> str:
    return f"req_{secrets.token_hex(12)}"


def _refuse(message: str) -> NoReturn:
    raise ProviderError(400, message, type="invalid_request_error")
