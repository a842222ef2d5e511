"""Rows that tests and developers begin with: JSON files of a folder, loaded into a database."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import text

from seawall.core import OptionError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?")


class DatabaseLike(Protocol):
    """What rows are put into; `seawall.database.Database` is one."""

    def session(self) -> AbstractAsyncContextManager[Any]:
        """A session that is undone where it is left without a commit."""
        ...


class Fixtures:
    """The files `<name>.json` of a folder.

        {"tenants": [{"slug": "main"}], "podcasts": [{"id": 1, "tenant": "main", "title": "Deep Sea Tales"}]}

    A file has rows by table, in an order in which foreign keys hold. Raises `OptionError` where the folder isn't there.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise OptionError("Fixtures", "folder", str(folder), "a folder")
        self._folder = folder

    @property
    def names(self) -> tuple[str, ...]:
        """Of all files, sorted."""
        return tuple(sorted(path.stem for path in self._folder.glob("*.json")))

    async def load(self, database: DatabaseLike, *names: str) -> dict[str, int]:
        """Insert the rows of these files (default: all), all of them or none. Returns how many by table.

        Raises `OptionError` for a name or a file that can't be, and what the database raises.
        """
        found: dict[str, int] = {}
        async with database.session() as session:
            for name in names or self.names:
                for table, rows in self._read(name).items():
                    for row in rows:
                        columns = [_checked(name, column) for column in row]
                        values = ", ".join(f":{column}" for column in columns)
                        statement = f"INSERT INTO {_checked(name, table)} ({', '.join(columns)}) VALUES ({values})"  # noqa: S608
                        await session.execute(text(statement), row)
                    found[table] = found.get(table, 0) + len(rows)
            await session.commit()
        return found

    def _read(self, name: str) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        path = self._folder / f"{name}.json"
        if name not in self.names:
            raise OptionError("Fixtures.load", "name", name, ", ".join(self.names) or "none; the folder is empty")
        try:
            tables: Any = json.loads(path.read_text())
        except ValueError as error:
            raise OptionError("Fixtures.load", "file", path.name, f"JSON ({error})") from error
        if not isinstance(tables, dict) or not all(
            isinstance(rows, list) and all(isinstance(row, dict) for row in rows) for rows in tables.values()
        ):
            raise OptionError("Fixtures.load", "file", path.name, "an object of tables, each a list of rows")
        return tables


def _checked(name: str, word: str) -> str:
    if not _NAME.fullmatch(word):
        raise OptionError("Fixtures.load", f"name in {name}.json", word, "names of tables and columns")
    return word
