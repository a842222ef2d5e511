"""Slow statements come with their plan and the line that ran them, loops are named, and no value is shown."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from seawall.core import Events
from seawall.database import Database, RepeatedStatement, SlowStatement
from seawall.testing import EventRecorder
from seawall.testing.postgres import Postgres
from tests.integration.conftest import Cluster

SECRET = "ada@example.com"


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    with Postgres() as primary:
        yield Cluster(primary, (primary.replica(),))


def play(own: Cluster, scene: Any, **options: Any) -> None:
    async def main() -> None:
        events = Events()
        recorder = EventRecorder(events)
        database = Database(own.primary.url, replicas=[own.replicas[0].url], events=events, **options)
        async with database:
            await database.fetch("CREATE TABLE IF NOT EXISTS users AS SELECT g AS id, 'u' || g AS email "
                                 "FROM generate_series(1, 20000) AS g")  # fmt: skip
            await database._load_catalogue()
            await asyncio.sleep(0.3)
            database.watch._reported.clear()
            database.watch._planned = 0.0
            recorder.events.clear()
            await scene(database, recorder)

    asyncio.run(main())


async def heard(recorder: EventRecorder, kind: Any) -> Any:
    async with asyncio.timeout(10):
        while not recorder.of(kind):
            await asyncio.sleep(0.01)
    return recorder.of(kind)[0]


def test_a_slow_read_is_reported_once_with_a_plan_and_its_line(own):
    async def scene(database: Database, recorder: EventRecorder) -> None:
        for _ in range(3):
            await database.fetch("SELECT * FROM users WHERE email = :email", {"email": SECRET})
        slow = await heard(recorder, SlowStatement)
        assert slow.origin.startswith(f"{__file__}:")
        assert slow.origin.endswith(" in scene")
        [plan] = slow.plan
        assert plan["Plan"]["Node Type"] == "Seq Scan"
        assert plan["Plan"]["Actual Rows"] == 0
        assert "email" in plan["Plan"]["Filter"]
        assert SECRET not in json.dumps(slow.plan) + slow.statement
        await asyncio.sleep(0.3)
        assert len(recorder.of(SlowStatement)) == 1

    play(own, scene, slow_after=0.0)


def test_a_slow_write_is_explained_and_not_run_again(own):
    async def scene(database: Database, recorder: EventRecorder) -> None:
        await database.fetch("UPDATE users SET id = id + 1 WHERE email = 'u7'")
        slow = await heard(recorder, SlowStatement)
        assert slow.plan[0]["Plan"]["Node Type"] == "ModifyTable"
        assert "Actual Rows" not in slow.plan[0]["Plan"]
        [row] = await database.fetch("SELECT id FROM users WHERE email = 'u7'")
        assert row["id"] == 8

    play(own, scene, slow_after=0.0)


def test_what_is_quick_is_not_reported(own):
    async def scene(database: Database, recorder: EventRecorder) -> None:
        await database.fetch("SELECT 1")
        await asyncio.sleep(0.1)
        assert not recorder.of(SlowStatement)

    play(own, scene, slow_after=5.0)


def test_a_loop_that_reads_one_row_at_a_time_is_named(own):
    async def scene(database: Database, recorder: EventRecorder) -> None:
        for _ in range(2):
            with database.calling():
                async with database.session() as session:
                    for number in range(15):
                        await session.execute(text("SELECT email FROM users WHERE id = :id"), {"id": number})
        [repeated] = recorder.of(RepeatedStatement)
        assert repeated.count == 10
        assert (repeated.origin or "").startswith(f"{__file__}:")
        assert "SELECT email FROM users" in repeated.statement
        recorder.events.clear()
        for number in range(15):  # many callers with one read each are no loop
            with database.calling():
                await database.fetch("SELECT id FROM users WHERE email = :email", {"email": str(number)})
        assert not recorder.of(RepeatedStatement)

    play(own, scene)
