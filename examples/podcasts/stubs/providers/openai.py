"""OpenAI, and DeepSeek, which speaks OpenAI's chat completions."""

import secrets
import time
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from typing import Any, ClassVar

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


class OpenAI:
    """`POST /v1/chat/completions`, also streamed, and `POST /v1/responses`."""

    name = "openai"
    _words: ClassVar[dict[int, tuple[str, str, str | None]]] = {
        400: ("The body of the request could not be parsed as a JSON object.", "invalid_request_error", None),
        401: (
            "No API key was provided. Send it in the Authorization header: 'Authorization: Bearer YOUR_KEY'.",
            "invalid_request_error",
            None,
        ),
        429: ("Rate limit reached for requests. Please try again later.", "requests", "rate_limit_exceeded"),
        500: ("The server had an error while processing your request.", "server_error", None),
        503: ("The engine is currently overloaded. Please try again later.", "server_error", None),
    }

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        return [
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
            Route("/v1/responses", self._response, methods=["POST"]),
        ]

    def api_key(self, request: Request) -> str:
        """Return the bearer token."""
        return credential(request, "bearer")

    def error(self, status: int, request: Request) -> ProviderError:
        """Return OpenAI's error for `status`."""
        if status in self._words:
            message, kind, code = self._words[status]
            return ProviderError(status, message, type=kind, code=code)
        target = f"{request.method} {request.url.path}"
        if status == HTTPStatus.NOT_FOUND:
            return ProviderError(status, f"Invalid URL ({target})", type="invalid_request_error")
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            message = f"Not allowed to {request.method} on {request.url.path}"
            return ProviderError(status, message, type="invalid_request_error", code="method_not_supported")
        return ProviderError(
            status, phrase(status), type="server_error" if is_server_error(status) else "invalid_request_error"
        )

    def respond(self, error: ProviderError) -> Response:
        """Return `{"error": {"message", "type", "param", "code"}}`."""
        body = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
        return _answer({"error": body}, status=error.status)

    async def _chat(self, request: Request) -> Response:
        body = await json_object(request)
        model = _required(body, "model", str)
        messages = _required(body, "messages", list)
        limit = _limit(body, "max_completion_tokens" if "max_completion_tokens" in body else "max_tokens")
        completion = complete(prompt_text(messages), model=model, max_tokens=limit)
        head = {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": f"fp_{self.name}",
        }
        if body.get("stream"):
            with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
            chunks = self._chunks(head, completion, with_usage=with_usage)
            return StreamingResponse(chunks, media_type="text/event-stream", headers=_request_id())
        answer: dict[str, object] = {
            "role": "assistant",
            "content": completion.text,
            "refusal": None,
            "annotations": [],
        }
        choice = {"index": 0, "message": answer, "logprobs": None, "finish_reason": _finish_reason(completion)}
        return _answer(head | {"object": "chat.completion", "choices": [choice], "usage": self._usage(completion)})

    async def _chunks(self, head: dict[str, Any], completion: Completion, *, with_usage: bool) -> AsyncIterator[str]:
        head = head | {"object": "chat.completion.chunk"} | ({"usage": None} if with_usage else {})

        def chunk(delta: dict[str, str], finish_reason: str | None = None) -> str:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
            return event(head | {"choices": [choice]})

        yield chunk({"role": "assistant", "content": ""})
        for piece in pieces(completion.text):
            yield chunk({"content": piece})
        yield chunk({}, _finish_reason(completion))
        if with_usage:
            yield event(head | {"choices": [], "usage": self._usage(completion)})
        yield event("[DONE]")

    def _usage(self, completion: Completion) -> dict[str, Any]:
        return {
            "prompt_tokens": completion.prompt_tokens,
            "completion_tokens": completion.completion_tokens,
            "total_tokens": completion.prompt_tokens + completion.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        }

    async def _response(self, request: Request) -> Response:
        body = await json_object(request)
        model = _required(body, "model", str)
        given = _required(body, "input", str | list)
        if body.get("stream"):
            raise ProviderError(400, "This stub streams chat completions only.", type="invalid_request_error")
        limit = _limit(body, "max_output_tokens")
        prompt = prompt_text([body.get("instructions") or "", given])
        completion = complete(prompt, model=model, max_tokens=limit)
        return _answer(_response_object(body, model, completion))


class DeepSeek(OpenAI):
    """`POST /chat/completions` and the same under `/v1`, with DeepSeek's own errors and usage."""

    name = "deepseek"
    _words: ClassVar[dict[int, tuple[str, str, str | None]]] = {
        400: ("Failed to parse the request body as JSON.", "invalid_request_error", "invalid_request_error"),
        401: ("Authentication Fails (auth header missing)", "authentication_error", "invalid_request_error"),
        402: ("Insufficient Balance", "unknown_error", "invalid_request_error"),
        429: ("Rate limit reached. Please pace your requests.", "rate_limit_error", "rate_limit_exceeded"),
        500: ("Internal server error.", "server_error", "internal_error"),
        503: ("Service is too busy. Please try again later.", "service_unavailable_error", "service_unavailable"),
    }

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        return [
            Route("/chat/completions", self._chat, methods=["POST"]),
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
        ]

    def _usage(self, completion: Completion) -> dict[str, Any]:
        cache = {"prompt_cache_hit_tokens": 0, "prompt_cache_miss_tokens": completion.prompt_tokens}
        return super()._usage(completion) | cache


def _required(body: dict[str, Any], field: str, allowed: Any) -> Any:
    if field not in body:
        message = f"Missing required parameter: '{field}'."
        raise ProviderError(400, message, type="invalid_request_error", param=field, code="missing_required_parameter")
    if not isinstance(body[field], allowed) or not body[field]:
        raise _invalid_value(field)
    return body[field]


def _limit(body: dict[str, Any], field: str) -> int | None:
    limit = body.get(field)
    if limit is not None and not (isinstance(limit, int) and limit >= 1):
        raise _invalid_value(field)
    return limit


def _invalid_value(field: str) -> ProviderError:
    message = f"Invalid value for '{field}'."
    return ProviderError(400, message, type="invalid_request_error", param=field, code="invalid_value")


def _finish_reason(completion: Completion) -> str:
    return "length" if completion.truncated else "stop"


def _request_id() -> dict[str, str]:
    return {"x-request-id": f"req_{secrets.token_hex(16)}"}


def _answer(body: dict[str, Any], *, status: int = 200) -> Response:
    return JSONResponse(body, status_code=status, headers=_request_id())


def _response_object(body: dict[str, Any], model: str, completion: Completion) -> dict[str, Any]:
    status = "incomplete" if completion.truncated else "completed"
    now = int(time.time())
    message = {
        "id": f"msg_{secrets.token_hex(16)}",
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": [{"type": "output_text", "text": completion.text, "annotations": [], "logprobs": []}],
    }
    return {
        "id": f"resp_{secrets.token_hex(16)}",
        "object": "response",
        "created_at": now,
        "completed_at": None if completion.truncated else now,
        "status": status,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if completion.truncated else None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "model": model,
        "output": [message],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "temperature": body.get("temperature", 1.0),
        "tool_choice": "auto",
        "tools": [],
        "top_p": body.get("top_p", 1.0),
        "truncation": "disabled",
        "usage": {
            "input_tokens": completion.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": completion.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": completion.prompt_tokens + completion.completion_tokens,
        },
        "metadata": body.get("metadata") or {},
    }
