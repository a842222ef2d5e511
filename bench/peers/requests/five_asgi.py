"""Five middlewares that are plain ASGI callables and do nothing but look at the answer's start."""

from bench.requests_shape import Layered

NAME = "five ASGI middlewares"
DISTRIBUTIONS = ("starlette",)
REFERENCE = True
WITHOUT = {"fastapi": "measured around Starlette"}


class Nothing:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def passing(message):
            if message["type"] == "http.response.start":
                pass
            await send(message)

        await self.app(scope, receive, passing)


def starlette(app, place):
    for _ in range(5):
        app.add_middleware(Nothing)
    return Layered(app=app)
