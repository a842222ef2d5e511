"""What a caller notices when the server is killed, stopped, reset, refused or late, and how soon it is over."""

import asyncio
import statistics
import time
from typing import Any

import pytest

from seawall.core import Events, Status
from seawall.redis import (
    Redis,
    RedisConnected,
    RedisLost,
    RedisTimeoutError,
    RedisUnavailableError,
    Script,
)
from seawall.testing import EventRecorder, FaultProxy, Hang, Latency
from seawall.testing.valkey import Valkey
from tests.integration.redis_waiting import PATIENT, Lag, Ups, run


def test_a_killed_server_fails_calls_at_once_and_comes_back(valkey):
    async def main() -> None:
        events = Events()
        recorder = EventRecorder(events)
        redis = Redis(valkey.url, events=events, **PATIENT)
        ups = Ups(redis)
        heard: list[bytes] = []
        script = Script("return redis.call('INCR', KEYS[1])")
        redis.subscribe("channel", heard.append)
        async with redis:
            assert await redis.run(script, ["key"]) == 1
            valkey.kill()
            await ups.lost()
            assert redis.generation == 1
            with pytest.raises(RedisUnavailableError, match=f"127.0.0.1:{valkey.port}"):
                redis.get(b"key")
            assert (await redis.check()).status is Status.DEGRADED
            valkey.start()
            await ups.connected()
            # Scripts and subscriptions are there again.
            assert await redis.execute("SCRIPT", "EXISTS", script.sha1) == [1]
            assert await redis.execute("PUBLISH", "channel", "back") == 1
            assert heard == [b"back"]
            assert (await redis.check()).status is Status.HEALTHY
            assert recorder.names == ["RedisConnected", "RedisLost", "RedisConnected"]
            assert recorder.of(RedisConnected)[1].generation == 1
            assert recorder.of(RedisLost)[0].address == f"127.0.0.1:{valkey.port}"
            assert (redis.statistics().reconnects, redis.statistics().lost) == (1, 1)

    run(main())


def test_a_black_hole_costs_50_ms_once_and_nothing_after(valkey):
    async def fall(redis: Redis) -> tuple[float, float]:
        """The 99th percentile of those who were waiting, and of those who came later."""
        waits: list[float] = []

        async def reader() -> None:
            while redis.connected:
                began = time.perf_counter()
                try:
                    await redis.get(b"key")
                except RedisTimeoutError:
                    waits.append(time.perf_counter() - began)

        readers = [asyncio.create_task(reader()) for _ in range(100)]
        for _ in range(20):
            await asyncio.sleep(0)
        valkey.pause()
        await asyncio.gather(*readers)
        assert 1 < len(waits) <= 100
        refused: list[float] = []
        for _ in range(1000):
            began = time.perf_counter()
            with pytest.raises(RedisUnavailableError, match="no answer within 0.04 s"):
                redis.get(b"key")
            refused.append(time.perf_counter() - began)
        return statistics.quantiles(waits, n=100)[98], statistics.quantiles(refused, n=100)[98]

    async def main() -> None:
        redis = Redis(valkey.url)
        ups = Ups(redis)
        async with redis:
            found: list[tuple[float, float]] = []
            back: list[float] = []
            for _ in range(5):  # the best of them: a busy machine adds, and never takes away
                await ups.connected()
                async with Lag() as lag:
                    waited, refused = await fall(redis)
                found.append((waited - lag.worst, refused))
                valkey.resume()
                resumed = time.perf_counter()
                await ups.connected()
                back.append(time.perf_counter() - resumed)
            waited, refused = map(min, zip(*found, strict=True))
            assert waited < 0.05
            assert refused < 0.001
            assert min(back) < 1.0

    run(main())


def test_while_the_server_hangs_no_call_ever_waits(valkey):
    """Connections to a stopped server are accepted by its kernel; the greeting is what hangs."""

    async def main() -> None:
        redis = Redis(valkey.url, connect_timeout=0.1)
        ups = Ups(redis)
        async with redis, Lag() as lag:
            valkey.pause()
            await ups.lost()
            worst = 0.0
            assert redis.generation == 0, "a silent server may speak again, and then nothing was lost"
            while redis.generation == 0 or worst == 0.0:
                began = time.perf_counter()
                with pytest.raises(RedisUnavailableError):
                    await redis.get(b"key")
                worst = max(worst, time.perf_counter() - began)
                await asyncio.sleep(0.01)
            assert worst < 0.01 + lag.worst
            valkey.resume()
            await ups.connected()

    run(main())


