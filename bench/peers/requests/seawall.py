"""Seawall as `from_env` makes it: ids, deadline, body limit, headers, JSON lines, metrics, the last requests."""

import logging

from bench.requests_shape import BUCKETS, LABELS, Layered, counts

NAME = "seawall"
DISTRIBUTIONS = ("seawall", "starlette")
NOTES = {"scrape": "a folder of mapped files, all read at each scrape"}


def put_around(app, place, *, traces=False, errors=False, **settings):
    from seawall import Seawall
    from seawall.settings import Settings
    from seawall.telemetry.logs import Logs

    logging.disable(logging.NOTSET)
    logs = Logs(file=place.log)
    sea = Seawall(service="bench", settings=Settings(log_file=place.log, **settings), logs=logs)

    def flush():
        logs.sink.flush()
        if traces:
            sea.tracing.spans.provider.force_flush()

    headers = ("x-request-id", "x-content-type-options", "x-frame-options")
    return Layered(
        app=sea.install(app),
        headers=headers,
        logs=True,
        metrics=True,
        traces=traces,
        errors=errors,
        flush=flush,
    )


def starlette(app, place):
    return put_around(app, place)


fastapi = starlette


def counting(folder):
    from seawall.telemetry.exposition import expose
    from seawall.telemetry.metrics import Kind, Metric, Metrics
    from seawall.telemetry.shared import SharedFolder

    metrics = Metrics()
    shared = SharedFolder(folder)
    metrics.move(shared)
    requests = metrics.declare(Metric(name="requests_total", kind=Kind.COUNTER, help="Requests.", labels=LABELS))
    seconds = metrics.declare(
        Metric(name="request_seconds", kind=Kind.HISTOGRAM, help="Seconds.", labels=LABELS, buckets=BUCKETS)
    )
    for labels, (number, took) in counts().items():
        requests.labels(*labels).inc(number)
        seconds.labels(*labels).observe(took)
    return lambda: expose(metrics, totals=shared.totals())
