"""Seawall that also reports errors to Sentry, and no traces."""

from bench.peers.requests.seawall import put_around

NAME = "seawall (errors to Sentry)"
DISTRIBUTIONS = ("seawall", "sentry-sdk")
WITHOUT = {"counting": "as seawall"}


def starlette(app, place):
    return put_around(app, place, errors=True, sentry_dsn=place.dsn)


fastapi = starlette
