"""Sessions on the server's side, kept in a cache.

sessions = SessionStore(cache)
session = await sessions.create({"basket": []})
response.set_cookie("session", session.id, httponly=True, secure=True, samesite="lax")
...
session = await sessions.get(request.cookies.get("session", ""))
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from seawall.cache.fill import Order
from seawall.cache.freshness import Freshness
from seawall.cache.loading import MISSING
from seawall.cache.update import update
from seawall.core import OptionError
from seawall.core.options import number

if TYPE_CHECKING:
    from seawall.cache.cache import Cache

T = TypeVar("T")
TOUCH = 10
"""A read extends a session when one in this many parts of `idle` has passed, so that most reads write nothing."""
_Stored = tuple[Any, str | None, float, float]
"""The data, the user, when the session was created, and when it was last touched."""


class Session(Generic[T]):
    """A session. Change `data` as you like, then `SessionStore.save`.

    id: what the client sends; whoever knows it is the user, so it is nowhere but here: not in keys, logs, or `repr`.
    user: who is logged in, None for nobody. created: seconds since 1970. expires: when it ends at the latest.
    """

    __slots__ = ("_created", "_expires", "_id", "_user", "data")

    def __init__(self, id: str, data: T, user: str | None, created: float, expires: float) -> None:  # noqa: A002
        self._id = id
        self._user = user
        self._created = created
        self._expires = expires
        self.data = data

    @property
    def id(self) -> str:
        """A secret that only the client should have."""
        return self._id

    @property
    def user(self) -> str | None:
        """Who is logged in. `SessionStore.rotate` changes it."""
        return self._user

    @property
    def created(self) -> float:
        """Seconds since 1970."""
        return self._created

    @property
    def expires(self) -> float:
        """Seconds since 1970."""
        return self._expires

    def __repr__(self) -> str:
        return f"Session({'with' if self._user is not None else 'without'} user, data not shown)"


class SessionStore(Generic[T]):
    """Sessions in `cache`: in memory, in the tier that processes share, or both.

    idle: a session ends when it was not read for so many seconds, or up to a tenth sooner, since not every read is
    written down. absolute: it ends so many seconds after it was created or its user logged in, come what may.
    namespace: what their keys begin with; also the category in the cache's statistics. type: of the data.

    Of two saves at the same time the last one stands. A session that was deleted, has expired, or whose user was
    logged out everywhere does not come back by a late save. There is nothing to sweep: what has expired is never
    answered, the shared tier forgets it, and memory makes room for others.

    While the shared tier is away, this process goes on with the sessions it knows and those it creates, and tells the
    tier when it is back; a session ended by another process meanwhile ends here then. Memory alone forgets sessions
    when it is full: give it entries enough.
    """

    @overload
    def __init__(
        self: SessionStore[dict[str, Any]],
        cache: Cache,
        *,
        idle: float = ...,
        absolute: float = ...,
        namespace: str = ...,
    ) -> None: ...
    @overload
    def __init__(
        self,
        cache: Cache,
        *,
        idle: float = ...,
        absolute: float = ...,
        namespace: str = ...,
        type: type[T],
    ) -> None: ...
    def __init__(
        self,
        cache: Cache,
        *,
        idle: float = 3600.0,
        absolute: float = 86_400.0,
        namespace: str = "session",
        type: Any = dict[str, Any],  # noqa: A002 - as in the cache
    ) -> None:
        number("SessionStore", "idle", idle, above=0)
        number("SessionStore", "absolute", absolute, above=0)
        if not namespace or ":" in namespace:
            raise OptionError("SessionStore", "namespace", namespace, "a word without ':'")
        # To the second, and nothing stale: a session that is over must not be answered.
        freshness = Freshness(ttl=min(idle, absolute), jitter=0.0)
        if cache.categories.setdefault(namespace, freshness) != freshness:
            raise OptionError("SessionStore", "namespace", namespace, "one that is no other category of the cache")
        self.cache = cache
        self.idle = idle
        self.absolute = absolute
        self.namespace = namespace
        self._freshness = freshness
        self._type = tuple[type, str | None, float, float]

    async def create(self, data: T, *, user: str | None = None) -> Session[T]:
        """A new session with an id of its own, 256 random bits.

        Raises `UnserializableError` and `ValueTooLargeError`.
        """
        return await self._create(data, user, self.cache.shared.now())

    async def get(self, id: str) -> Session[T] | None:  # noqa: A002
        """The session of `id` if there is one and it is not over; it is idle no longer."""
        key = self._key(id)
        found: _Stored | Any = await self.cache.reader.get(self._order(key), MISSING)
        now = self.cache.shared.now()
        if found is MISSING or self._left(found, now) <= 0:
            return None
        data, user, created, touched = found
        if now - touched >= self.idle / TOUCH:

            def touch(stored: _Stored) -> tuple[_Stored, float] | None:
                nonlocal data
                data = stored[0]
                fresh = (*stored[:3], now)
                return None if stored[3] >= now else (fresh, self._left(fresh, now))

            if await update(self.cache, self._order(key), touch) is None:
                return None
        return Session(id, data, user, created, created + self.absolute)

    async def save(self, session: Session[T]) -> bool:
        """Keep `session.data`; False if the session is over: deleted, expired, or logged out everywhere.

        Raises `UnserializableError` and `ValueTooLargeError`; then the former data stays.
        """
        now = self.cache.shared.now()

        def save(stored: _Stored) -> tuple[_Stored, float] | None:
            fresh = (session.data, stored[1], stored[2], now)
            return fresh, self._left(fresh, now)

        if session.created + self.absolute <= now:
            return False
        return await update(self.cache, self._order(self._key(session.id)), save) is not None

    @overload
    async def rotate(self, session: Session[T]) -> Session[T] | None: ...
    @overload
    async def rotate(self, session: Session[T], *, user: str | None) -> Session[T] | None: ...
    async def rotate(self, session: Session[T], *, user: Any = MISSING) -> Session[T] | None:
        """The same session under a new id, with `session.data` as it is now; the old id is void from now on.

        user: who has just logged in, or None for who has logged out; then `absolute` begins anew. Do so whenever what
        a session may do changes, so that an id somebody else knew before is worth nothing after. None if the session
        is over; of two rotations at the same time one gets None.
        """
        now = self.cache.shared.now()
        order = self._order(self._key(session.id))
        if session.created + self.absolute <= now:
            return None
        ended = await update(self.cache, order, lambda _: (MISSING, 0.0))
        if ended is None:
            return None
        if user is not MISSING:
            return await self._create(session.data, user, now)
        rotated = await self._create(session.data, session.user, session.created)
        if self.cache.shared.is_void(ended.tags, ended.version):
            # The user was logged out everywhere between the two steps.
            await self.delete(rotated.id)
            return None
        return rotated

    async def delete(self, id: str) -> None:  # noqa: A002
        """End the session of `id`, in every process."""
        await self.cache.delete(self._key(id))

    async def delete_all(self, user: str) -> None:
        """End every session of `user`: log out everywhere."""
        await self.cache.invalidate(self._tag(user))

    async def _create(self, data: T, user: str | None, created: float) -> Session[T]:
        now = self.cache.shared.now()
        id_ = secrets.token_urlsafe(32)
        stored = (data, user, created, now)
        await self.cache.set(
            self._key(id_),
            stored,
            ttl=self._left(stored, now),
            tags=() if user is None else (self._tag(user),),
            category=self.namespace,
            type=self._type,
        )
        return Session(id_, data, user, created, created + self.absolute)

    def _left(self, stored: _Stored, now: float) -> float:
        """For how long a session has not ended yet; what is 0 or below has."""
        return min(stored[3] + self.idle, stored[2] + self.absolute) - now

    def _key(self, id_: str) -> str:
        digest = hashlib.sha256(id_.encode("utf-8", "surrogatepass")).hexdigest()
        return f"{self.namespace}:{digest}"

    def _tag(self, user: str) -> str:
        return f"{self.namespace}-user:{user}"

    def _order(self, key: str) -> Order:
        return Order(key, _no_loader, self._freshness, self.cache.meter(self.namespace, key), self._type)


def _no_loader() -> None:
    raise AssertionError
