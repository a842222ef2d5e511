"""Sessions: how long they live, who ends them, and what never brings them back."""

import asyncio
from datetime import timedelta
from functools import partial

import pytest

from seawall.cache import Session
from tests.unit.cache.session_processes import DAY, IDLE, Process, data_of, one_process, two_processes


@pytest.fixture(params=["memory", "shared", "shared alone"])
def process(request, clock, store) -> Process:
    if request.param == "memory":
        return Process(clock)
    return Process(clock, store, memory=1000 if request.param == "shared" else 0)


@pytest.fixture
def two(clock, store) -> tuple[Process, Process]:
    return Process(clock, store), Process(clock, store)


class TestLife:
    def test_what_was_put_in_comes_out(self, run, process):
        async def main(sessions) -> None:
            made = await sessions.create({"basket": ["coffee"]}, user="42")
            found = await sessions.get(made.id)
            assert (found.id, found.user, found.data) == (made.id, "42", {"basket": ["coffee"]})
            assert found.expires == found.created + DAY

        one_process(run, process, main)

    @pytest.mark.parametrize("id_", ["", "nobody", "\ud800", "x" * 100_000, "session:*\r\n"])
    def test_a_foreign_id_is_nobodys(self, run, process, id_):
        async def main(sessions) -> None:
            await sessions.create({})
            assert await sessions.get(id_) is None
            await sessions.delete(id_)

        one_process(run, process, main)

    def test_it_ends_when_it_is_not_read_for_an_hour(self, run, process):
        async def main(sessions) -> None:
            session = await sessions.create({})
            await asyncio.sleep(IDLE - 1)
            assert await sessions.get(session.id) is not None
            await asyncio.sleep(IDLE - 1)
            assert await sessions.get(session.id) is not None
            await asyncio.sleep(IDLE)
            assert await sessions.get(session.id) is None

        one_process(run, process, main)

    def test_it_ends_after_a_day_however_busy_it_is(self, run, process, clock):
        async def main(sessions) -> None:
            session = await sessions.create({})
            while await sessions.get(session.id) is not None:
                await asyncio.sleep(600)
                session.data["busy"] = clock.monotonic()
                await sessions.save(session)
            assert clock.monotonic() == DAY
            assert not await sessions.save(session)
            assert await sessions.rotate(session) is None

        one_process(run, process, main)

    def test_most_reads_write_nothing(self, run, clock, store):
        async def main(sessions) -> None:
            session = await sessions.create({})
            ((key, (before, _)),) = store.records.items()
            for _ in range(35):
                await asyncio.sleep(10)
                await sessions.get(session.id)
            assert store.records[key][0] == before
            await asyncio.sleep(10)
            await sessions.get(session.id)
            assert store.records[key][0].version > before.version

        one_process(run, Process(clock, store), main)

    def test_a_tenth_sooner_at_most(self, run, process):
        async def main(sessions) -> None:
            session = await sessions.create({})
            await asyncio.sleep(IDLE / 10 - 1)
            await sessions.get(session.id)
            await asyncio.sleep(IDLE * 0.9)
            assert await sessions.get(session.id) is not None

        one_process(run, process, main)

    def test_a_save_extends_it(self, run, process):
        async def main(sessions) -> None:
            session = await sessions.create({})
            for _ in range(3):
                await asyncio.sleep(IDLE - 1)
                assert await sessions.save(session)
            assert await sessions.get(session.id) is not None

        one_process(run, process, main)

    def test_callers_do_not_share_what_they_change(self, run, process):
        async def main(sessions) -> None:
            made = await sessions.create({"basket": []})
            made.data["basket"].append("not saved")
            (await sessions.get(made.id)).data["basket"].append("nor this")
            assert await data_of(sessions, made.id) == {"basket": []}

        one_process(run, process, main)


