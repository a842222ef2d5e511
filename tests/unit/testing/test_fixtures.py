"""Rows from files, in a real SQLite database."""

import asyncio
import json
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from seawall.core import OptionError
from seawall.database import Database
from seawall.testing.fixtures import Fixtures


def write(folder: Path, **files: object) -> Fixtures:
    for name, content in files.items():
        (folder / f"{name}.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return Fixtures(folder)


def load(fixtures: Fixtures, folder: Path, *names: str) -> tuple[dict[str, int], int]:
    async def main() -> tuple[dict[str, int], int]:
        async with Database(f"sqlite:///{folder}/test.db") as database:
            await database.fetch("CREATE TABLE IF NOT EXISTS people (id integer PRIMARY KEY, name text NOT NULL)")
            try:
                return await fixtures.load(database, *names), 0
            finally:
                [row] = await database.fetch("SELECT count(*) AS n FROM people")
                counted.append(row["n"])

    counted: list[int] = []
    loaded, _ = asyncio.run(main())
    return loaded, counted[0]


def test_rows_are_loaded_by_name_or_all(tmp_path):
    fixtures = write(tmp_path, a={"people": [{"id": 1, "name": "Ada"}]}, b={"people": [{"id": 2, "name": "Bob"}]})
    assert fixtures.names == ("a", "b")
    assert load(fixtures, tmp_path, "b") == ({"people": 1}, 1)
    assert load(fixtures, tmp_path, "a") == ({"people": 1}, 2)


def test_all_or_none(tmp_path):
    fixtures = write(tmp_path, a={"people": [{"id": 1, "name": "Ada"}, {"id": 1, "name": "Twice"}]})
    with pytest.raises(IntegrityError):
        load(fixtures, tmp_path)
    with pytest.raises(IntegrityError):
        load(fixtures, tmp_path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{torn", "JSON"), ([], "an object of tables"), ({"people": {"id": 1}}, "each a list of rows"),
        ({"people; DROP TABLE people": [{"id": 1}]}, "names of tables"),
        ({"people": [{"id) --": 1}]}, "names of tables"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_are_refused(tmp_path, content, told):
    with pytest.raises(OptionError, match=told):
        load(write(tmp_path, a=content), tmp_path)


def test_names_that_are_not_there_are_told_with_those_that_are(tmp_path):
    with pytest.raises(OptionError, match="allowed: a"):
        load(write(tmp_path, a={}), tmp_path, "../secrets")
    with pytest.raises(OptionError, match="a folder"):
        Fixtures(tmp_path / "nowhere")
