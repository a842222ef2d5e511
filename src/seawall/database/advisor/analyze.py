"""`analyze`: one call from a database and a workload to a report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import asyncpg
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from seawall.core.options import number
from seawall.database.advisor.errors import AnalysisError
from seawall.database.advisor.postgres import Limits, PostgresAnalysis, Progress
from seawall.database.advisor.report import Report, Statement
from seawall.database.advisor.sqlite import analyze_sqlite
from seawall.database.advisor.workload import from_server

CONNECT_TIMEOUT = 10
"""Seconds until a server has to answer."""


async def analyze(
    connection_or_url: Any,
    workload: Iterable[Statement | str] | None = None,
    *,
    limit: int = 50,
    sample_rows: int = 50_000,
    timeout: float = 10.0,
    progress: Progress | None = None,
) -> Report:
    """Find the indexes and rewrites that a workload is worth, each checked before it is told.

    connection_or_url: `postgresql://…`, `sqlite:///file`, or an open asyncpg connection that nothing else uses.
    workload: the statements, as `Statement` or as text; None takes them from pg_stat_statements.
    limit: the number of statements, those with most time first.
    sample_rows: of each table, at most so many are copied. timeout: seconds that one statement may run on a copy.
    progress: called with the number done, the number of all and the statement that begins.

    Nothing of the user's is changed: candidates are built on temporary copies, which vanish with the session, or with
    HypoPG. SELECTs without volatile functions are run there. Raises `AnalysisError` where the database can't be
    reached or analysed; a statement that can't be is in the report's `skipped`. Cancelling drops the copies.
    """
    number("analyze", "limit", limit, at_least=1, at_most=10_000, integer=True)
    number("analyze", "sample_rows", sample_rows, at_least=1000, at_most=10_000_000, integer=True)
    number("analyze", "timeout", timeout, above=0, at_most=3600)
    given = (
        None if workload is None else [one if isinstance(one, Statement) else Statement(sql=one) for one in workload]
    )
    limits = Limits(sample_rows=sample_rows, timeout=timeout)
    tell = progress or _silent
    if not isinstance(connection_or_url, (str, URL)):
        return await _postgres(connection_or_url, "the connection's database", given, limit, limits, tell)
    url = _parsed(connection_or_url)
    if url.get_backend_name() == "sqlite":
        return await analyze_sqlite(url.database or "", _first(given or [], limit), tell)
    shown = url.set(drivername="postgresql", query={}).render_as_string(hide_password=True)
    connection = await _connect(url, shown)
    try:
        return await _postgres(connection, shown, given, limit, limits, tell)
    finally:
        await connection.close(timeout=5)


async def _postgres(
    connection: Any, shown: str, given: Sequence[Statement] | None, limit: int, limits: Limits, progress: Progress
) -> Report:
    try:
        workload = given if given is not None else await from_server(connection, limit)
    except asyncpg.PostgresError as error:
        raise AnalysisError(shown, f"pg_stat_statements can't be read ({error}); give statements") from None
    if workload is None:
        reason = "pg_stat_statements isn't installed, so its statements are unknown; install it or give statements"
        raise AnalysisError(shown, reason)
    analysis = PostgresAnalysis(connection, shown, limits, recorded=given is None)
    return await analysis.run(_first(workload, limit), progress)


def _first(workload: Sequence[Statement], limit: int) -> list[Statement]:
    return sorted(workload, key=lambda statement: -statement.seconds)[:limit]


def _silent(done: int, of: int, statement: str) -> None:
    del done, of, statement


def _parsed(text: str | URL) -> URL:
    try:
        url = make_url(text)
    except ArgumentError:
        raise AnalysisError(
            "the database", "the URL can't be read; it looks like postgresql://user@host/name"
        ) from None
    name = url.get_backend_name()
    if name not in {"postgresql", "postgres", "sqlite"}:
        raise AnalysisError(f"a {name} database", "PostgreSQL and SQLite can be analysed")
    return url


async def _connect(url: URL, shown: str) -> Any:
    query = {key: value for key, value in url.query.items() if isinstance(value, str)}
    plain = url.set(drivername="postgresql", query=query).render_as_string(hide_password=False)
    try:
        return await asyncpg.connect(plain, timeout=CONNECT_TIMEOUT, statement_cache_size=0)
    except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError):
        raise AnalysisError(shown, f"the server refuses user {url.username!r} with this password") from None
    except asyncpg.InvalidCatalogNameError:
        raise AnalysisError(shown, f"there is no database {url.database!r}") from None
    except (OSError, TimeoutError) as error:
        reason = "no answer" if isinstance(error, TimeoutError) else (error.strerror or "no connection")
        raise AnalysisError(shown, f"{url.host}:{url.port or 5432} can't be reached ({reason})") from None
    except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        raise AnalysisError(shown, f"the server refuses the connection ({type(error).__name__})") from None
