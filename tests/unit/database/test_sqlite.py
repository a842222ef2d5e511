"""SQLite as the embedded default, real files."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import ForeignKey, Select, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from seawall.core import Events, OptionError, Status
from seawall.database import Database, RepeatedStatement, SlowStatement
from seawall.database.pagination import page_by_key, page_by_offset
from seawall.testing import EventRecorder


class Base(DeclarativeBase):
    """The test's tables."""


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    joined: Mapped[datetime]


class Note(Base):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))


def play(scene: Any, path: Path) -> None:
    async def main() -> None:
        async with Database(f"sqlite:///{path / 'test.db'}") as database:
            async with database.connection() as connection:
                await connection.run_sync(Base.metadata.create_all)
                await connection.commit()
            await scene(database)

    asyncio.run(main())


def test_sessions_fetch_and_statistics(tmp_path):
    async def scene(database: Database) -> None:
        async with database.session() as session:
            session.add(User(id=1, name="Ada", joined=datetime.now(UTC)))
            await session.commit()
        [row] = await database.fetch("SELECT name FROM users WHERE id = :id", {"id": 1})
        assert row["name"] == "Ada"
        assert await database.fetch("DELETE FROM users WHERE id = :id", {"id": 1}) == []
        assert await database.fetch("SELECT 1 FROM users") == []
        with database.sync_session() as blocking:
            assert blocking.scalar(text("SELECT count(*) FROM users")) == 0
        assert (await database.check()).status is Status.HEALTHY
        assert database.position is None
        statements = {query.statement for query in database.statistics.queries()}
        assert any("SELECT name FROM users" in statement for statement in statements)

    play(scene, tmp_path)


def test_foreign_keys_hold_and_readers_go_on_while_somebody_writes(tmp_path):
    async def scene(database: Database) -> None:
        async with database.session() as session:
            session.add(Note(id=1, user_id=99))
            with pytest.raises(IntegrityError):
                await session.commit()
        async with database.session() as writer:
            await writer.execute(text("INSERT INTO users VALUES (1, 'Ada', '2026-01-01')"))
            assert await database.fetch("SELECT * FROM users") == []
            await writer.commit()

    play(scene, tmp_path)


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://user:sesame@host/db", "postgresql"])
def test_a_url_of_something_else_is_refused_without_its_password(url):
    with pytest.raises(OptionError, match="postgresql://") as caught:
        Database(url)
    assert "sesame" not in str(caught.value)


def test_sqlite_has_no_replicas():
    with pytest.raises(OptionError, match="replicas"):
        Database("sqlite://", replicas=["sqlite://"])


async def many(session: AsyncSession) -> Select[Any]:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    session.add_all(User(id=n, name=f"user {n}", joined=start + timedelta(days=n // 3)) for n in range(25))
    await session.commit()
    return select(User).order_by(User.joined.desc(), User.id)


def test_pages_by_key_show_everything_once(tmp_path):
    async def scene(database: Database) -> None:
        async with database.session() as session:
            query = await many(session)
            expected = [user.id for user in (await session.scalars(query)).all()]
            found: list[int] = []
            after = None
            for _ in range(10):
                page = await page_by_key(session, query, limit=4, after=after)
                found += [user.id for user in page.items]
                # Somebody adds and removes while pages are turned: what was there all along is shown once.
                after = page.next
                if after is None:
                    break
            assert found == expected

    play(scene, tmp_path)


def test_pages_by_offset(tmp_path):
    async def scene(database: Database) -> None:
        async with database.session() as session:
            query = await many(session)
            page = await page_by_offset(session, query, limit=10, offset=20, count=True)
            assert (len(page.items), page.total) == (5, 25)

    play(scene, tmp_path)


@pytest.mark.parametrize("options", [{"limit": 0}, {"limit": 10**9}, {"limit": True}, {"limit": 5, "after": "garbage"},
    {"limit": 5, "after": "W10"}, {"limit": 5, "after": "W1tudWxsLHsiYSI6MX1dXQ"}])  # fmt: skip
def test_impossible_pages_are_refused(tmp_path, options):
    async def scene(database: Database) -> None:
        async with database.session() as session:
            query = await many(session)
            with pytest.raises(OptionError):
                await page_by_key(session, query, **options)
            with pytest.raises(OptionError):
                await page_by_offset(session, query, limit=10**9)
            with pytest.raises(OptionError):
                await page_by_offset(session, query, limit=1, offset=10**9)
            with pytest.raises(OptionError, match="ORDER BY"):
                await page_by_key(session, select(User), limit=1)

    play(scene, tmp_path)


def test_what_is_slow_and_what_is_a_loop_is_reported_as_of_a_server(tmp_path):
    async def main() -> None:
        events = Events()
        recorder = EventRecorder(events)
        async with Database(f"sqlite:///{tmp_path}/slow.db", events=events, slow_after=0.0) as database:
            await database.fetch("CREATE TABLE users (id integer PRIMARY KEY, email text)")
            await database.watch.stop()
            recorder.events.clear()
            database.watch._planned = 0.0
            await database.fetch("SELECT id FROM users WHERE email = :email", {"email": "ada@example.com"})
            async with asyncio.timeout(5):
                while not recorder.of(SlowStatement):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            [slow] = recorder.of(SlowStatement)
            assert (slow.node, slow.plan) == ("sqlite", ["SCAN users"])
            assert (slow.origin or "").startswith(f"{__file__}:")
            assert "ada@" not in slow.statement
            with database.calling():
                for number in range(12):
                    await database.fetch("SELECT email FROM users WHERE id = :id", {"id": number})
            [repeated] = recorder.of(RepeatedStatement)
            assert repeated.count == 10
            counted = {query.statement: query.count for query in database.statistics.queries()}
            assert not any("EXPLAIN" in statement for statement in counted)

    asyncio.run(main())
