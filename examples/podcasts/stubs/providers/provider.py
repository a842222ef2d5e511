"""What every provider has in common: a key, routes, and errors worded in its own way."""

import json
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Protocol

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


class ProviderError(Exception):
    """An answer that is an error, before its provider gives it its format."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str | None = None,  # noqa: A002 - the providers' own field name
        code: str | None = None,
        param: str | None = None,
    ) -> None:
        """Keep the fields; a provider shows those that its format has."""
        super().__init__(message)
        self.status = status
        self.message = message
        self.type = type
        self.code = code
        self.param = param


class Provider(Protocol):
    """One provider's side of the wire. An endpoint raises `HTTPException` for an error that `error` words."""

    name: str

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        ...

    def api_key(self, request: Request) -> str:
        """Return the key that came with the request, or an empty string."""
        ...

    def error(self, status: int, request: Request) -> ProviderError:
        """Return what this provider says for `status`."""
        ...

    def respond(self, error: ProviderError) -> Response:
        """Return `error` in this provider's format."""
        ...


def credential(request: Request, *schemes: str) -> str:
    """Return what follows one of `schemes`, in lower case, in the Authorization header; empty if nothing does."""
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    return rest.strip() if scheme.lower() in schemes else ""


async def json_object(request: Request) -> dict[str, Any]:
    """Return the body, a JSON object; `HTTPException` 400 for anything else."""
    try:
        body = json.loads(await request.body())
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise HTTPException(400) from None
    if not isinstance(body, dict):
        raise HTTPException(400)
    return body


def prompt_text(messages: object) -> str:
    """Return all text in a list of chat messages, whose content is a string or a list of parts with `text`."""
    if isinstance(messages, str):
        return messages
    if isinstance(messages, Mapping):
        return prompt_text(messages.get("content") or messages.get("text") or "")
    if isinstance(messages, Iterable):
        return "\n".join(prompt_text(message) for message in messages)
    return ""


def event(data: Mapping[str, Any] | str, *, name: str | None = None) -> str:
    """Return one server-sent event."""
    text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
    return f"event: {name}\ndata: {text}\n\n" if name else f"data: {text}\n\n"


def is_server_error(status: int) -> bool:
    """Return whether the status blames the server rather than the request."""
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR


def phrase(status: int) -> str:
    """Return the standard words for an HTTP status, or `Error` when it has none."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
