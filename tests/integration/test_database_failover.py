"""Replicas die, hang and come back, and the primary is replaced: readers notice nothing, writers wait or are told."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from seawall.core import Events, Status
from seawall.database import CommitUnknownError, Database, DatabaseUnavailableError, PrimaryChanged, WrongServerError
from seawall.testing import EventRecorder, FaultProxy, Latency
from seawall.testing.postgres import Postgres
from tests.integration.conftest import Cluster

USERS = 10


@pytest.fixture
def own() -> Iterator[Cluster]:
    with Postgres() as primary:
        yield Cluster(primary, (primary.replica(), primary.replica(delay=0.02)))


class Crowd:
    """Users who write and read all the time, and what happened to them."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.errors: Counter[str] = Counter()
        self.reads = self.writes = self.stale = 0
        self.last_write = 0.0
        self._ended = False
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Crowd":
        await self.database.fetch("CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL)")
        await self.database.fetch(f"INSERT INTO t SELECT id, 0 FROM generate_series(1, {USERS}) AS id")
        self._tasks = [asyncio.create_task(self._use(user)) for user in range(1, USERS + 1)]
        await asyncio.sleep(0.5)
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._ended = True
        await asyncio.gather(*self._tasks)

    async def _use(self, user: int) -> None:
        known = 0
        with self.database.calling():
            while not self._ended:
                try:
                    await self.database.fetch("UPDATE t SET n = n + 1 WHERE id = :id", {"id": user})
                    known += 1
                    self.writes += 1
                    self.last_write = time.monotonic()
                except (CommitUnknownError, DatabaseUnavailableError) as error:
                    self.errors[f"write: {type(error).__name__}"] += 1
                for _ in range(3):
                    try:
                        [row] = await self.database.fetch("SELECT n FROM t WHERE id = :id", {"id": user})
                    except Exception as error:  # noqa: BLE001 - the test looks at it
                        self.errors[f"read: {type(error).__name__}: {error}"] += 1
                    else:
                        self.reads += 1
                        self.stale += row["n"] < known
                        known = max(known, row["n"])
                    await asyncio.sleep(0.01)

    @property
    def read_errors(self) -> list[str]:
        return [error for error in self.errors if error.startswith("read")]


def databases(cluster: Cluster, events: Events | None = None) -> Database:
    return Database(cluster.primary.url, replicas=[replica.url for replica in cluster.replicas], events=events)


def test_replicas_that_die_hang_and_come_back_surface_nothing(own):
    async def main() -> None:
        async with databases(own) as database, Crowd(database) as crowd:
            own.replicas[0].kill()
            await asyncio.sleep(0.7)
            assert (await database.check()).status is Status.DEGRADED
            await asyncio.to_thread(own.replicas[0].start)
            await asyncio.sleep(0.7)
            own.replicas[1].pause()
            await asyncio.sleep(0.7)
            own.replicas[1].resume()
            async with asyncio.timeout(10):
                while (await database.check()).status is not Status.HEALTHY:
                    await asyncio.sleep(0.05)
            await asyncio.sleep(0.3)
        assert not crowd.errors
        assert crowd.stale == 0
        assert crowd.reads > 100

    asyncio.run(main())


def test_a_promoted_replica_is_written_to_within_half_a_second(own):
    async def main() -> None:
        events = Events()
        recorder = EventRecorder(events)
        old, (new, other) = own.primary, own.replicas
        async with databases(own, events) as database, Crowd(database) as crowd:
            await asyncio.sleep(0.5)
            other.set_delay(0.0)
            old.kill()
            await asyncio.to_thread(new.promote)
            promoted = time.monotonic()
            async with asyncio.timeout(5):
                while crowd.last_write < promoted:
                    await asyncio.sleep(0.001)
            assert crowd.last_write - promoted < 0.5
            await asyncio.to_thread(other.follow, new)
            await asyncio.to_thread(old.follow, new)
            before = crowd.writes
            async with asyncio.timeout(10):
                while (await database.check()).status is not Status.HEALTHY:
                    await asyncio.sleep(0.05)
            await asyncio.sleep(0.5)
            # Nothing is stuck at the old one, which is a replica now.
            assert crowd.writes > before
            assert database.cluster is not None
            assert {node.state.role for node in database.cluster.nodes} == {"primary", "standby"}
        assert crowd.stale == 0
        assert not crowd.read_errors
        [_, promotion] = recorder.of(PrimaryChanged)
        assert (promotion.former, promotion.node) == (f"127.0.0.1:{old.port}", f"127.0.0.1:{new.port}")
        assert promotion.timeline == 2

    asyncio.run(main())


