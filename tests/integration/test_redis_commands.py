"""Commands, scripts and messages over the one connection, against a real server."""

import asyncio
import time
import uuid
from functools import partial
from typing import Any

import pytest

from seawall.core import Events, OptionError, Part, Status
from seawall.redis import (
    Redis,
    RedisCommandError,
    RedisConnected,
    RedisLost,
    RedisUnavailableError,
    Script,
)
from seawall.testing import EventRecorder
from tests.integration.redis_waiting import PATIENT, run

INCREMENT = Script("return redis.call('INCRBY', KEYS[1], ARGV[1])")


@pytest.fixture
def key() -> bytes:
    return f"test:{uuid.uuid4().hex}".encode()


def test_values_come_back_as_they_went(redis_url, key):
    async def main() -> None:
        async with Redis(redis_url, **PATIENT) as redis:
            assert redis.connected
            assert isinstance(redis, Part)
            binary = bytes(range(256)) + b"\r\n$-1\r\n"
            assert await redis.get(key + binary) is None
            await redis.execute("SET", key + binary, binary, "EX", 60)
            assert await redis.get(key + binary) == binary
            await redis.execute("SET", key, b"")
            assert await redis.get(key) == b""
            await redis.execute("HSET", key + b"h", "field", 1.5, "other", 7)
            assert await redis.execute("HGETALL", key + b"h") == {b"field": b"1.5", b"other": b"7"}
            assert await redis.execute("DEL", key, key + binary, key + b"h") == 3

    run(main())


def test_five_megabytes_fit(redis_url, key):
    async def main() -> None:
        async with Redis(redis_url, timeout=0.2) as redis:
            value = b"0123456789" * 500_000
            await redis.execute("SET", key, value, "EX", 60)
            found = await asyncio.gather(*(redis.get(key) for _ in range(4)))
            assert found == [value] * 4
            await redis.execute("DEL", key)
            assert redis.generation == 0

    run(main())


def test_commands_of_one_step_travel_in_one_write(redis_url, key):
    async def main() -> None:
        async with Redis(redis_url, **PATIENT) as redis:
            before = redis.statistics()
            keys = [key + b"%d" % number for number in range(20)]
            answers = await asyncio.gather(*(redis.execute("SET", each, each, "EX", 60) for each in keys))
            assert answers in ([b"OK"] * 20, ["OK"] * 20)
            middle = redis.statistics()
            assert (middle.sent - before.sent, middle.batches - before.batches) == (20, 1)
            assert await asyncio.gather(*map(redis.get, keys)) == keys
            after = redis.statistics()
            assert (after.sent - middle.sent, after.batches - middle.batches) == (1, 1)
            assert after.in_flight == 0

    run(main())


def test_gets_and_other_commands_keep_their_order(redis_url, key):
    async def main() -> None:
        async with Redis(redis_url, **PATIENT) as redis:
            futures: list[asyncio.Future[Any]] = []
            for number in range(50):
                futures += [
                    redis.execute("SET", key, b"%d" % number, "EX", 60),
                    redis.get(key),
                    redis.get(key + b"none"),
                ]
            found = await asyncio.gather(*futures)
            assert found[1::3] == [b"%d" % number for number in range(50)]
            assert found[2::3] == [None] * 50

    run(main())


def test_ten_thousand_gets_at_once(redis_url, key):
    async def main() -> None:
        async with Redis(redis_url, **PATIENT) as redis:
            await redis.execute("SET", key, b"value", "EX", 60)

            async def get(number: int) -> bytes | None:
                return await redis.get(key if number % 2 else key + b"none")

            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(get(number)) for number in range(10_000)]
            assert [task.result() for task in tasks] == [None, b"value"] * 5000
            assert redis.generation == 0

    run(main())


