"""Both type checkers agree with what the files in this folder assert, and refuse what is wrong."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BESIDE_PYTHON = Path(sys.executable).parent

WRONG = """
from seawall.resilience import Pipeline, Retry, Timeout

pipeline = Pipeline("p", Timeout(9.0), Retry(on=OSError))


@pipeline
async def fetch(path: str, *, limit: int = 10) -> list[str]:
    return [path] * limit


@pipeline
def load(key: int) -> str:
    return str(key)


async def main() -> None:
    {line}
"""

LINES = [
    "await fetch(5)",
    "await fetch()",
    "await fetch('/', 10)",
    "await fetch('/', limit='many')",
    "await fetch('/', size=1)",
    "number: int = await fetch('/')",
    "load('key')",
    "text: int = load(1)",
    "await pipeline.call(fetch, 5)",
    "await pipeline.call(fetch, '/', size=1)",
    "pipeline.call(load)",
    "number: int = pipeline.call(load, 1)",
    "pipeline(5)",
    "Retry()",
    "Retry(on='OSError')",
    "Timeout('soon')",
    "Pipeline('p', 5)",
]


def checker(name: str) -> list[str]:
    path = shutil.which(name, path=str(BESIDE_PYTHON)) or shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return [path]


def check(command: list[str]) -> tuple[int, str]:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    return done.returncode, done.stdout + done.stderr


COMMANDS = {"mypy": ["--strict"], "basedpyright": []}


@pytest.mark.parametrize("name", COMMANDS)
def test_types_are_as_asserted(name: str) -> None:
    status, output = check([*checker(name), *COMMANDS[name], str(HERE / "decorated.py")])
    assert status == 0, output


@pytest.mark.parametrize("name", COMMANDS)
def test_wrong_calls_are_errors(name: str, tmp_path: Path) -> None:
    """Each wrong line in a file of its own, all checked in one run."""
    files = []
    for number, line in enumerate(LINES):
        file = tmp_path / f"wrong_{number}.py"
        file.write_text(WRONG.format(line=line))
        files.append(str(file))
    right = tmp_path / "right.py"
    right.write_text(WRONG.format(line="await fetch('/', limit=load(1).count('1'))"))
    status, output = check([*checker(name), *COMMANDS[name], *files, str(right)])
    assert status == 1, output
    unnoticed = [line for number, line in enumerate(LINES) if f"wrong_{number}.py" not in output]
    assert unnoticed == [], output
    assert "right.py" not in output
