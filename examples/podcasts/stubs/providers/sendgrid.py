"""SendGrid: mail accepted for delivery, and delivered to nobody."""

import secrets
from collections.abc import Sequence
from typing import NoReturn

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from podcasts.stubs.providers.provider import ProviderError, credential, json_object, phrase

_WORDS = {
    400: "Bad Request",
    401: "The provided authorization grant is invalid, expired, or revoked",
    404: "Not Found",
    405: "POST method allowed only",
    429: "too many requests",
    500: "internal server error",
}


class SendGrid:
    """`POST /v3/mail/send`, answered 202 without a body and with `X-Message-Id`."""

    name = "sendgrid"

    def routes(self) -> Sequence[Route]:
        """Return the endpoint."""
        return [Route("/v3/mail/send", self._send, methods=["POST"])]

    def api_key(self, request: Request) -> str:
        """Return the bearer token. The SDK sends the word `None` when it was given no key."""
        key = credential(request, "bearer")
        return "" if key == "None" else key

    def error(self, status: int, request: Request) -> ProviderError:
        """Return SendGrid's error for `status`."""
        return ProviderError(status, _WORDS.get(status, phrase(status)))

    def respond(self, error: ProviderError) -> Response:
        """Return `{"errors": [{"message", "field", "help"}]}`."""
        body = {"errors": [{"message": error.message, "field": error.param, "help": None}]}
        return JSONResponse(body, status_code=error.status)

    async def _send(self, request: Request) -> Response:
        mail = await json_object(request)
        people = mail.get("personalizations")
        if not isinstance(people, list) or not people:
            _refuse("personalizations", "The personalizations field is required, with at least one entry.")
        for index, person in enumerate(people):
            if not isinstance(person, dict) or not person.get("to"):
                _refuse(f"personalizations.{index}.to", "The to array is required, with at least one recipient.")
        sender = mail.get("from")
        if not isinstance(sender, dict) or not sender.get("email"):
            _refuse("from.email", "The from email is required.")
        if not mail.get("subject") and not all(person.get("subject") for person in people):
            _refuse("subject", "The subject is required.")
        if not mail.get("content") and not mail.get("template_id"):
            _refuse("content", "The content is required unless a template_id is given.")
        return Response(status_code=202, headers={"X-Message-Id": secrets.token_urlsafe(16)})


def _refuse(field: str, message: str) -> NoReturn:
    raise ProviderError(400, message, param=field)
