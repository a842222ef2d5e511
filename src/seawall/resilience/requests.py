"""Puts every request of a `requests` session, and so of any SDK built on it, behind a pipeline.

session = requests.Session()
session.mount("https://", PipelineAdapter(pipeline))
stripe_client = stripe.StripeClient(key, http_client=stripe.RequestsClient(session=session))
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import urlsplit

from seawall.core import MissingExtraError
from seawall.resilience.http import FAILED_STATUSES, ResponseError, Trace, failed_by, write_deadline
from seawall.resilience.policy import Policy

try:
    import requests
    from requests.adapters import HTTPAdapter
except ImportError:
    raise MissingExtraError("seawall.resilience.requests", "requests", "requests") from None


class PipelineAdapter(HTTPAdapter):
    """Sends each request through `pipeline`, and with it the deadline and the trace.

    In the pipeline a response with a status in `failed`, or of which `failed` is true, is a `ResponseError`, so
    name that in
    `Retry(on=(requests.ConnectionError, requests.Timeout, ResponseError), idempotent=idempotent)`; the session
    gets the response. The remaining time goes out as the header `Request-Timeout` and bounds the socket
    timeouts. `traceparent` tells the receiver to which trace it belongs, unless the caller has set one; recorded
    requests are told as `RequestSent`. Other arguments are those of `requests.adapters.HTTPAdapter`.
    """

    def __init__(
        self,
        pipeline: Policy,
        *,
        failed: Collection[int] | Callable[[requests.Response], bool] = FAILED_STATUSES,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._pipeline = pipeline
        self._failed = failed_by(failed)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send `request`, as often as the pipeline says."""
        clock = self._pipeline.clock
        names = ("stream", "timeout", "verify", "cert", "proxies")
        options = {**dict(zip(names, args, strict=False)), **kwargs}

        trace, url = Trace(self._pipeline.events, request.method or "", request.headers), urlsplit(request.url or "")

        def send(request: requests.PreparedRequest) -> requests.Response:
            left = write_deadline(request.headers, clock)
            bounded = {**options, "timeout": _bounded(options.get("timeout"), left)}
            with trace.attempt(url.hostname or "", url.port) as attempt:
                response = attempt.answer = super(PipelineAdapter, self).send(request, **bounded)
            if self._failed(response):
                response.content  # noqa: B018 - read whole, so that the connection is free for the next attempt
                raise ResponseError(response, response.status_code, clock)
            return response

        try:
            return self._pipeline.call(send, request)
        except ResponseError as error:
            response: requests.Response = error.response
            return response
        finally:
            trace.done()


def _bounded(timeout: Any, left: float | None) -> Any:
    """A timeout as `requests` takes it (None, seconds, or connect and read seconds), no longer than `left`."""
    if left is None:
        return timeout
    # A socket refuses a timeout of 0; the shortest one says the same.
    left = max(left, 0.001)
    if isinstance(timeout, tuple):
        return tuple(left if part is None else min(part, left) for part in timeout)
    return left if timeout is None else min(timeout, left)
