"""Starts, for a scenario, a child for each contender, and the sink they all send to."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.children import Child, ChildError
from bench.measure import describe
from bench.model import Row
from bench.registry import Peer
from bench.requests_shape import Place
from bench.run import Run

READY = 90.0
"""Seconds in which a contender has loaded its libraries and shown what it does, all of them starting at once."""
SERVER_CORE, LOAD_CORE = 0, 1


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A contender that runs. told: what it said when it was ready."""

    peer: Peer
    child: Child
    place: Place
    told: Any


@contextmanager
def sinking(folder: Path) -> Iterator[str]:
    """The URL of a server that takes whatever is sent to it, for the length of a block."""
    with Child("bench.sink", folder=folder / "sink", core=LOAD_CORE) as child:
        yield f"http://127.0.0.1:{child.answer(READY)}"


@contextmanager
def layers(
    bench: Run,
    ability: str,
    module: str,
    *,
    core: int | None = None,
) -> Iterator[tuple[list[Layer], list[Row]]]:
    """Every contender that offers `ability`, each in a child that runs `module`; and a row for each that has none."""
    rows, starting, ready = list[Row](), list[tuple[Peer, Child, Place]](), list[Layer]()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True)))
        sink = stack.enter_context(sinking(folder))
        for peer in bench.peers:
            if (row := unavailable(peer, ability)) is not None:
                rows.append(row)
                continue
            slug = peer.path.rpartition(".")[2]
            place = Place(folder=folder / slug, sink=f"{sink}/{slug}")
            arguments = (peer.path, str(place.folder), place.sink)
            child = Child(module, *arguments, folder=place.folder, core=core)
            starting.append((peer, stack.enter_context(child), place))
        for peer, child, place in starting:
            try:
                ready.append(Layer(peer=peer, child=child, place=place, told=child.answer(READY)))
            except ChildError as error:
                rows.append(Row(name=peer.name, failed=str(error)))
        yield ready, rows


def unavailable(peer: Peer, ability: str) -> Row | None:
    """The row of a contender that can't take part; None for one that can."""
    if peer.broken:
        return Row(name=peer.name, failed=peer.broken)
    if peer.offer(ability) is None:
        return Row(name=peer.name, absent=peer.reason(ability), reference=peer.reference)
    return None


def failed(peer: Peer, error: BaseException) -> Row:
    """The row of one that gave up."""
    return Row(name=peer.name, failed=str(error) if isinstance(error, ChildError) else describe(error))