class TestSave:
    def test_other_processes_see_it(self, run, two):
        async def main(one, other) -> None:
            session = await one.sessions.create({"step": 1})
            assert await data_of(other.sessions, session.id) == {"step": 1}
            session.data["step"] = 2
            assert await one.sessions.save(session)
            await asyncio.sleep(0.01)
            assert await data_of(other.sessions, session.id) == {"step": 2}

        two_processes(run, two, main)

    def test_the_last_one_stands(self, run, two, store):
        store.delay = 1.0  # nobody hears of the other's in time

        async def main(one, other) -> None:
            made = await one.sessions.create({})
            first, second = await one.sessions.get(made.id), await other.sessions.get(made.id)
            first.data["by"], second.data["by"] = "one", "other"
            assert await one.sessions.save(first)
            assert await other.sessions.save(second)
            assert await one.sessions.save(first)
            await asyncio.sleep(2.0)
            assert await data_of(one.sessions, made.id) == await data_of(other.sessions, made.id) == {"by": "one"}

        two_processes(run, two, main)

    def test_many_at_once_all_succeed(self, run, two):
        two[0].tier.latency = two[1].tier.latency = 0.01

        async def main(one, other) -> None:
            made = await one.sessions.create({})
            sessions = [Session(made.id, {"by": number}, None, made.created, made.expires) for number in range(20)]
            stores = [one.sessions, other.sessions] * 10
            saved = await asyncio.gather(*(each.save(session) for each, session in zip(stores, sessions, strict=True)))
            assert all(saved)
            assert (await data_of(one.sessions, made.id))["by"] in range(20)

        two_processes(run, two, main)

    def test_a_read_that_extends_does_not_undo_it(self, run, two):
        two[0].tier.latency = two[1].tier.latency = 0.01

        async def main(one, other) -> None:
            made = await one.sessions.create({"step": 1})
            await asyncio.sleep(IDLE / 2)
            made.data["step"] = 2
            await asyncio.gather(*(other.sessions.get(made.id) for _ in range(5)), one.sessions.save(made))
            assert await data_of(other.sessions, made.id) == {"step": 2}

        two_processes(run, two, main)

    def test_a_save_elsewhere_while_it_asks_is_no_end(self, run, two):
        async def main(one, other) -> None:
            made = await one.sessions.create({}, user="42")
            ours = await other.sessions.get(made.id)
            one.cache.shared._invalidations.clear()  # so that it asks for the user's, too
            one.tier.latency = 1.0
            saving = asyncio.create_task(one.sessions.save(made))
            await asyncio.sleep(1.5)
            assert await other.sessions.save(ours)
            assert await saving

        two_processes(run, two, main)

    def test_a_read_that_extends_gives_what_it_extends(self, run, two, store):
        store.delay = 10.0

        async def main(one, other) -> None:
            made = await one.sessions.create({"step": 1})
            await asyncio.sleep(IDLE / 2)
            made.data["step"] = 2
            await other.sessions.save(made)
            await asyncio.sleep(1.0)
            assert await data_of(one.sessions, made.id) == {"step": 2}

        two_processes(run, two, main)


