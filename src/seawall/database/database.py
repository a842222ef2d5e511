"""The database: one name for a primary and its replicas, or for an SQLite file."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from sqlalchemy import Executable, RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from seawall.core import SYSTEM_CLOCK, Clock, Events, Health, OptionError, Status
from seawall.core.options import callable_or_none, number
from seawall.database.blocking import BlockingSessions
from seawall.database.classifier import Classifier
from seawall.database.cluster import Cluster
from seawall.database.engines import routed_engine
from seawall.database.errors import DatabaseUnavailableError
from seawall.database.health import health_of
from seawall.database.node import Node
from seawall.database.overview import NodeOverview, overview
from seawall.database.plans import Server
from seawall.database.pools import PoolOptions
from seawall.database.position import Position
from seawall.database.routing import Caller, Route
from seawall.database.sqlite import SqliteFile
from seawall.database.sqlstate import brief
from seawall.database.statements import StatementClass, fingerprint, normalize
from seawall.database.statistics import Statistics
from seawall.database.telling import tell
from seawall.database.transaction import transactional
from seawall.database.travel import Admitted, Signer, unpack
from seawall.database.urls import parse_urls
from seawall.database.watch import Watch

P = ParamSpec("P")
R = TypeVar("R")
_logger = logging.getLogger("seawall.database")
CATALOGUE_AGE, CATALOGUE_PAUSE = 60.0, 1.0
"""Seconds after which what is known of the schema is learnt anew at the latest, and at the earliest."""
_UNKNOWN = "?"
_SCHEMA = re.compile(r"\s*(CREATE|ALTER|DROP|GRANT|REVOKE|DO|CALL|IMPORT|COMMENT)\b", re.IGNORECASE)


class Database:
    """A PostgreSQL primary with any number of replicas, or an SQLite file.

        database = Database("postgresql://app@db-1/app", replicas=["postgresql://app@db-2/app"])
        async with database:
            async with database.session() as session:
                user = await session.get(User, user_id)     # from a replica that has all this caller wrote
                user.name = "new"
                await session.commit()                      # at the primary
            rows = await database.fetch("SELECT * FROM users WHERE name = :name", {"name": "new"})

    url, replicas: the servers; which one is the primary they tell themselves, also when that changes. pool_size,
    max_overflow: connections to each that are kept, and more while needed. pool_timeout: seconds to wait for one.
    pool_recycle: seconds after which one is replaced. pooler: True if PgBouncer in transaction mode stands before them.
    key: what positions are signed with, the same in every process; by default one of this process's own.
    slow_after: seconds after which a statement is reported as `SlowStatement`, with its plan unless `plans` is False.
    repeats: how often one request runs the same read until it is reported as `RepeatedStatement`.
    wait_for_replica: seconds a read may wait for a replica that hasn't got yet what its caller must be shown, before it
    goes to the primary. drain_timeout: seconds that transactions under way have when the database is left.
    label: tells for whom the work at hand is done, such as the request's id; PostgreSQL shows it as `application_name`.

    A caller reads what it has written, and never goes back in time; see `calling`. Entering doesn't raise because a
    server is away; it does for what no waiting mends: a wrong password, a replica of another cluster.
    """

    def __init__(
        self,
        url: str,
        *,
        replicas: Sequence[str] = (),
        name: str = "database",
        pool_size: int = 10,
        max_overflow: int = 20,
        pool_timeout: float = 30.0,
        pool_recycle: float = 3600.0,
        pooler: bool = False,
        connect_args: Mapping[str, Any] | None = None,
        key: str | None = None,
        slow_after: float = 0.1,
        repeats: int = 10,
        plans: bool = True,
        wait_for_replica: float = 0.0,
        drain_timeout: float = 5.0,
        label: Callable[[], str | None] | None = None,
        clock: Clock = SYSTEM_CLOCK,
        events: Events | None = None,
    ) -> None:
        number("Database", "pool_size", pool_size, at_least=1, integer=True)
        number("Database", "max_overflow", max_overflow, at_least=0, integer=True)
        number("Database", "pool_timeout", pool_timeout, above=0)
        number("Database", "pool_recycle", pool_recycle, above=0)
        number("Database", "slow_after", slow_after, at_least=0)
        number("Database", "repeats", repeats, at_least=2, integer=True)
        number("Database", "wait_for_replica", wait_for_replica, at_least=0)
        number("Database", "drain_timeout", drain_timeout, at_least=0)
        callable_or_none("Database", "label", label)
        self.name = name
        self._drain_timeout = drain_timeout
        self.clock = clock
        self.events = Events() if events is None else events
        self.classifier = Classifier()
        self._loaders = Caller()
        self._loaders_doubt = False
        self._keeper: asyncio.Task[None] | None = None
        self._schema_changed = asyncio.Event()
        self.statistics = Statistics(fingerprint, normalize)
        """What every statement costs; see `Statistics.queries`."""
        self.watch = Watch(name, self.events, clock, slow_after=slow_after, repeats=repeats, plans=plans)
        self._signer = Signer(key)
        main, *others = parse_urls("url", url)
        others += [each for replica in replicas for each in parse_urls("replicas", replica)]
        pool = PoolOptions(
            size=pool_size, overflow=max_overflow, wait=pool_timeout, recycle=pool_recycle, pooler=pooler,
            connect_args=dict(connect_args or {}),
        )  # fmt: skip
        self._main = main
        self._blocking = BlockingSessions(pool)
        self.cluster: Cluster | None = None
        self._current: ContextVar[Caller | None] = ContextVar(f"seawall_{name}_caller", default=None)
        self._engines: dict[Route, AsyncEngine]
        if main.get_backend_name() == "sqlite":
            if others:
                raise OptionError("Database", "replicas", len(others), "none with SQLite")
            self._engines = dict.fromkeys(Route, SqliteFile(name, main, pool, self._ran, self.events).engine)
        else:
            nodes = [Node(url, pool, clock, self._changed) for url in (main, *others)]
            cluster = self.cluster = Cluster(
                name, nodes, self.classifier, self._ran, self.events, clock, patience=wait_for_replica, label=label
            )
            self._current = cluster.current
            self._engines = {route: routed_engine(main, cluster, route) for route in Route}
        self._autocommit = {
            route: engine.execution_options(isolation_level="AUTOCOMMIT") for route, engine in self._engines.items()
        }
        self._readonly = {
            route: engine.execution_options(postgresql_readonly=True) for route, engine in self._engines.items()
        }

    # Life.

    async def __aenter__(self) -> Self:
        if self.cluster is not None:
            await self.cluster.start()
            with suppress(DatabaseUnavailableError):
                await self._load_catalogue()
            if self.cluster.primary is not None:
                with self.calling():  # what SQLAlchemy asks once is no caller's
                    for engine in self._engines.values():
                        async with engine.connect():
                            pass
            self._keeper = asyncio.get_running_loop().create_task(self._keep_catalogue())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        await self.watch.stop()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait((self._keeper,))
        try:
            if self.cluster is not None:
                await self.cluster.stop(self._drain_timeout)
        finally:
            self._blocking.dispose()
        for engine in set(self._engines.values()):
            await engine.dispose()

    async def check(self) -> Health:
        """See `health_of`."""
        if self.cluster is None:
            await self.fetch("SELECT 1")
            return Health(status=Status.HEALTHY)
        return health_of(self.cluster)

    def nodes(self) -> list[NodeOverview]:
        """The servers as they are now; none with SQLite."""
        return [] if self.cluster is None else overview(self.cluster, self.statistics.nodes())

    # Using it.

    def session(
        self, route: Route = Route.AUTO, *, isolation: str | None = None, readonly: bool = False, **options: Any
    ) -> AsyncSession:
        """An ORM session; use it with `async with`.

        isolation: "SERIALIZABLE" or another level. readonly: PostgreSQL refuses what writes; SQLite doesn't. options:
        SQLAlchemy's, for `AsyncSession`.
        """
        engine = self._readonly[route] if readonly else self._engines[route]
        if isolation is not None:
            engine = engine.execution_options(isolation_level=isolation)
        return AsyncSession(engine, **{"expire_on_commit": False, **options})

    def connection(self, route: Route = Route.AUTO) -> AsyncConnection:
        """A connection; use it with `async with`."""
        return self._engines[route].connect()

    def sync_session(self) -> Session:
        """A plain synchronous session at the primary, for worker threads and processes; use it with `with`.

        Nothing is routed, and it is nobody's caller.
        """
        primary = None if self.cluster is None else self.cluster.primary
        return self._blocking.at(self._main if primary is None else primary.url)

    def read(self) -> AsyncConnection:
        """A connection on which each statement is a transaction of its own, for reads from a replica where one may."""
        return self._autocommit[Route.AUTO].connect()

    async def fetch(
        self,
        sql: str | Executable,
        parameters: Mapping[str, Any] | None = None,
        *,
        use_read_replica: bool | None = None,
    ) -> Sequence[RowMapping]:
        """The rows of one statement, committed if it writes. `sql` has its parameters as `:name`.

        use_read_replica: False for the primary; True or None for a replica if the statement only reads and one has all
        that this caller wrote.
        """
        route = Route.PRIMARY if use_read_replica is False else Route.AUTO
        statement = text(sql) if isinstance(sql, str) else sql
        async with self._autocommit[route].connect() as connection:
            result = await connection.execute(statement, parameters)
            return result.mappings().all() if result.returns_rows else []

    def transaction(
        self, *, attempts: int = 8, isolation: str | None = None
    ) -> Callable[[Callable[Concatenate[AsyncSession, P], Awaitable[R]]], Callable[P, Awaitable[R]]]:
        """Make a function a transaction: it gets a session as its first argument, committed when it returns.

            @database.transaction(isolation="SERIALIZABLE")
            async def transfer(session: AsyncSession, payer: int, payee: int) -> None: ...

            await transfer(1, 2)

        attempts: how often it is run at most, when a serialization failure or a deadlock undid it, or no server took
        it. It is never run again after a commit of which nobody knows: that raises `CommitUnknownError`.
        """

        def open_session() -> AsyncSession:
            return self.session(isolation=isolation)

        return transactional(open_session, attempts=attempts, clock=self.clock)

    # Consistency.

    @contextmanager
    def calling(self, position: Position | None = None) -> Iterator[Caller]:
        """A block whose reads and writes are one caller's: it reads what it wrote here, and all up to `position`.

        Outside of such a block, all of this process is one caller.
        """
        with self._serving(Caller(position)) as caller:
            yield caller

    @contextmanager
    def admitting(self, token: str | None) -> Iterator[Admitted]:
        """As `calling`, for the caller who was given `token` by `Admitted.token`, here or in another process.

        A token that isn't ours, or can't be told any more, is served by the primary. None: a new caller.
        """
        cluster = self.cluster
        if cluster is None or token is None:
            caller = Caller()
        else:
            caller = unpack(self._signer.verify(token), cluster.nodes, cluster.primary, self.clock)
        with self._serving(caller):
            yield Admitted(caller, self._signer)

    @contextmanager
    def _serving(self, caller: Caller) -> Iterator[Caller]:
        caller.reads = {}
        token = self._current.set(caller)
        try:
            yield caller
        finally:
            self._current.reset(token)

    @property
    def position(self) -> Position | None:
        """What the present caller's reads must have; attach it to whatever is done elsewhere because of a write."""
        if self.cluster is None:
            return None
        caller = self.cluster.caller
        caller.settle()
        return caller.floor

    def written(self) -> str | None:
        """How far the present caller has written and read, as text that `heard` takes; None for not at all."""
        if self.cluster is not None and self.cluster.caller.strict:
            return _UNKNOWN
        position = self.position
        return None if position is None else str(position)

    def heard(self, position: str | None) -> None:
        """What `loading` blocks read is at least as new as `position`; where that isn't known, as all there is now."""
        try:
            self._loaders.raise_to(Position.parse(position or ""))
        except OptionError:
            self._loaders_doubt = True

    @contextmanager
    def loading(self) -> Iterator[None]:
        """A block whose reads are at least as new as everything `heard`, and as the present caller's."""
        cluster, loaders = self.cluster, self._loaders
        if cluster is None:
            yield
            return
        if self._loaders_doubt and cluster.primary is not None:
            # As if something had been read from the primary just now: the next probe tells how far that is.
            loaders.read(cluster.primary.state, self.clock.monotonic())
            self._loaders_doubt = False
        own, caller = cluster.caller, Caller()
        caller.join(loaders)
        caller.join(own)
        caller.strict = caller.strict or self._loaders_doubt
        token = self._current.set(caller)
        try:
            yield
        finally:
            self._current.reset(token)
            own.join(caller)

    # What the servers tell.

    def _changed(self, node: Node) -> None:
        if self.cluster is not None:
            self.cluster.changed(node)

    def _ran(
        self, operation: str, kind: StatementClass, node: Server, seconds: float, rows: int, parameters: Any
    ) -> None:
        """One statement was run."""
        self.statistics.count(operation, kind, node.name, seconds, rows)
        if seconds >= self.watch.slow_after:
            self.watch.slow(operation, kind, node, seconds, rows, parameters)
        if kind is StatementClass.READ and (caller := self._current.get()) is not None:
            self.watch.repeated(caller, operation)
        if kind is StatementClass.WRITE and _SCHEMA.match(operation):
            self._schema_changed.set()
        tell(self.events, self.name, node.name, operation, kind, seconds, rows=rows)

    async def _load_catalogue(self) -> None:
        """Learn what functions and tables there are, from any server."""
        why = "there are none"
        for node in sorted(self.cluster.nodes if self.cluster else (), key=lambda node: not node.state.usable):
            try:
                async with node.lent() as connection:
                    await self.classifier.load(connection.fetch)
            except (OSError, TimeoutError) as error:
                why = brief(error)
            else:
                return
        raise DatabaseUnavailableError(self.name, "server", why)

    async def _keep_catalogue(self) -> None:
        """Learn it anew when something was created here, when a statement names something new, and now and then."""
        while True:
            known = self.classifier.unknown
            try:
                async with asyncio.timeout(CATALOGUE_AGE):
                    while self.classifier.unknown == known and not self._schema_changed.is_set():
                        with suppress(TimeoutError):
                            async with asyncio.timeout(CATALOGUE_PAUSE):
                                await self._schema_changed.wait()
            except TimeoutError:
                pass
            self._schema_changed.clear()
            try:
                await self._load_catalogue()
            except Exception as error:  # noqa: BLE001 - the next time may go well; until then what is new is a write
                _logger.warning("database %s: its catalogue can't be read: %s", self.name, error)
            await asyncio.sleep(CATALOGUE_PAUSE)

    def __repr__(self) -> str:
        return f"Database({self.name!r}, {self.cluster.nodes if self.cluster else 'sqlite'})"
