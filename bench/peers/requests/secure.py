"""secure: security headers."""

from secure import Secure
from secure.middleware import SecureASGIMiddleware

from bench.requests_shape import Layered

NAME = "secure"
DISTRIBUTIONS = ("secure",)


def starlette(app, place):
    app.add_middleware(SecureASGIMiddleware, secure=Secure.with_default_headers())
    return Layered(app=app, headers=("x-content-type-options", "x-frame-options", "referrer-policy"))
