"""sentry-sdk with its integrations: errors, no traces."""

import sentry_sdk

from bench.requests_shape import Layered

NAME = "sentry-sdk (errors)"
DISTRIBUTIONS = ("sentry-sdk",)


def first(place):
    sentry_sdk.init(dsn=place.dsn)


def starlette(app, place):
    return Layered(app=app, errors=True)
