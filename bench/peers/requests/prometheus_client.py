"""prometheus-client's way of several processes, on which both exporters stand."""

import os

from bench.requests_shape import BUCKETS, LABELS, counts

NAME = "prometheus-client"
DISTRIBUTIONS = ("prometheus-client",)
WITHOUT = dict.fromkeys(("starlette", "fastapi"), "what the exporters stand on")
NOTES = {"scrape": "its multiprocess collector"}


def counting(folder):
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)  # read when it is imported
    from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    requests = Counter("requests_total", "Requests.", LABELS)
    seconds = Histogram("request_seconds", "Seconds.", LABELS, buckets=BUCKETS)
    for labels, (number, took) in counts().items():
        requests.labels(*labels).inc(number)
        seconds.labels(*labels).observe(took)

    def scrape():
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        return generate_latest(registry)

    return scrape
