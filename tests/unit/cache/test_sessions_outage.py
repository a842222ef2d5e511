"""Sessions while the shared tier is away, what nobody gets to see of them, and their options."""

import asyncio
import json

import msgspec
import pytest

from seawall.cache import SessionStore
from seawall.core import Events, OptionError
from seawall.testing import EventRecorder
from tests.unit.cache.session_processes import Process, data_of, one_process, two_processes


class Basket(msgspec.Struct):
    items: list[str]


@pytest.fixture(params=["memory", "shared", "shared alone"])
def process(request, clock, store) -> Process:
    if request.param == "memory":
        return Process(clock)
    return Process(clock, store, memory=1000 if request.param == "shared" else 0)


@pytest.fixture
def two(clock, store) -> tuple[Process, Process]:
    return Process(clock, store), Process(clock, store)


class TestOutage:
    def test_what_is_known_goes_on_and_is_told_later(self, run, two):
        async def main(one, other) -> None:
            session = await one.sessions.create({"step": 1})
            doomed = await one.sessions.create({})
            one.tier.cut()
            session.data["step"] = 2
            assert await one.sessions.save(session)
            made = await one.sessions.create({"made": "away"})
            await one.sessions.delete(doomed.id)
            assert await data_of(one.sessions, session.id) == {"step": 2}
            assert await data_of(one.sessions, made.id) == {"made": "away"}
            assert await one.sessions.get(doomed.id) is None
            assert not await one.sessions.save(doomed)
            assert await data_of(other.sessions, session.id) == {"step": 1}
            one.tier.mend()
            await asyncio.sleep(1.0)
            for process in (one, other):
                assert await data_of(process.sessions, session.id) == {"step": 2}
                assert await data_of(process.sessions, made.id) == {"made": "away"}
                assert await process.sessions.get(doomed.id) is None

        two_processes(run, two, main)

    @pytest.mark.parametrize("end", ["delete", "delete_all", "rotate"])
    def test_one_that_ended_elsewhere_meanwhile_stays_ended(self, run, two, end):
        async def main(one, other) -> None:
            session = await one.sessions.create({}, user="42")
            one.tier.cut()
            await asyncio.sleep(1.0)
            await getattr(other.sessions, end)({"delete": session.id, "delete_all": "42", "rotate": session}[end])
            await asyncio.sleep(1.0)
            assert await one.sessions.save(session)  # it can't know
            one.tier.mend()
            await asyncio.sleep(1.0)
            for process in (one, other):
                assert await process.sessions.get(session.id) is None
                assert not await process.sessions.save(session)

        two_processes(run, two, main)

    @pytest.mark.parametrize("moment", [0.5, 1.5, 2.5])
    def test_a_delete_while_a_save_fails_stands(self, run, two, moment):
        async def main(one, other) -> None:
            session = await one.sessions.create({})
            one.tier.latency = 1.0
            saving = asyncio.create_task(one.sessions.save(session))
            await asyncio.sleep(moment)
            one.tier.cut()
            await one.sessions.delete(session.id)
            await saving
            one.tier.latency = 0.0
            one.tier.mend()
            await asyncio.sleep(1.0)
            assert await one.sessions.get(session.id) is None
            assert await other.sessions.get(session.id) is None

        two_processes(run, two, main)


class TestSecrecy:
    def test_the_id_is_nowhere_but_in_the_session(self, run, clock, store, caplog):
        events = Events()
        recorder = EventRecorder(events)
        process = Process(clock, store)
        process.cache.events = process.cache.shared.events = events

        async def main(sessions) -> None:
            session = await sessions.create({"card": "4242"}, user="42")
            for _ in range(3):
                await sessions.get(session.id)
            await sessions.save(session)
            rotated = await sessions.rotate(session)
            process.tier.cut()
            await sessions.delete(rotated.id)
            seen = repr(
                [
                    session, rotated, sessions, process.cache, recorder.events, caplog.text, list(store.records),
                    list(process.cache.memory.nodes), process.cache.recommendations(),
                    json.dumps(process.cache.statistics().as_dict()), process.cache.shared.journal.take(),
                ]
            )  # fmt: skip
            assert "session:" in seen
            for secret in (session.id, rotated.id):
                assert secret not in seen
            assert "4242" not in repr(session)

        one_process(run, process, main)

    def test_ids_are_long_and_differ(self, run, process):
        async def main(sessions) -> None:
            ids = {(await sessions.create({})).id for _ in range(100)}
            assert len(ids) == 100
            assert min(map(len, ids)) == 43  # 256 bits

        one_process(run, process, main)


class TestOptions:
    def test_data_of_a_type(self, run, clock, store):
        async def main(one, other) -> None:
            made = await one.sessions.create(Basket(["coffee"]))
            assert await data_of(other.sessions, made.id) == Basket(["coffee"])

        two_processes(run, (Process(clock, store, type=Basket), Process(clock, store, type=Basket)), main)

    def test_times_of_its_own(self, run, clock):
        async def main(sessions) -> None:
            session = await sessions.create({})
            for _ in range(5):
                await asyncio.sleep(9)
                assert await sessions.get(session.id) is not None
            await asyncio.sleep(5)
            assert await sessions.get(session.id) is None

        one_process(run, Process(clock, idle=10, absolute=50), main)

    @pytest.mark.parametrize("options", [{"idle": 0}, {"absolute": -1}, {"namespace": ""}, {"namespace": "a:b"}])
    def test_impossible_ones_are_refused(self, clock, options):
        with pytest.raises(OptionError):
            Process(clock, **options)

    def test_a_namespace_that_is_another_category_is_refused(self, clock):
        process = Process(clock)
        SessionStore(process.cache)  # the same again is fine
        with pytest.raises(OptionError, match="no other category"):
            SessionStore(process.cache, idle=10.0)

    def test_they_count_in_a_category_of_their_own(self, run, process):
        async def main(sessions) -> None:
            session = await sessions.create({})
            await sessions.get(session.id)
            await sessions.get("nobody")
            (template,) = sessions.cache.statistics().templates
            assert (template.category, template.template) == ("session", "session:*")
            assert (template.requests, template.misses, template.writes) == (2, 1, 1)

        one_process(run, process, main)
