"""FastAPI dependencies that give an endpoint a session of the database.

Session = Annotated[AsyncSession, in_session(database)]
ReadSession = Annotated[AsyncSession, reading(database)]

@app.post("/notes")
async def add(note: Note, session: Session) -> None:
    session.add(note)           # committed when `add` has returned; the response begins after that
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from fastapi import Depends


class SessionLike(Protocol):
    """A session with a transaction, which is undone where it is left without a commit."""

    async def commit(self) -> None:
        """Keep what was done."""
        ...


class OpensSessions(Protocol):
    """Gives sessions; `seawall.database.Database` is one."""

    def session(self, **options: Any) -> AbstractAsyncContextManager[SessionLike]:
        """A session, with what `in_session` was given."""
        ...


def in_session(database: OpensSessions, **options: Any) -> Any:
    """`Depends` on a session that is committed when the endpoint has returned, and undone when it raises.

    options: those of `Database.session`, such as `route=Route.PRIMARY` or `isolation="SERIALIZABLE"`.

    The response begins after the commit. So a commit that fails is an error response, and the position that goes back
    to the caller has what was written: its next read shows it. What runs later, in the body of a streamed response or
    in the background, needs a session of its own. Dependencies of one request that are the same object share a session.
    """

    async def session() -> AsyncIterator[Any]:
        async with database.session(**options) as opened:
            yield opened
            await opened.commit()

    return Depends(session, scope="function")


def reading(database: OpensSessions, **options: Any) -> Any:
    """`Depends` on a session that only reads, from a replica with all its caller wrote; PostgreSQL refuses writes."""

    async def session() -> AsyncIterator[Any]:
        async with database.session(readonly=True, **options) as opened:
            yield opened

    return Depends(session, scope="function")
