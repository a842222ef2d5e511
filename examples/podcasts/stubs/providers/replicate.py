"""Replicate: predictions that are waited for or polled."""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from podcasts.stubs.ad_read import complete, pieces
from podcasts.stubs.providers.provider import ProviderError, credential, json_object, phrase

_WORDS = {
    400: ("Invalid request", "The request body is not a JSON object."),
    401: ("Unauthenticated", "You did not pass an authentication token"),
    404: ("Not found", "The requested resource could not be found."),
    429: ("Too many requests", "Request was throttled. Please try again later."),
    500: ("Internal server error", "The server could not complete the request."),
}


class Replicate:
    """`POST /v1/models/{owner}/{name}/predictions`, `POST /v1/predictions` and `GET /v1/predictions/{id}`.

    With `Prefer: wait` a prediction is answered when it has succeeded. Without, it is answered as `starting`, and has
    succeeded when it is next asked for.
    """

    name = "replicate"

    def __init__(self) -> None:
        """Start without predictions."""
        self._predictions: dict[str, dict[str, Any]] = {}

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        return [
            Route("/v1/models/{owner}/{model}/predictions", self._create_for_model, methods=["POST"]),
            Route("/v1/predictions", self._create_for_version, methods=["POST"]),
            Route("/v1/predictions/{id}", self._get, methods=["GET"]),
        ]

    def api_key(self, request: Request) -> str:
        """Return the token after `Bearer`, or after the older `Token`."""
        return credential(request, "bearer", "token")

    def error(self, status: int, request: Request) -> ProviderError:
        """Return Replicate's error for `status`."""
        title, detail = _WORDS.get(status, (phrase(status), phrase(status)))
        return ProviderError(status, detail, type=title)

    def respond(self, error: ProviderError) -> Response:
        """Return `{"title", "detail", "status"}` as problem details."""
        body = {"title": error.type, "detail": error.message, "status": error.status}
        return JSONResponse(body, status_code=error.status, media_type="application/problem+json")

    async def _create_for_model(self, request: Request) -> Response:
        body = await json_object(request)
        path = request.path_params
        # Official models have no version of their own; Replicate says `hidden` there.
        return self._create(request, body, model=f"{path['owner']}/{path['model']}", version="hidden")

    async def _create_for_version(self, request: Request) -> Response:
        body = await json_object(request)
        given = body.get("version")
        if not isinstance(given, str) or not given:
            _refuse("version is required")
        model, _, version = given.rpartition(":")
        return self._create(request, body, model=model or "stub/model", version=version)

    def _create(self, request: Request, body: dict[str, Any], *, model: str, version: str) -> Response:
        given = body.get("input")
        if not isinstance(given, dict):
            _refuse("input is required")
        if not given.get("prompt"):
            _refuse("input.prompt is required")
        if not isinstance(given.get("max_tokens"), int | None):
            _refuse("input.max_tokens must be an integer")
        prediction_id = secrets.token_hex(13)
        address = f"{request.base_url}v1/predictions/{prediction_id}"
        prediction = {
            "id": prediction_id,
            "model": model,
            "version": version,
            "input": given,
            "output": None,
            "logs": "",
            "error": None,
            "status": "starting",
            "created_at": _now(),
            "started_at": None,
            "completed_at": None,
            "metrics": {},
            "urls": {"get": address, "cancel": f"{address}/cancel"},
        }
        self._predictions[prediction_id] = prediction
        if request.headers.get("prefer", "").startswith("wait"):
            _succeed(prediction)
        return JSONResponse(prediction, status_code=201)

    async def _get(self, request: Request) -> Response:
        prediction = self._predictions.get(request.path_params["id"])
        if prediction is None:
            raise HTTPException(404)
        if prediction["status"] == "starting":
            _succeed(prediction)
        return JSONResponse(prediction)


def _succeed(prediction: dict[str, Any]) -> None:
    given = prediction["input"]
    prompt = f"{given.get('system_prompt') or ''}\n{given['prompt']}".strip()
    completion = complete(prompt, model=prediction["model"], max_tokens=given.get("max_tokens"))
    prediction["status"] = "succeeded"
    prediction["output"] = pieces(completion.text)
    prediction["started_at"] = prediction["started_at"] or _now()
    prediction["completed_at"] = _now()
    prediction["metrics"] = {
        "input_token_count": completion.prompt_tokens,
        "output_token_count": completion.completion_tokens,
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _refuse(detail: str) -> NoReturn:
    raise ProviderError(422, f"- {detail}\n", type="Input validation failed")