def test_an_idle_connection_that_fell_silent_is_noticed(valkey):
    async def main() -> None:
        redis = Redis(valkey.url, heartbeat=0.1)
        ups = Ups(redis)
        async with redis, Lag() as lag:
            valkey.pause()
            began = time.perf_counter()
            await ups.lost()
            assert time.perf_counter() - began < 0.1 + 0.05 + 2 * lag.worst  # heartbeat, and timeout
            assert isinstance(ups.errors[0], RedisTimeoutError)
            valkey.resume()
            await ups.connected()
            assert ups.ups == 2

    run(main())


def test_a_loop_that_stood_still_blames_nobody(valkey):
    async def main() -> None:
        async with Redis(valkey.url) as redis:
            await redis.execute("SET", "key", "value")
            for _ in range(3):
                answers = [asyncio.ensure_future(redis.get(b"key")) for _ in range(10)]
                await asyncio.sleep(0)
                time.sleep(0.2)  # noqa: ASYNC251 - that is the fault
                assert await asyncio.gather(*answers) == [b"value"] * 10
                # And where it stands still before the command is written.
                answer = redis.get(b"key")
                time.sleep(0.1)  # noqa: ASYNC251
                assert await answer == b"value"
            assert redis.generation == 0

    run(main())


def test_an_answer_that_arrives_piece_by_piece_is_no_silence(valkey):
    async def main() -> None:
        url = valkey.url
        async with Redis(url, timeout=1.0) as writer:
            await writer.execute("SET", "big", b"x" * 3_000_000)
        async with FaultProxy("127.0.0.1", valkey.port) as proxy:
            redis = Redis(f"redis://127.0.0.1:{proxy.port}/0", timeout=0.4)
            async with redis:
                # 46 pieces of 64 KB, each 12 ms late: longer than the timeout.
                proxy.fault = Latency(0.012)
                began = time.perf_counter()
                assert len(await redis.get(b"big") or b"") == 3_000_000
                assert time.perf_counter() - began > 0.4
                assert redis.generation == 0

    run(main())


def test_a_loss_is_told_before_those_who_wait_hear_of_it(valkey):
    async def main() -> None:
        redis = Redis(valkey.url, **PATIENT)
        order: list[Any] = []
        redis.watch(lambda: order.append("up"), lambda error: order.append(type(error)))
        async with redis:
            assert order == ["up"]
            ups = Ups(redis)

            async def reader() -> None:
                try:
                    await redis.execute("BLPOP", "nothing", 0)
                except RedisUnavailableError:
                    order.append(("task", redis.connected, redis.generation))

            task = asyncio.create_task(reader())
            await asyncio.sleep(0)
            redis.execute_then(("PING",), order.append)
            valkey.kill()
            await task
            assert order[1] is RedisUnavailableError
            assert isinstance(order[2], RedisUnavailableError)
            assert order[3] == ("task", False, 1)
            valkey.start()
            await ups.connected()
            assert order[4:] == ["up"]

    run(main())


def test_resets_and_refusals_are_survived(valkey):
    async def main() -> None:
        async with FaultProxy("127.0.0.1", valkey.port) as proxy:
            redis = Redis(f"redis://127.0.0.1:{proxy.port}/0", **PATIENT)
            ups = Ups(redis)
            async with redis:
                for number in range(1, 6):
                    pending = redis.execute("BLPOP", "nothing", 0)
                    await asyncio.sleep(0)
                    proxy.cut(reset=True)
                    with pytest.raises(RedisUnavailableError):
                        await pending
                    await ups.connected()
                    assert redis.generation == number
                await proxy.refuse()
                await ups.lost()
                with pytest.raises(RedisUnavailableError):
                    redis.get(b"key")
                await proxy.accept()
                await ups.connected()
                assert await redis.get(b"key") is None

    run(main())


def test_a_network_that_swallows_everything_is_noticed(valkey):
    async def main() -> None:
        async with FaultProxy("127.0.0.1", valkey.port) as proxy:
            redis = Redis(f"redis://127.0.0.1:{proxy.port}/0")
            ups = Ups(redis)
            async with redis:
                proxy.fault = Hang()
                with pytest.raises(RedisTimeoutError):
                    await redis.get(b"key")
                proxy.fault = None
                await ups.connected()

    run(main())


def test_it_starts_without_a_server_and_connects_later(valkey):
    valkey.kill()

    async def main() -> None:
        redis = Redis(valkey.url)
        ups = Ups(redis)
        began = time.perf_counter()
        async with redis:
            assert time.perf_counter() - began < 0.1
            assert not redis.connected
            assert (await redis.check()).status is Status.DEGRADED
            with pytest.raises(RedisUnavailableError, match="refused|Connect call failed"):
                redis.get(b"key")
            valkey.start()
            await ups.connected()
            assert await redis.get(b"key") is None
            assert redis.generation == 0

    run(main())


