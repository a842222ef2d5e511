"""Stripe: customers, invoice items and invoices, with idempotency keys."""

import secrets
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from podcasts.stubs.providers.provider import ProviderError, credential, is_server_error, phrase
from podcasts.stubs.providers.stripe_billing import Billing, Form, StripeObject

_Create: TypeAlias = Callable[[Form], StripeObject]
_WORDS = {
    400: "Invalid request: the content type of a POST must be application/x-www-form-urlencoded.",
    401: "You did not provide an API key. Send it in the header 'Authorization: Bearer YOUR_SECRET_KEY'.",
    429: "Request rate limit exceeded.",
    500: "An unknown error occurred.",
}
_API_VERSION = "2026-10-28.endive"


class Stripe:
    """Customers, invoice items and invoices, which can be finalized and read.

    A request that repeats an `Idempotency-Key` gets the first answer again and makes nothing. The same key with other
    parameters is an error.
    """

    name = "stripe"

    def __init__(self) -> None:
        """Start without objects and without keys."""
        self._billing = Billing()
        self._answers: dict[str, tuple[tuple[str, Form], StripeObject]] = {}

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        return [
            Route("/v1/customers", self._create_customer, methods=["POST"]),
            Route("/v1/invoiceitems", self._create_item, methods=["POST"]),
            Route("/v1/invoices", self._create_invoice, methods=["POST"]),
            Route("/v1/invoices/{id}/finalize", self._finalize, methods=["POST"]),
            Route("/v1/invoices/{id}", self._get_invoice, methods=["GET"]),
        ]

    def api_key(self, request: Request) -> str:
        """Return the bearer token."""
        return credential(request, "bearer")

    def error(self, status: int, request: Request) -> ProviderError:
        """Return Stripe's error for `status`."""
        if status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}:
            message = f"Unrecognized request URL ({request.method}: {request.url.path})."
            return ProviderError(404, message, type="invalid_request_error")
        kind = "api_error" if is_server_error(status) else "invalid_request_error"
        code = "rate_limit" if status == HTTPStatus.TOO_MANY_REQUESTS else None
        return ProviderError(status, _WORDS.get(status, phrase(status)), type=kind, code=code)

    def respond(self, error: ProviderError) -> Response:
        """Return `{"error": {"type", "message"}}`, with `code` and `param` where there are any."""
        fields = {"code": error.code, "message": error.message, "param": error.param, "type": error.type}
        body = {"error": {name: value for name, value in fields.items() if value is not None}}
        return JSONResponse(body, status_code=error.status, headers=_headers())

    async def _create_customer(self, request: Request) -> Response:
        return await self._once(request, self._billing.create_customer)

    async def _create_item(self, request: Request) -> Response:
        return await self._once(request, self._billing.create_item)

    async def _create_invoice(self, request: Request) -> Response:
        return await self._once(request, self._billing.create_invoice)

    async def _finalize(self, request: Request) -> Response:
        invoice_id = request.path_params["id"]
        return await self._once(request, lambda form: self._billing.finalize(invoice_id, form))

    async def _get_invoice(self, request: Request) -> Response:
        return JSONResponse(self._billing.invoice(request.path_params["id"]), headers=_headers())

    async def _once(self, request: Request, create: _Create) -> Response:
        """Answer with what `create` makes, or with what it made for the same idempotency key before.

        Nothing is awaited between looking the key up and keeping it, so two requests with one key make one object. A
        request that is refused keeps nothing, and its key can be used again.
        """
        form = await _form(request)
        key = request.headers.get("idempotency-key", "")
        asked = (request.url.path, form)
        headers = _headers() | ({"Idempotency-Key": key} if key else {})
        if key in self._answers:
            first, made = self._answers[key]
            if first != asked:
                message = f"Key '{key}' was first used with other parameters; use another key for another request."
                raise ProviderError(400, message, type="idempotency_error")
            return JSONResponse(made, headers=headers | {"Idempotent-Replayed": "true"})
        made = create(form)
        if key:
            self._answers[key] = (asked, made)
        return JSONResponse(made, headers=headers)


async def _form(request: Request) -> Form:
    """Return the form fields, with `metadata[name]` gathered under `metadata`."""
    body = await request.body()
    if body and not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raise HTTPException(400)
    form: dict[str, Any] = {"metadata": {}}
    for name, value in parse_qsl(body.decode(errors="replace"), keep_blank_values=True):
        if name.startswith("metadata[") and name.endswith("]"):
            form["metadata"][name[len("metadata[") : -1]] = value
        else:
            form[name] = value
    return form


def _headers() -> dict[str, str]:
    return {"Request-Id": f"req_{secrets.token_hex(7)}", "Stripe-Version": _API_VERSION}
