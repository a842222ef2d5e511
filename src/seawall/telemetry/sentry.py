"""Errors, and sampled traces, for Sentry: told by a thread when they have happened; nothing is patched or wrapped."""

from __future__ import annotations

import logging
import sysconfig
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from queue import Empty, Full, Queue
from typing import Any, NamedTuple

from seawall.core import SYSTEM_CLOCK, Clock, MissingExtraError, OptionError, correlation
from seawall.core.correlation import Correlation
from seawall.telemetry import redaction
from seawall.telemetry.tracing import Span

try:
    import sentry_sdk
    from sentry_sdk.utils import BadDsn, event_from_exception
except ImportError:
    raise MissingExtraError("SENTRY_DSN", "sentry-sdk", "telemetry") from None

MOST_PER_SECOND = 20
"""Errors told in a second; how many more there were is the tag `suppressed` of the next one."""
MOST_CRUMBS = 20
"""Log lines of its request that an error is told with."""
MOST_WAITING = 100
"""Errors and traces that wait to be told; what is beyond that is dropped."""
_REMEMBERED = 1_000
_LIBRARY = sysconfig.get_path("stdlib")
_logger = logging.getLogger("seawall.telemetry")
_OPERATIONS = {"server": "http.server", "consumer": "queue.process"}
_LEVELS = {"critical": "fatal", "high": "error", "medium": "error", "low": "warning"}


class Crumb(NamedTuple):
    """A log line that may explain an error. request_id: None for what concerns every request, such as an open breaker.

    error_id: of the error that it is about. at: seconds of the epoch.
    """

    request_id: str | None
    error_id: str | None
    at: float
    level: str
    logger: str
    message: str


class Trail(logging.Handler):
    """Remembers the last log lines from WARNING on of requests, and of circuit breakers."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._crumbs: deque[Crumb] = deque(maxlen=_REMEMBERED)

    def emit(self, record: logging.LogRecord) -> None:
        """Remember `record`."""
        work = correlation.current.get()
        everyone = hasattr(record, "breaker")
        if work is None and not everyone:
            return
        try:
            message = redaction.text(record.getMessage())
        except Exception:  # noqa: BLE001 - arguments that don't fit their message
            message = str(record.msg)
        request_id = None if everyone or work is None else work.request_id
        error_id = getattr(record, "error_id", None)
        self._crumbs.append(Crumb(request_id, error_id, record.created, record.levelname.lower(), record.name, message))

    def of(self, request_id: str | None, but: str | None) -> list[dict[str, Any]]:
        """The breadcrumbs of a request, the newest last, without what is about the error `but` itself."""
        found = [
            crumb
            for crumb in tuple(self._crumbs)
            if (crumb.request_id is None or crumb.request_id == request_id)
            and (crumb.error_id is None or crumb.error_id != but)
        ]
        return [
            {"timestamp": one.at, "level": one.level, "category": one.logger, "message": one.message}
            for one in found[-MOST_CRUMBS:]
        ]


class Sentry:
    """Tells errors and traces to the project of a DSN; use it with `with`, or `open` and `close` it.

    environment, release: what they are told with. What the app itself tells by `sentry_sdk.capture_exception` and the
    like goes there too while this is open, unless the app has called `sentry_sdk.init`. Raises `OptionError` for a DSN
    that is none.
    """

    def __init__(
        self, dsn: str, *, environment: str = "production", release: str | None = None, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._clock = clock
        self.trail = Trail()
        self._second, self._told, self._suppressed = -1, 0, 0
        self._waiting: Queue[Callable[[], dict[str, Any]] | None] = Queue(MOST_WAITING)
        self._thread: threading.Thread | None = None
        try:
            self._client = sentry_sdk.Client(
                dsn=dsn,
                environment=environment,
                release=release or "",  # without one, the SDK would ask git
                default_integrations=False,
                auto_enabling_integrations=False,
                include_local_variables=False,
                max_request_body_size="never",
                auto_session_tracking=False,
                enable_backpressure_handling=False,
                send_client_reports=False,
                propagate_traces=False,
                spotlight=False,
                debug=False,
                before_send=_harmless,
                before_send_transaction=_harmless,
            )
        except BadDsn:
            raise OptionError("Sentry", "dsn", "not shown", "https://<key>@<host>/<project>") from None

    def __enter__(self) -> Sentry:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close(2.0)

    def open(self) -> None:
        """Begin to remember log lines, and to take what the app tells by the SDK's own functions."""
        logging.getLogger().addHandler(self.trail)
        if not sentry_sdk.get_client().is_active():
            sentry_sdk.get_global_scope().set_client(self._client)
        # To make an event of an error takes milliseconds.
        self._thread = threading.Thread(target=self._work, name="seawall-sentry", daemon=True)
        self._thread.start()

    def close(self, within: float) -> None:
        """Send what waits, for `within` seconds at most; nothing is told after that."""
        until = time.monotonic() + within  # threads wait by no other clock
        logging.getLogger().removeHandler(self.trail)
        if sentry_sdk.get_global_scope().client is self._client:
            sentry_sdk.get_global_scope().set_client(None)
        thread, self._thread = self._thread, None
        if thread is not None:
            self._put(None)
            thread.join(within)
        self._client.close(timeout=max(0.0, until - time.monotonic()))

    def failed(
        self,
        error: BaseException,
        *,
        work: Correlation | None,
        severity: str = "high",
        route: str | None = None,
        error_id: str | None = None,
        **tags: str,
    ) -> None:
        """Tell of `error`, which ended `work`. error_id: of its log line. Never waits."""
        suppressed = self._admit()
        if suppressed is None:
            return
        named = {**tags, "severity": severity, "route": route, "error_id": error_id, "suppressed": suppressed or None}
        event: dict[str, Any] = {"level": _LEVELS.get(severity, "error"), "logger": "seawall.web"}
        if route is not None:
            event["transaction"] = route
        if work is not None:
            named |= {"request_id": work.request_id, "trace_id": work.trace_id}
            event["contexts"] = {"trace": {"trace_id": work.trace_id, "span_id": work.span_id}}
            user = _user(work.fields or {})
            if user is not None:
                event["user"] = user
        event["tags"] = {name: value for name, value in named.items() if value is not None}
        event["breadcrumbs"] = {"values": self.trail.of(None if work is None else work.request_id, error_id)}

        def made() -> dict[str, Any]:
            found: Any
            found, _ = event_from_exception(
                error, client_options=self._client.options, mechanism={"type": "seawall", "handled": True}
            )
            for one in found["exception"]["values"]:
                for frame in (one.get("stacktrace") or {}).get("frames") or ():
                    _shorten(frame)
            return {**found, **event}

        self._put(made)

    def transaction(self, span: Span, children: Sequence[Span]) -> None:
        """Tell of a request or a job whose trace is recorded, and of the spans in it. Never waits."""
        self._put(
            lambda: {
                "type": "transaction",
                "transaction": span.name,
                "transaction_info": {"source": _source(span)},
                "start_timestamp": span.started,
                "timestamp": span.started + span.seconds,
                "contexts": {"trace": {**_ids(span), "op": _OPERATIONS[span.kind], "data": dict(span.attributes)}},
                "spans": [_child(child) for child in children],
            }
        )

    def _put(self, made: Callable[[], dict[str, Any]] | None) -> None:
        try:
            self._waiting.put_nowait(made)
        except Full:
            if made is None:
                # The last one is to be heard, in place of the first that waits.
                with suppress(Empty):
                    self._waiting.get_nowait()
                self._put(None)

    def _work(self) -> None:
        client: Any = self._client
        while True:
            made = self._waiting.get()
            if made is None:
                return
            try:
                client.capture_event(made())
            except Exception:
                _logger.exception("an error or a trace can't be told to Sentry")
            # It has the error, and that all its frames have.
            del made

    def _admit(self) -> int | None:
        """How many errors weren't told since the last one; None where this one isn't either."""
        second = int(self._clock.monotonic())
        if second != self._second:
            self._second, self._told = second, 0
        if self._told >= MOST_PER_SECOND:
            self._suppressed += 1
            return None
        self._told += 1
        suppressed, self._suppressed = self._suppressed, 0
        return suppressed


