"""Candidates that HypoPG lets the planner believe in, on the real tables at their real size; none is built."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from seawall.database.advisor.candidates import Candidate
from seawall.database.advisor.report import Measured
from seawall.database.advisor.trial import Plan, plan_of


class Hypothetical:
    """HypoPG on a connection. Where the extension isn't there yet, each trial makes it and rolls that back."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @classmethod
    async def of(cls, connection: Any) -> Hypothetical | None:
        """HypoPG on this connection, or None where the server or the user's rights don't allow it."""
        if not await connection.fetchval("select count(*) > 0 from pg_available_extensions where name = 'hypopg'"):
            return None
        transaction = connection.transaction()
        await transaction.start()
        try:
            await connection.execute("create extension if not exists hypopg")
        except asyncpg.PostgresError:
            return None
        finally:
            await transaction.rollback()
        return cls(connection)

    @asynccontextmanager
    async def trial(self, sql: str, candidates: Iterable[Candidate]) -> AsyncIterator[_HypotheticalTrial]:
        """A statement with candidates that are forgotten afterwards."""
        transaction = self._connection.transaction()
        await transaction.start()
        try:
            if not await self._connection.fetchval("select count(*) > 0 from pg_extension where extname = 'hypopg'"):
                await self._connection.execute("create extension hypopg")
            trial = _HypotheticalTrial(self._connection, sql)
            await trial.build(candidates)
            yield trial
            await self._connection.execute("select hypopg_reset()")
        finally:
            await transaction.rollback()


class _HypotheticalTrial:
    def __init__(self, connection: Any, sql: str) -> None:
        self._connection = connection
        self._sql = sql
        self._bytes: dict[Candidate, int] = {}
        self.candidates: tuple[Candidate, ...] = ()
        self.refused: dict[Candidate, str] = {}

    async def build(self, candidates: Iterable[Candidate]) -> None:
        for candidate in candidates:
            if candidate.method != "btree":
                self.refused[candidate] = "HypoPG knows no GIN"
                continue
            try:
                async with self._connection.transaction():
                    name = await self._create(candidate)
                    size = "select hypopg_relation_size(indexrelid) from hypopg() where indexname = $1"
                    self._bytes[candidate] = await self._connection.fetchval(size, name) or 0
            except asyncpg.PostgresError as error:
                self.refused[candidate] = str(error.args[0] if error.args else error)
        self.candidates = tuple(self._bytes)

    def bytes_of(self, candidate: Candidate) -> int:
        return self._bytes[candidate]

    async def plan(self, kept: Collection[Candidate]) -> Plan:
        await self._connection.execute("select hypopg_reset()")
        names = {await self._create(candidate): candidate for candidate in kept}
        return plan_of(json.loads(await self._connection.fetchval(f"explain (format json) {self._sql}")), names)

    async def run(self, kept: Collection[Candidate]) -> Measured | None:
        """Always None: a hypothetical index reads nothing."""
        del kept
        return None

    async def _create(self, candidate: Candidate) -> str:
        query = "select indexname from hypopg_create_index($1)"
        return str(await self._connection.fetchval(query, candidate.definition()))
