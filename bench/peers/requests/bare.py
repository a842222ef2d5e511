"""The app with nothing around it. The yardstick."""

from bench.requests_shape import Layered

NAME = "bare"
DISTRIBUTIONS = ("starlette", "fastapi", "pydantic", "uvicorn", "h11", "httptools", "uvloop")
REFERENCE = True


def starlette(app, place):
    return Layered(app=app)


fastapi = starlette
