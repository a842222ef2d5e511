"""No layer, and uvicorn's own access log, which it writes unless told not to; here to a file. A reference."""

import logging

from bench.requests_shape import Layered

NAME = "bare, with uvicorn's access log"
DISTRIBUTIONS = ("uvicorn",)
REFERENCE = True
WITHOUT = {"starlette": "called without a server, which is what would write the log"}


def fastapi(app, place):
    from uvicorn.config import LOGGING_CONFIG
    from uvicorn.logging import AccessFormatter

    logging.disable(logging.NOTSET)
    written = logging.FileHandler(place.log)
    written.setFormatter(AccessFormatter(LOGGING_CONFIG["formatters"]["access"]["fmt"], use_colors=False))
    access = logging.getLogger("uvicorn.access")
    access.addHandler(written)
    access.setLevel(logging.INFO)
    return Layered(app=app, logs=True)