def test_answers_and_messages_arrive_in_the_servers_order(redis_url, key):
    async def main() -> None:
        async with Redis(redis_url, **PATIENT) as redis:
            order: list[Any] = []

            def added(number: int, _reply: object) -> None:
                order.append(number)

            leave = redis.subscribe(key.decode(), lambda message: order.append(int(message)))
            for number in range(0, 300, 3):
                redis.execute_then(("PUBLISH", key, number), lambda _: None)
                redis.get_then(key, partial(added, number + 1))
                redis.run_then(INCREMENT, [key + b"n"], [1], partial(added, number + 2))
            await redis.execute("DEL", key + b"n")
            assert order == list(range(300))
            leave()
            await redis.execute("PUBLISH", key, "nobody hears it")
            assert len(order) == 300

    run(main())


def test_a_message_of_another_client_is_heard_before_later_answers(redis_url, key):
    """What a cache needs: a value read after a change was announced is newer than the announcement."""

    async def main() -> None:
        async with Redis(redis_url, **PATIENT) as reader, Redis(redis_url, name="writer", **PATIENT) as writer:
            announced, stale = 0, 0

            def heard(message: bytes) -> None:
                nonlocal announced
                announced = int(message)

            def read(value: Any) -> None:
                nonlocal stale
                stale += int(value or 0) < announced

            leave = reader.subscribe(key.decode(), heard)
            await reader.execute("PING")
            write = Script("redis.call('SET', KEYS[1], ARGV[1], 'EX', 60); redis.call('PUBLISH', KEYS[1], ARGV[1])")
            for number in range(1, 301):
                done = writer.run(write, [key], [number])
                while not done.done():
                    reader.get_then(key, read)
                    await asyncio.sleep(0)
            await reader.execute("PING")
            assert (announced, stale) == (300, 0)
            leave()

    run(main())


def test_a_cancelled_caller_leaves_and_nobody_gets_its_answer(redis_url, key):
    async def main() -> None:
        async with Redis(redis_url, **PATIENT) as redis:
            await redis.execute("SET", key, b"mine", "EX", 60)
            for number in range(100):
                task = asyncio.ensure_future(redis.get(key + b"none"))
                echo = asyncio.ensure_future(redis.execute("ECHO", number))
                mine = asyncio.ensure_future(redis.get(key))
                if number % 2:
                    await asyncio.sleep(0)
                task.cancel()
                echo.cancel()
                assert await mine == b"mine"
                assert task.cancelled()
            assert redis.statistics().in_flight == 0

    run(main())


def test_errors_of_the_server_have_its_code_and_no_arguments(redis_url, key):
    async def main() -> None:
        async with Redis(redis_url, **PATIENT) as redis:
            await redis.execute("SET", key, b"text", "EX", 60)
            with pytest.raises(RedisCommandError, match="WRONGTYPE") as wrong:
                await redis.execute("LPUSH", key, 1)
            assert wrong.value.server_code == "WRONGTYPE"
            with pytest.raises(RedisCommandError) as unknown:
                await redis.execute("NOSUCHCOMMAND", "secret")
            assert unknown.value.server_code == "ERR"
            assert "secret" not in repr(unknown.value) + unknown.value.message
            # Between two answers an error is nobody else's.
            good, bad, also = redis.get(key), redis.execute("LPUSH", key, 1), redis.get(key)
            assert (await good, await also) == (b"text", b"text")
            with pytest.raises(RedisCommandError):
                await bad

    run(main())


def test_a_forgotten_script_is_sent_again(redis_url, key):
    async def main() -> None:
        async with Redis(redis_url, **PATIENT) as redis:
            assert await redis.run(INCREMENT, [key], [2]) == 2
            flushed = redis.execute("SCRIPT", "FLUSH")
            # Under way while the server forgets.
            results = await asyncio.gather(*(redis.run(INCREMENT, [key], [1]) for _ in range(5)))
            await flushed
            assert results == [3, 4, 5, 6, 7]
            assert await redis.run(INCREMENT, [key], [0]) == 7
            with pytest.raises(RedisCommandError, match="compiling"):
                await redis.run(Script("nonsense("), [key])
            await redis.execute("DEL", key)

    run(main())


def test_scripts_are_loaded_with_each_connect(valkey):
    async def main() -> None:
        redis = Redis(valkey.url, **PATIENT)
        redis.register(INCREMENT)
        async with redis:
            assert await redis.execute("SCRIPT", "EXISTS", INCREMENT.sha1) == [1]

    run(main())