def test_commands_issued_while_it_starts_wait_for_the_first_connection(valkey):
    async def main() -> None:
        redis = Redis(valkey.url, **PATIENT)
        starting = asyncio.create_task(redis.__aenter__())
        await asyncio.sleep(0)
        assert not redis.connected
        pending = [redis.execute("SET", "key", "value"), redis.get(b"key")]
        assert (await asyncio.gather(*pending))[1] == b"value"
        await starting
        await redis.__aexit__(None, None, None)

    run(main())


def test_they_wait_no_longer_than_the_timeout(valkey):
    valkey.pause()

    async def main() -> None:
        redis = Redis(valkey.url, connect_timeout=1.0)
        starting = asyncio.create_task(redis.__aenter__())
        await asyncio.sleep(0)
        began = time.perf_counter()
        with pytest.raises(RedisUnavailableError, match="not connected yet"):
            await redis.get(b"key")
        assert 0.03 < time.perf_counter() - began < 0.5
        with pytest.raises(RedisUnavailableError):
            redis.get(b"key")
        await starting
        assert not redis.connected
        await redis.__aexit__(None, None, None)

    run(main())
    valkey.resume()


def test_a_start_that_is_cancelled_leaves_nothing(valkey):
    valkey.pause()

    async def main() -> None:
        redis = Redis(valkey.url)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02), redis:
                pass
        async with asyncio.timeout(1):
            await redis.__aexit__(None, None, None)

    run(main())
    valkey.resume()


def test_a_wrong_password_is_told_and_never_shown(make_valkey):
    valkey: Valkey = make_valkey(config={"requirepass": "sesame"})

    async def main() -> None:
        async with Redis(valkey.url, **PATIENT) as redis:
            assert redis.connected
            assert "sesame" not in repr(redis) + repr(redis._address) + (await redis.check()).message
        for url in (valkey.url.replace("sesame", "open-sesame"), valkey.url.replace(":sesame@", "")):
            async with Redis(url, **PATIENT) as redis:
                health = await redis.check()
                assert health.status is Status.DEGRADED
                assert "password" in health.message or "Authentication" in health.message
                with pytest.raises(RedisUnavailableError) as refused:
                    redis.get(b"key")
                assert "sesame" not in health.message + repr(refused.value) + str(refused.value) + repr(redis)

    run(main())


def test_a_user_without_the_channel_never_counts_as_connected(make_valkey):
    """A subscription that the server refuses would lose messages in silence."""
    valkey: Valkey = make_valkey(config={"user": ["guest on nopass ~* +@all resetchannels"]})

    async def main() -> None:
        redis = Redis(valkey.url.replace("redis://", "redis://guest:any@"), **PATIENT)
        redis.subscribe("channel", lambda _: None)
        async with redis:
            assert not redis.connected
            assert "NOPERM" in (await redis.check()).message

    run(main())


def test_losses_that_nobody_awaits_are_no_noise(valkey, caplog):
    async def main() -> None:
        redis = Redis(valkey.url, **PATIENT)
        ups = Ups(redis)
        async with redis:
            redis.execute("BLPOP", "nothing", 0)
            redis.get(b"key")
            await asyncio.sleep(0)
            valkey.kill()
            await ups.lost()

    run(main())
    assert not caplog.records


def test_a_server_that_was_late_goes_on_with_the_same_connection(valkey):
    """Its late answers go to nobody, later ones to whom they belong, and messages sent meanwhile are heard in order."""

    async def main() -> None:
        redis = Redis(valkey.url)
        other = Redis(valkey.url, name="other", timeout=5.0)
        ups = Ups(redis)
        heard: list[bytes] = []
        redis.subscribe("channel", heard.append)
        async with redis, other:
            await redis.execute("SET", "key", "value")
            valkey.pause()
            publish = other.execute("PUBLISH", "channel", "message")
            late = [redis.get(b"key") for _ in range(5)] + [redis.execute("SET", f"late:{n}", n) for n in range(5)]
            results = await asyncio.gather(*late, return_exceptions=True)
            assert {type(result) for result in results} == {RedisTimeoutError}
            assert not redis.connected
            valkey.resume()
            await ups.connected()
            assert redis.generation == 0
            answers = await asyncio.gather(redis.get(b"key"), redis.execute("ECHO", "a"), redis.get(b"late:3"))
            assert tuple(answers) == (b"value", b"a", b"3")
            await publish
            await redis.execute("PING")
            assert heard == [b"message"]
            assert redis.statistics().reconnects == 0

    run(main())