def _user(fields: Mapping[str, Any]) -> dict[str, str] | None:
    """Who it was: the id alone, by what was bound to the request as `user_id`, or as `user`."""
    user = fields.get("user_id", fields.get("user"))
    if isinstance(user, Mapping):
        user = user.get("id")
    return None if user is None else {"id": str(user)}


def _ids(span: Span) -> dict[str, Any]:
    found = {"trace_id": span.trace_id, "span_id": span.span_id, "status": "internal_error" if span.failed else "ok"}
    return found if span.parent_id is None else {**found, "parent_span_id": span.parent_id}


def _source(span: Span) -> str:
    return "task" if span.kind == "consumer" else "route" if "http.route" in span.attributes else "url"


def _child(span: Span) -> dict[str, Any]:
    operation = (
        "db" if "db.system.name" in span.attributes
        else "http.client" if "http.request.method" in span.attributes
        else "function"
    )  # fmt: skip
    return {
        **_ids(span),
        "op": operation,
        "description": span.name,
        "start_timestamp": span.started,
        "timestamp": span.started + span.seconds,
        "data": dict(span.attributes),
    }


def _harmless(event: Any, hint: Any) -> Any:
    """The event without secrets, and without a request's headers, cookies and body; whoever tells it."""
    if not event.get("release"):
        event.pop("release", None)
    event.pop("request", None)
    for one in (event.get("exception") or {}).get("values") or ():
        one["value"] = redaction.text(str(one.get("value", "")))
        for frame in (one.get("stacktrace") or {}).get("frames") or ():
            _without_secrets(frame)
    for thread in (event.get("threads") or {}).get("values") or ():
        for frame in (thread.get("stacktrace") or {}).get("frames") or ():
            _without_secrets(frame)
    for name in ("message", "transaction"):
        if isinstance(event.get(name), str):
            event[name] = redaction.text(event[name])
    for name in ("extra", "tags", "contexts", "user", "logentry"):
        if isinstance(event.get(name), Mapping):
            event[name] = redaction.fields(event[name])
    if "spans" in event:
        event["spans"] = [redaction.fields(span) for span in event["spans"]]
    crumbs = event.get("breadcrumbs")
    if isinstance(crumbs, Mapping):
        event["breadcrumbs"] = {"values": [redaction.fields(crumb) for crumb in crumbs.get("values") or ()]}
    return event


def _shorten(frame: dict[str, Any]) -> None:
    """Of libraries, no lines of code: an event is many times as costly with them."""
    path = frame.get("abs_path") or ""
    if "site-packages" in path or "dist-packages" in path or path.startswith(_LIBRARY):
        for name in ("pre_context", "context_line", "post_context"):
            frame.pop(name, None)


def _without_secrets(frame: dict[str, Any]) -> None:
    for name in ("pre_context", "post_context"):
        if name in frame:
            frame[name] = [redaction.text(line) for line in frame[name] if isinstance(line, str)]
    if isinstance(frame.get("context_line"), str):
        frame["context_line"] = redaction.text(frame["context_line"])
