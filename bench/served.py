"""Servers that take turns under one load, for the scenarios that need them, and how it went each time."""

import asyncio
import http.client
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.children import Child, ChildError
from bench.layers import LOAD_CORE, READY, SERVER_CORE, Layer, failed, layers
from bench.model import Row
from bench.proof import Answer, prove
from bench.requests_shape import HEADERS, Layered
from bench.run import Run

CONNECTIONS = 16
EXPECTED = '{"id":7,"name":"item 7","tags":["new","audio"]}'
_MOST = 60.0
_WARM = 300
_PATIENCE = 10.0


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a server gets at each of its turns: for so many seconds, and at most so many requests.

    rounds: so many turns after each launch of all servers.
    """

    path: str
    status: int
    rounds: Sequence[int]
    seconds: float
    most: int = 1_000_000


@dataclass
class Turns:
    """How it went for one contender, a value a turn; cpu: of the server, in seconds, for each request, all sent.

    layer, first: its last launch, and the first answer of that.
    """

    layer: Layer
    first: Answer
    bursts: list[Mapping[str, float]] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def all(self, key: str) -> list[float]:
        """One value of each turn."""
        return [burst[key] for burst in self.bursts]


@contextmanager
def _loading() -> Iterator[Child]:
    with (
        TemporaryDirectory(prefix="bench-") as folder,
        Child("bench.load", folder=Path(folder), core=LOAD_CORE) as child,
    ):
        child.answer(READY)
        yield child


async def take_turns(bench: Run, load: Load) -> tuple[list[Turns], list[Row]]:
    """Start all servers, see that each does what it claims, and load one after the other, round by round.

    One that fails is out of the run.
    """
    tick = bench.bar(sum(load.rounds))
    known, rows = dict[str, Turns](), dict[str, Row]()
    for rounds in load.rounds:
        with (
            _loading() as loader,
            layers(bench, "fastapi", "bench.server", core=SERVER_CORE) as (ready, absent),
        ):
            rows |= {row.name: row for row in absent}
            running = []
            for layer in ready:
                name = layer.peer.name
                try:
                    await prove(Layered(app=None, **layer.told["claims"]), layer.place, _client(layer).ask, EXPECTED)
                    first = await _client(layer).ask(load.path.format(7), {})
                    _burst(loader, layer, load, _WARM)
                    turns = known.setdefault(name, Turns(layer, first))
                    turns.layer, turns.first = layer, first
                    if name not in rows:
                        running.append(turns)
                except Exception as error:  # noqa: BLE001  a broken contender becomes a line in the table
                    rows[name] = failed(layer.peer, error)
            for number in range(rounds):
                shift = number % max(1, len(running))
                for turns in running[shift:] + running[:shift]:
                    child = turns.layer.child
                    try:
                        before = child.ask("cpu", within=_MOST)
                        burst = _burst(loader, turns.layer, load, load.most)
                        turns.cpu.append((child.ask("cpu", within=_MOST) - before) / burst["answers"])
                        turns.bursts.append(burst)
                    except ChildError as error:
                        rows[turns.layer.peer.name] = failed(turns.layer.peer, error)
                        running.remove(turns)
                tick()
    return [turns for name, turns in known.items() if name not in rows], list(rows.values())


def _burst(loader: Child, layer: Layer, load: Load, most: int) -> dict[str, float]:
    burst: dict[str, float] = loader.ask(
        "burst",
        port=layer.told["port"],
        path=load.path,
        status=load.status,
        connections=CONNECTIONS,
        seconds=load.seconds,
        most=most,
        within=load.seconds + _MOST,
    )
    return burst


def _client(layer: Layer) -> "_Client":
    return _Client(layer.told["port"])


class _Client:
    """Sends one request on a connection of its own."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def ask(self, path: str, headers: Mapping[str, str]) -> Answer:
        """For `prove`."""
        return await asyncio.to_thread(self._ask, path, headers)

    def _ask(self, path: str, headers: Mapping[str, str]) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_PATIENCE)
        try:
            sent = {name: value for name, value in HEADERS if name not in {"host", "accept-encoding"}}
            connection.request("GET", path, headers={**sent, **headers})
            answer = connection.getresponse()
            got = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(status=answer.status, headers=got, body=answer.read().decode())
        finally:
            connection.close()
