import asyncio
import logging
import threading
from dataclasses import dataclass

import pytest

from seawall.core import Event, Events
from seawall.testing import EventRecorder


@dataclass(frozen=True, kw_only=True)
class Opened(Event):
    name: str


@dataclass(frozen=True, kw_only=True)
class OpenedWide(Opened):
    width: int


@dataclass(frozen=True, kw_only=True)
class Closed(Event):
    pass


OPENED = Opened(name="a")


@pytest.fixture
def events() -> Events:
    return Events()


def test_listener_gets_every_event_in_order(events):
    seen: list[Event] = []
    events.subscribe(seen.append)
    events.emit(OPENED)
    events.emit(Closed())
    assert seen == [OPENED, Closed()]


def test_subscription_to_a_type_gets_its_subclasses_and_nothing_else(events):
    seen: list[Opened] = []
    events.subscribe(seen.append, to=Opened)
    wide = OpenedWide(name="b", width=3)
    for event in (OPENED, Closed(), wide):
        events.emit(event)
    assert seen == [OPENED, wide]


def test_a_raising_listener_is_logged_and_keeps_nobody_from_hearing(events, caplog):
    def broken(event: Event) -> None:
        message = "boom"
        raise ValueError(message)

    seen: list[Event] = []
    events.subscribe(broken)
    events.subscribe(seen.append)
    with caplog.at_level(logging.ERROR, logger="seawall.events"):
        events.emit(OPENED)
    assert seen == [OPENED]
    [record] = caplog.records
    assert "broken" in record.getMessage()
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ValueError)


def test_a_listener_that_reads_a_cancelled_task_does_not_cancel_the_emitter(events, caplog):
    def reads_cancelled(event: Event) -> None:
        raise asyncio.CancelledError

    events.subscribe(reads_cancelled)
    events.emit(OPENED)
    assert "reads_cancelled" in caplog.text


def test_a_listener_may_stop_the_process(events):
    def interrupted(event: Event) -> None:
        raise KeyboardInterrupt

    events.subscribe(interrupted)
    with pytest.raises(KeyboardInterrupt):
        events.emit(OPENED)


def test_unsubscribing_twice_is_harmless_and_ends_only_that_subscription(events):
    seen: list[Event] = []
    stop = events.subscribe(seen.append)
    events.subscribe(seen.append)
    stop()
    stop()
    events.emit(OPENED)
    assert seen == [OPENED]


def test_a_listener_may_unsubscribe_itself_while_it_hears(events):
    seen: list[Event] = []

    def once(event: Event) -> None:
        seen.append(event)
        stop()

    stop = events.subscribe(once)
    others: list[Event] = []
    events.subscribe(others.append)
    events.emit(OPENED)
    events.emit(OPENED)
    assert (len(seen), len(others)) == (1, 2)


def test_listeners_are_falsy_when_nobody_listens(events):
    stop = events.subscribe(print)
    assert events.listeners
    stop()
    assert not events.listeners


def test_a_listener_that_is_not_callable_is_refused(events):
    with pytest.raises(TypeError, match="must be callable, got 3"):
        events.subscribe(3)


@pytest.mark.usefixtures("eager_threads")
def test_no_subscription_is_lost_between_threads(events):
    def subscribe_and_leave() -> None:
        for _ in range(300):
            kept.append(events.subscribe(print))
            events.subscribe(print)()

    kept: list[object] = []
    threads = [threading.Thread(target=subscribe_and_leave) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(events.listeners) == len(kept) == 1200


def test_recorder_keeps_events_by_type_and_by_name(events):
    recorder = EventRecorder(events)
    events.emit(OPENED)
    events.emit(Closed())
    assert recorder.names == ["Opened", "Closed"]
    assert recorder.of(Opened) == [OPENED]
    recorder.clear()
    recorder.stop()
    events.emit(OPENED)
    assert recorder.events == []
