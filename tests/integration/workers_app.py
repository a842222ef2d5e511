"""A small service, served by several worker processes in the tests."""

import os

from fastapi import FastAPI

from seawall import Seawall

sea = Seawall.from_env(service="workers")
made = sea.metrics.counter("things_made_total", "Things.", labels=("kind",))
app = FastAPI()


@app.get("/make/{kind}")
async def make(kind: str) -> int:
    """Count a thing; tells which process did."""
    made.inc(kind=kind)
    return os.getpid()


app = sea.install(app)