class TestEnd:
    def test_the_time_of_day_counts_even_if_the_machine_slept(self, run, clock):
        """The monotonic clock stands still meanwhile."""

        async def main(sessions) -> None:
            session = await sessions.create({})
            before = clock.now
            clock.now = lambda: before() + timedelta(hours=2)
            assert await sessions.get(session.id) is None

        one_process(run, Process(clock), main)

    def test_logged_out_everywhere_after_a_save(self, run, process):
        async def main(sessions) -> None:
            session = await sessions.create({}, user="42")
            assert await sessions.save(session)
            await asyncio.sleep(1.0)
            await sessions.delete_all("42")
            assert await sessions.get(session.id) is None
            assert not await sessions.save(session)

        one_process(run, process, main)

    def test_a_deleted_one_does_not_come_back_by_a_late_save(self, run, process):
        async def main(sessions) -> None:
            session = await sessions.create({})
            await sessions.delete(session.id)
            assert await sessions.get(session.id) is None
            assert not await sessions.save(session)
            assert await sessions.rotate(session) is None
            await asyncio.sleep(600)  # longer than the tier remembers deletes
            assert not await sessions.save(session)
            assert await sessions.get(session.id) is None

        one_process(run, process, main)

    @pytest.mark.parametrize("call", ["save", "get", "rotate"])
    def test_nor_by_one_that_overlaps_with_the_delete(self, run, clock, store, call):
        """Whenever, between its steps, the other process deletes it."""

        async def main(one, other, moment: float) -> None:
            session = await one.sessions.create({}, user="42")
            await asyncio.sleep(IDLE / 2)
            ours = await one.sessions.get(session.id)
            await asyncio.sleep(IDLE / 2)  # so that a read extends it
            one.tier.latency = 1.0
            acting = asyncio.create_task(getattr(one.sessions, call)(session.id if call == "get" else ours))
            await asyncio.sleep(moment)
            await other.sessions.delete(session.id)
            other_id = other.sessions._key(session.id)
            result = await acting
            one.tier.latency = 0.0
            await asyncio.sleep(1.0)
            assert await one.sessions.get(session.id) is None
            assert await other.sessions.get(session.id) is None
            assert store.records[other_id][0].kind == b"d"
            if call == "rotate" and result is not None:
                # It came before the delete, which then was of an id that was void.
                assert moment > 2.0

        for moment in (0.5, 1.5, 2.5, 3.5):
            two_processes(run, (Process(clock, store), Process(clock, store)), partial(main, moment=moment))

    def test_logged_out_everywhere(self, run, two):
        async def main(one, other) -> None:
            mine = [await each.sessions.create({}, user="42") for each in (one, other, one)]
            theirs = await one.sessions.create({}, user="43")
            nobodys = await one.sessions.create({})
            await other.sessions.delete_all("42")
            await asyncio.sleep(0.01)
            for process in (one, other):
                assert [await process.sessions.get(session.id) for session in mine] == [None, None, None]
                assert await process.sessions.get(theirs.id) is not None
                assert await process.sessions.get(nobodys.id) is not None
                assert not await process.sessions.save(mine[0])
                assert await process.sessions.rotate(mine[1]) is None
                assert await process.sessions.get(mine[0].id) is None
            again = await one.sessions.create({}, user="42")
            assert await other.sessions.get(again.id) is not None

        two_processes(run, two, main)

    @pytest.mark.parametrize("moment", [0.5, 1.5, 2.5, 3.5])
    def test_logged_out_everywhere_while_it_is_rotated(self, run, two, moment):
        async def main(one, other) -> None:
            session = await one.sessions.create({}, user="42")
            await asyncio.sleep(1.0)
            one.tier.latency = 1.0
            rotating = asyncio.create_task(one.sessions.rotate(session))
            await asyncio.sleep(moment)
            await other.sessions.delete_all("42")
            rotated = await rotating
            one.tier.latency = 0.0
            await asyncio.sleep(1.0)
            for each in (session, rotated):
                assert each is None or await one.sessions.get(each.id) is None
                assert each is None or await other.sessions.get(each.id) is None

        two_processes(run, two, main)


class TestRotation:
    def test_a_new_id_the_old_one_void(self, run, process):
        async def main(sessions) -> None:
            old = await sessions.create({"basket": ["coffee"]})
            old.data["basket"].append("tea")
            new = await sessions.rotate(old, user="42")
            assert new.id != old.id
            assert (new.user, new.data) == ("42", {"basket": ["coffee", "tea"]})
            assert await sessions.get(old.id) is None
            assert not await sessions.save(old)
            assert (await sessions.get(new.id)).user == "42"
            assert await sessions.rotate(old) is None

        one_process(run, process, main)

    def test_the_day_begins_anew_at_a_login_only(self, run, process):
        async def main(sessions) -> None:
            session = await sessions.create({})
            await asyncio.sleep(1000)
            rotated = await sessions.rotate(session)
            assert rotated.created == session.created
            logged_in = await sessions.rotate(rotated, user="42")
            assert logged_in.created == session.created + 1000
            logged_out = await sessions.rotate(logged_in, user=None)
            assert logged_out.user is None

        one_process(run, process, main)

    def test_a_login_after_logging_out_everywhere_holds(self, run, process):
        async def main(sessions) -> None:
            session = await sessions.create({})
            await asyncio.sleep(1.0)
            await sessions.delete_all("42")
            await asyncio.sleep(1.0)
            logged_in = await sessions.rotate(session, user="42")
            assert await sessions.get(logged_in.id) is not None
            assert await sessions.save(logged_in)
            assert await sessions.get(logged_in.id) is not None

        one_process(run, process, main)

    def test_of_two_at_the_same_time_one_holds(self, run, two):
        two[0].tier.latency = two[1].tier.latency = 0.01

        async def main(one, other) -> None:
            session = await one.sessions.create({})
            found = await asyncio.gather(one.sessions.rotate(session), other.sessions.rotate(session))
            assert sorted(each is None for each in found) == [False, True]

        two_processes(run, two, main)