def test_roles_are_what_the_servers_say(own):
    async def main() -> None:
        swapped = Database(own.replicas[0].url, replicas=[own.primary.url])
        async with swapped as database:
            await database.fetch("CREATE TABLE swapped ()")
            assert database.cluster is not None
            assert database.cluster.primary is database.cluster.nodes[1]

    asyncio.run(main())


def test_without_a_primary_reads_go_on_and_writes_say_why(own):
    async def main() -> None:
        async with databases(own) as database:
            await database.fetch("CREATE TABLE t AS SELECT 1 AS n")
            await asyncio.sleep(0.3)
            own.primary.kill()
            with database.calling():
                assert (await database.fetch("SELECT n FROM t"))[0]["n"] == 1
            async with asyncio.timeout(5):
                while (await database.check()).status is not Status.UNHEALTHY:
                    await asyncio.sleep(0.01)
            with pytest.raises(DatabaseUnavailableError, match="connection|primary"):
                async with asyncio.timeout(10):
                    await database.fetch("INSERT INTO t VALUES (2)")

    asyncio.run(main())


def test_what_no_waiting_mends_is_said_at_the_start(own):
    async def start(url: str, *replicas: str) -> None:
        async with Database(url, replicas=replicas):
            raise AssertionError

    secret = own.primary.password
    wrong = own.primary.url.replace(secret, "open-sesame")
    nowhere = own.primary.url.rsplit("/", 1)[0] + "/nowhere"
    with Postgres() as stranger:
        for arguments, why in [
            ((wrong,), "password authentication failed"),
            ((nowhere,), "does not exist"),
            ((own.primary.url, stranger.url), "another cluster"),
        ]:
            with pytest.raises(WrongServerError, match=why) as caught:
                asyncio.run(start(*arguments))
            assert secret not in str(caught.value)
            assert "open-sesame" not in str(caught.value)


def test_a_server_that_is_away_at_the_start_is_waited_for(own):
    async def main() -> None:
        own.primary.kill()
        for replica in own.replicas:
            replica.kill()
        async with databases(own) as database:
            assert (await database.check()).status is Status.UNHEALTHY
            await asyncio.to_thread(own.primary.start)
            async with asyncio.timeout(10):
                while database.cluster is None or database.cluster.primary is None:
                    await asyncio.sleep(0.02)
            await database.fetch("CREATE TABLE late ()")

    asyncio.run(main())


def test_a_replica_that_is_much_slower_than_the_other_is_left_out(own):
    async def main() -> None:
        slow = own.replicas[0]
        async with FaultProxy(slow.host, slow.port) as proxy:
            url = slow.url.replace(f":{slow.port}/", f":{proxy.port}/")
            async with Database(own.primary.url, replicas=[url, own.replicas[1].url]) as database:
                assert database.cluster is not None
                async with asyncio.timeout(10):
                    while len(database.cluster.standbys) < 2:
                        await asyncio.sleep(0.01)
                proxy.fault = Latency(0.04)
                async with asyncio.timeout(10):
                    while len(database.cluster.standbys) > 1:
                        await asyncio.sleep(0.01)
                health = await database.check()
                assert (health.status, "too slow" in health.message) == (Status.DEGRADED, True)
                for _ in range(10):
                    with database.calling():
                        await database.fetch("SELECT 1 AS only_here")
                [query] = [query for query in database.statistics.queries() if "only_here" in query.statement]
                assert query.nodes == {f"127.0.0.1:{own.replicas[1].port}": 10}
                proxy.fault = None
                async with asyncio.timeout(10):
                    while len(database.cluster.standbys) < 2:
                        await asyncio.sleep(0.01)

    asyncio.run(main())
