"""Made-up traces of requests for the hit ratio, the same in every run: `trace(name, requests)`.

`zipf`     popularity by Zipf's law with exponent 1.0 over 50,000 keys; nothing changes.
`shifting` the same, and ten times in the run the ranks move on by a thousand: what was popular is not any more.
`web`      like the front of a site over two days: four fifths page views, by day of one population of 25,000 pages and
           by night of another (the share swings between 10 and 90 %), each Zipf with exponent 0.9, and in every one
           of the 48 hours two in a hundred ranks go to another page; a sixth one-hit wonders, keys asked for once and
           never again; and now and then a crawler, which asks for some hundred pages in order, about a twentieth.
`block`    like blocks under a database: half loops over working sets of 100 to 700 blocks, each gone round a dozen
           times and then left for another; a quarter a hot index by Zipf (exponent 1.1, 400 blocks); a quarter
           sequential scans of 1,000 to 4,000 blocks that are not read again.
"""

import math
import random
from collections.abc import Callable, Iterator
from itertools import accumulate

KEYS = 50_000
_SEED = 20_260_101
_WONDERS, _SCANS, _LOOPS = 10_000_000, 20_000_000, 30_000_000
"""Where the numbers of keys of other kinds begin."""


def trace(name: str, requests: int) -> list[int]:
    """The keys asked for, in order."""
    made = TRACES[name](random.Random(_SEED), requests)
    return made[:requests]


def _zipf(chance: random.Random, requests: int, *, exponent: float = 1.0, keys: int = KEYS) -> list[int]:
    weights = list(accumulate(1.0 / rank**exponent for rank in range(1, keys + 1)))
    return chance.choices(range(keys), cum_weights=weights, k=requests)


def _shifting(chance: random.Random, requests: int) -> list[int]:
    era = max(1, requests // 10)
    return [(rank + number // era * 1_000) % KEYS for number, rank in enumerate(_zipf(chance, requests))]


def _web(chance: random.Random, requests: int) -> list[int]:
    half, hours = KEYS // 2, 48
    ranks = _zipf(chance, requests, exponent=0.9, keys=half)
    pages = [list(range(half)), list(range(half, KEYS))]
    hour, wonder, made = max(1, requests // hours), _WONDERS, list[int]()
    turn = 0
    while (number := len(made)) < requests:
        if number >= turn * hour:
            turn += 1
            for population in pages:
                for _ in range(half // 100):
                    one, other = chance.randrange(half), chance.randrange(half)
                    population[one], population[other] = population[other], population[one]
        kind = chance.random()
        if kind < 0.0002:
            first = chance.randrange(KEYS)
            made += [(first + page) % KEYS for page in range(chance.randint(100, 400))]
        elif kind < 0.17:
            wonder += 1
            made.append(wonder)
        else:
            day = 0.5 + 0.4 * math.sin(4.0 * math.pi * number / requests)
            made.append(pages[chance.random() < day][ranks[number]])
    return made


def _block(chance: random.Random, requests: int) -> list[int]:
    index = iter(_zipf(chance, requests, exponent=1.1, keys=400))
    loops, scans = _looped(chance), _scanned(chance)
    made = list[int]()
    while len(made) < requests:
        kind = chance.random()
        source: Iterator[int] = loops if kind < 0.5 else index if kind < 0.75 else scans
        made += [block for _, block in zip(range(64), source, strict=False)]
    return made


def _looped(chance: random.Random) -> Iterator[int]:
    while True:
        first, length = _LOOPS + chance.randrange(20) * 1_000, chance.randint(100, 700)
        for _ in range(12):
            yield from range(first, first + length)


def _scanned(chance: random.Random) -> Iterator[int]:
    first = _SCANS
    while True:
        length = chance.randint(1_000, 4_000)
        yield from range(first, first + length)
        first += length


TRACES: dict[str, Callable[[random.Random, int], list[int]]] = {
    "zipf": _zipf,
    "shifting": _shifting,
    "web": _web,
    "block": _block,
}