def test_the_servers_clock_is_known(redis_url):
    async def main() -> None:
        redis = Redis(redis_url, heartbeat=0.02, **PATIENT)
        assert redis.server_time() is None
        async with redis:
            assert redis.server_time() == pytest.approx(time.time(), abs=0.05)
            seconds, microseconds = await redis.execute("TIME")
            assert redis.server_time() == pytest.approx(int(seconds) + int(microseconds) / 1e6, abs=0.05)

    run(main())


def test_events_and_health_tell_of_the_connection(redis_url):
    async def main() -> None:
        events = Events()
        recorder = EventRecorder(events)
        async with Redis(redis_url, events=events, **PATIENT) as redis:
            health = await redis.check()
            assert (health.status, health.message[:8]) == (Status.HEALTHY, "Redis at")
        assert [type(event) for event in recorder.events] == [RedisConnected, RedisLost]
        with pytest.raises(RedisUnavailableError, match="it was closed"):
            redis.get(b"key")
        assert (await redis.check()).status is Status.DEGRADED

    run(main())


def test_it_can_be_entered_again_but_not_twice(redis_url, key):
    async def main() -> None:
        redis = Redis(redis_url, **PATIENT)
        with pytest.raises(RuntimeError, match="async with"):
            redis.get(key)
        for _ in range(2):
            async with redis:
                assert await redis.get(key) is None
                with pytest.raises(RuntimeError, match="entered already"):
                    await redis.__aenter__()
        assert redis.generation == 2

    run(main())


def test_another_event_loop_is_refused(redis_url, key):
    async def elsewhere(redis: Redis) -> None:
        for call in (lambda: redis.get(key), lambda: redis.execute("PING"), lambda: redis.run(INCREMENT, [key], [1])):
            with pytest.raises(RuntimeError, match="belongs to another event loop"):
                call()

    async def main() -> None:
        async with Redis(redis_url, **PATIENT) as redis:
            await asyncio.to_thread(asyncio.run, elsewhere(redis))
            assert await redis.get(key) is None

    run(main())


def test_closing_fails_what_is_under_way(redis_url, key):
    async def main() -> None:
        async with Redis(redis_url, **PATIENT) as redis:
            pending = [redis.get(key), redis.execute("PING")]
            heard: list[Any] = []
            redis.get_then(key, heard.append)
        for each in pending:
            with pytest.raises(RedisUnavailableError, match="it was closed"):
                await each
        assert isinstance(heard[0], RedisUnavailableError)

    run(main())


def test_a_listener_that_raises_harms_nobody(redis_url, key, caplog):
    async def main() -> None:
        async with Redis(redis_url, **PATIENT) as redis:
            heard: list[bytes] = []
            leave = [
                redis.subscribe(key.decode(), lambda message: 1 / 0),
                redis.subscribe(key.decode(), heard.append),
                redis.watch(lambda: 1 / 0, lambda error: 1 / 0),
            ]
            assert await redis.execute("PUBLISH", key, "message") == 1
            assert heard == [b"message"]
            for each in leave:
                each()
                each()

    run(main())
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1",
        "redis://127.0.0.1:port/0",
        "redis://user:sesame@127.0.0.1:99999999/0",
        "redis://:se/same@127.0.0.1:6379/0",
        "redis://:sesame@127.0.0.1:6379/zero",
        "redis://127.0.0.1/0?password=sesame&nonsense=1",
        "redis://127.0.0.1/0?socket_timeout=sesame",
        "redis:/127.0.0.1",
        "",
        7,
    ],
)
def test_a_malformed_url_is_refused_without_its_password(url):
    with pytest.raises(OptionError) as refused:
        Redis(url)
    assert "sesame" not in str(refused.value)
    assert "same@" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("option", ["timeout", "heartbeat", "connect_timeout"])
def test_impossible_durations_are_refused(option):
    with pytest.raises(OptionError, match=option):
        Redis(**{option: 0})  # type: ignore[arg-type]
