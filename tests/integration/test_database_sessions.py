"""Sessions, transactions and pools on a real primary with replicas."""

import asyncio
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from seawall.core import Events, deadline
from seawall.database import Database, PoolTimeoutError, Route, StatementRerun
from seawall.testing import EventRecorder
from seawall.testing.postgres import Postgres
from tests.integration.conftest import Cluster


class Base(DeclarativeBase):
    """The tests' tables."""


class Doctor(Base):
    __tablename__ = "doctors"
    id: Mapped[int] = mapped_column(primary_key=True)
    shift: Mapped[int]
    on_call: Mapped[bool]


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    with Postgres() as primary:
        yield Cluster(primary, (primary.replica(), primary.replica()))


def play(own: Cluster, scene: Any, **options: Any) -> None:
    async def main() -> None:
        replicas = [replica.url for replica in own.replicas]
        async with Database(own.primary.url, replicas=replicas, **options) as database:
            async with database.connection() as connection:
                await connection.run_sync(Base.metadata.drop_all)
                await connection.run_sync(Base.metadata.create_all)
                await connection.commit()
            async with database.session() as session:
                session.add_all(Doctor(id=n, shift=n // 2, on_call=True) for n in range(40))
                await session.commit()
            await database._load_catalogue()
            await replayed(database)
            async with asyncio.timeout(60):
                await scene(database)

    asyncio.run(main())


async def replayed(database: Database) -> None:
    """Until every replica has all that was written so far."""
    assert database.cluster is not None
    async with asyncio.timeout(10):
        while True:
            position = database.position
            states = database.cluster.standbys
            assert position is not None
            if states and all(state.positions and position.reached_by(state.positions[-1]) for state in states):
                return
            await asyncio.sleep(0.01)


def routed(session: AsyncSession) -> Any:
    """The connection under a session."""

    def find(sync: Any) -> Any:
        return sync.connection().connection.dbapi_connection

    return session.run_sync(find)


def test_a_transaction_that_has_read_from_a_replica_goes_on_at_the_primary_when_it_writes(own):
    async def scene(database: Database) -> None:
        assert database.cluster is not None
        with database.calling():
            async with database.session() as session:
                doctor = await session.get(Doctor, 1)
                assert doctor is not None
                connection = await routed(session)
                first = connection.node
                assert first is not database.cluster.primary
                await session.execute(select(Doctor).where(Doctor.shift == 3))
                assert connection.node is first, "a transaction stays where it is"
                doctor.on_call = False
                await session.flush()
                assert connection.node is database.cluster.primary
                again = await session.execute(select(Doctor.on_call).where(Doctor.id == 1))
                assert again.scalar() is False, "it sees what it hasn't committed"
                await session.commit()
                assert connection.node is None
            async with database.session() as session:
                assert await session.scalar(select(Doctor.on_call).where(Doctor.id == 1)) is False

    play(own, scene)


def test_stricter_isolation_and_the_overrides_choose_the_server(own):
    async def scene(database: Database) -> None:
        assert database.cluster is not None
        primary = database.cluster.primary

        async def serves(**options: Any) -> bool:
            with database.calling():
                async with database.session(**options) as session:
                    await session.get(Doctor, 1)
                    return (await routed(session)).node is primary

        assert not await serves()
        assert await serves(isolation="SERIALIZABLE")
        assert await serves(isolation="REPEATABLE READ")
        assert await serves(route=Route.PRIMARY)
        assert not await serves(route=Route.REPLICA)
        async with database.session(route=Route.REPLICA) as session:
            with pytest.raises(DBAPIError, match="read-only"):
                await session.execute(text("DELETE FROM doctors"))

    play(own, scene)


def test_a_statement_that_a_replica_refuses_is_run_at_the_primary_and_remembered(own):
    async def scene(database: Database) -> None:
        recorder = EventRecorder(database.events)
        await database.fetch("CREATE OR REPLACE FUNCTION touch() RETURNS int STABLE AS 'SELECT 1' LANGUAGE sql")
        await database._load_catalogue()
        await replayed(database)
        # Behind the catalogue's back it begins to write, which its declaration denies.
        body = "BEGIN UPDATE doctors SET shift = shift WHERE id = 1; RETURN 2; END"
        async with database.connection(Route.PRIMARY) as connection:
            raw: Any = await connection.get_raw_connection()
            with pytest.raises(RuntimeError, match="run a statement that writes first"):
                raw.driver_connection  # noqa: B018
            await connection.execute(text("SELECT 1"))
            raw = raw.driver_connection
            await raw.execute(f"CREATE OR REPLACE FUNCTION touch() RETURNS int VOLATILE AS '{body}' LANGUAGE plpgsql")
            await connection.commit()
        await asyncio.sleep(0.3)
        for _ in range(3):
            with database.calling():
                [row] = await database.fetch("SELECT touch()")
                assert dict(row) == {"touch": 2}
        [rerun] = recorder.of(StatementRerun)
        assert rerun.sqlstate == "25006"

    play(own, scene, events=Events())


def test_write_skew_is_repeated_until_it_holds(own):
    async def scene(database: Database) -> None:
        @database.transaction(isolation="SERIALIZABLE")
        async def leave(session: AsyncSession, doctor: int) -> None:
            on_call = select(Doctor).where(Doctor.shift == doctor // 2, Doctor.on_call)
            colleagues = (await session.scalars(on_call)).all()
            await asyncio.sleep(0.001)
            if len(colleagues) > 1:
                await session.execute(text("UPDATE doctors SET on_call = false WHERE id = :id"), {"id": doctor})
            else:
                await session.execute(text("UPDATE doctors SET on_call = true WHERE shift = :s"), {"s": doctor // 2})

        chance = random.Random(4)
        calls = [leave(chance.randrange(40)) for _ in range(200)]
        results = [
            result
            for start in range(0, 200, 20)
            for result in await asyncio.gather(*calls[start : start + 20], return_exceptions=True)
        ]
        failed = [result for result in results if result is not None]
        assert len(failed) <= 0.02 * len(results), failed
        nobody = "SELECT shift FROM doctors GROUP BY shift HAVING NOT bool_or(on_call)"
        assert await database.fetch(nobody, use_read_replica=False) == []

    play(own, scene)


def test_connections_survive_callers_who_leave(own):
    async def scene(database: Database) -> None:
        assert database.cluster is not None
        opened: list[Any] = []
        for node in database.cluster.nodes:
            event.listen(node._engine.sync_engine.pool, "connect", lambda *made: opened.append(made))

        async def work(number: int) -> None:
            async with database.session() as session:
                await session.execute(text("UPDATE doctors SET shift = shift WHERE id = :id"), {"id": number % 40})
                await session.execute(text("SELECT pg_sleep(0.005)"))
                await session.commit()

        await asyncio.gather(*(work(number) for number in range(5)))
        before, cancelled = len(opened), 0
        for number in range(400):
            task = asyncio.create_task(work(number))
            await asyncio.sleep(random.uniform(0.0, 0.02))
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                cancelled += 1
        async with asyncio.timeout(5):
            while any(node.in_use for node in database.cluster.nodes):
                await asyncio.sleep(0.01)
        assert cancelled > 20
        assert len(opened) - before <= 0.1 * cancelled
        open_ = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
        assert (await database.fetch(open_, use_read_replica=False))[0]["count"] == 0

    play(own, scene)


def test_who_waits_too_long_for_a_connection_is_told_when_to_come_back(own):
    async def scene(database: Database) -> None:
        async with database.session(Route.PRIMARY) as session:
            await session.execute(text("SELECT 1"))
            with pytest.raises(PoolTimeoutError, match=r"all 1 connections .* in use for 0.2 s") as caught:
                await database.fetch("SELECT 1", use_read_replica=False)
        assert (caught.value.status, caught.value.retry_after) == (503, 1.0)
        [row] = await database.fetch("SELECT 1 AS one", use_read_replica=False)
        assert dict(row) == {"one": 1}

    play(own, scene, pool_size=1, max_overflow=0, pool_timeout=0.2)


def test_the_deadline_ends_the_query_on_the_server(own):
    async def scene(database: Database) -> None:
        began = time.monotonic()
        with deadline.within(0.2), pytest.raises(DBAPIError, match="statement timeout"):
            async with database.session() as session:
                await session.execute(text("SELECT pg_sleep(20)"))
        assert time.monotonic() - began < 5

    play(own, scene)


def test_what_one_connection_sets_the_next_doesn_t_have(own):
    async def scene(database: Database) -> None:
        async with database.connection() as connection:
            await connection.execute(text("SET statement_timeout = 12345"))
            await connection.commit()
            assert (await connection.execute(text("SHOW statement_timeout"))).scalar() == "12345ms"
        for _ in range(5):
            [row] = await database.fetch("SHOW statement_timeout", use_read_replica=False)
            assert row["statement_timeout"] == "0"

    play(own, scene)


def test_parameters_are_no_sql_and_are_in_no_message(own):
    async def scene(database: Database) -> None:
        nasty = "x'; DROP TABLE doctors; --"
        [row] = await database.fetch("SELECT :v AS v", {"v": nasty})
        assert dict(row) == {"v": nasty}
        with pytest.raises(DBAPIError) as caught:
            await database.fetch("SELECT CAST(:v AS int)", {"v": 'sesame"'})
        assert "sesame" not in str(caught.value)

    play(own, scene)


def test_a_worker_thread_has_a_plain_session_at_the_primary(own):
    async def scene(database: Database) -> None:
        def work() -> str:
            with database.sync_session() as session:
                session.execute(text("UPDATE doctors SET shift = 99 WHERE id = 7"))
                session.commit()
                return str(session.scalar(text("SELECT pg_is_in_recovery()")))

        assert await asyncio.to_thread(work) == "False"
        [row] = await database.fetch("SELECT shift FROM doctors WHERE id = 7", use_read_replica=False)
        assert row["shift"] == 99

    play(own, scene)


def test_a_connection_for_reads_uses_a_replica(own):
    async def scene(database: Database) -> None:
        assert database.cluster is not None
        assert database.cluster.primary is not None
        database.statistics.reset()
        with database.calling():
            async with database.read() as connection:
                assert (await connection.execute(text("SELECT count(*) FROM doctors"))).scalar() == 40
        [query] = database.statistics.queries()
        assert database.cluster.primary.name not in query.nodes

    play(own, scene)
