"""Every tricky statement, classified and then run on a real primary and a real standby."""

import asyncio
import json
import re
from typing import Any

import asyncpg
import pytest

from seawall.database.classifier import Classifier
from seawall.database.statements import StatementClass
from tests.integration.tricky_statements import FIRST, SCHEMA, STATEMENTS

CODES = {
    "R": StatementClass.READ,
    "T": StatementClass.TRANSACTION,
    "W": StatementClass.WRITE,
    "w": StatementClass.WRITE,
    "S": StatementClass.SESSION,
}
TABLE = [(line[0], line[2:]) for line in STATEMENTS.splitlines() if line and not line.startswith("--")]
SEQUENCES = ("app.s", "app.op_s")
UNFIT = ("pg_promote", "pg_terminate", "checkpoint", "from stdin", "to program", "/tmp/x", "logical_replication_slot")
"""What they do doesn't end with a transaction."""

ALWAYS_ANOTHER = re.compile(r"explain|pg_get_viewdef")
"""Results that are not compared."""

ONE_SERVERS = re.compile(
    r"setting|pg_stat|prepared_|temp_schema|size|dir|file|secured|foreign_table|txid|reload|constraints|last_value"
    r"|from m for update|query_execute|origin_oid"
)
"""Writes although both servers gave the same answer, because they need not."""

STATE = f"""
select jsonb_build_object(
  'xid', pg_current_xact_id_if_assigned()::text,
  'settings', (select md5(string_agg(name || coalesce(setting, ''), ',' order by name)) from pg_settings
    where name not in ('transaction_isolation', 'transaction_read_only') and name not like '%.%'),
  'custom', coalesce(current_setting('app.x', true), '') || coalesce(current_setting('app.tenant', true), ''),
  'locks', (select count(*) from pg_locks where pid = pg_backend_pid()
    and (locktype = 'advisory' or mode not in ('AccessShareLock', 'ExclusiveLock'))),
  'sequences', array[{", ".join(f"(select last_value::text || is_called from {name})" for name in SEQUENCES)}],
  'listening', array(select pg_listening_channels()), 'slots', (select count(*) from pg_replication_slots),
  'prepared', (select count(*) from pg_prepared_statements where from_sql),
  'cursors', (select count(*) from pg_cursors where name <> ''))
"""


@pytest.fixture(scope="module")
def servers(cluster):
    primary, standby = cluster.primary, cluster.replicas[0]
    primary.psql("alter role postgres set search_path = app, public")
    primary.psql(FIRST)
    primary.psql(SCHEMA.replace("create schema app;", ""))
    target = primary.psql("select pg_current_wal_lsn()")
    while standby.psql(f"select pg_last_wal_replay_lsn() >= '{target}'") != "t":
        pass
    return primary, standby


@pytest.fixture(scope="module")
def classifier(servers):
    async def load() -> Classifier:
        connection = await asyncpg.connect(servers[1].url)
        made = Classifier()
        await made.load(connection.fetch)
        await connection.close()
        return made

    return asyncio.run(load())


def arguments(sql: str) -> list[Any]:
    if "$2::VARCHAR[]" in sql:
        return [1, ["n1"]]
    return [1, 2] if "$2" in sql else [True] if re.search(r"\$\d", sql) else []


async def run(server: Any, connection: asyncpg.Connection, sql: str) -> tuple[str | None, Any, bool]:
    """The error's code, the result, and whether the server or session was changed."""
    if sql.startswith("copy") and "stdin" not in sql:
        try:
            return None, server.psql(sql), False
        except RuntimeError as error:
            return str(error), None, False
    try:
        await connection.execute("begin")
        before = json.loads(await connection.fetchval(STATE))
        try:
            result: Any = str(
                await connection.execute(sql) if ";" in sql else await connection.fetch(sql, *arguments(sql))
            )
        except asyncpg.PostgresError as error:
            return error.sqlstate, None, False
        except asyncpg.InterfaceError as error:
            return str(error), None, False
        after = json.loads(await connection.fetchval(STATE))
        return None, result, before != after
    finally:
        await connection.execute("rollback")
        await connection.execute("discard all")
        await connection.execute("set statement_timeout = '3s'")


def test_every_statement_has_its_class(classifier):
    wrong = [f"{sql}: {kind}" for code, sql in TABLE if (kind := classifier.classify(sql)) is not CODES[code]]
    assert wrong == []


def test_reads_give_the_same_answer_on_a_standby_and_change_nothing_and_few_others_would_have(servers, classifier):
    primary, standby = servers

    async def scenario() -> tuple[list[str], list[str]]:
        dangerous, needless = [], []
        on_primary, on_standby = [await asyncpg.connect(server.url, statement_cache_size=0) for server in servers]
        for code, sql in TABLE:
            if any(word in sql for word in UNFIT):
                continue
            kind = classifier.classify(sql)
            error, answer, changed = await run(primary, on_primary, sql)
            refused, other_answer, _ = await run(standby, on_standby, sql)
            differs = answer != other_answer and not ALWAYS_ANOTHER.search(sql)
            fine = error is None and refused is None and not differs and not changed
            if kind is StatementClass.READ and not fine:  # all reads of the table work on the primary
                dangerous.append(f"{sql}: {error} {refused} {changed} {answer} / {other_answer}")
            if code == "W" and fine and not ONE_SERVERS.search(sql):
                needless.append(sql)
        on_primary.terminate()
        on_standby.terminate()
        return dangerous, needless

    dangerous, needless = asyncio.run(scenario())
    assert dangerous == []
    assert needless == []


def test_what_is_made_later_is_unknown_until_the_catalogue_is_loaded_again(servers, classifier):
    primary, _ = servers
    primary.psql("create function app.later() returns int language sql immutable as 'select 1'")
    assert classifier.classify("select app.later()") is StatementClass.WRITE
    assert classifier.unknown

    async def load() -> None:
        connection = await asyncpg.connect(primary.url)
        await classifier.load(connection.fetch)
        await connection.close()

    asyncio.run(load())
    assert classifier.unknown == 0
    assert classifier.classify("select app.later()") is StatementClass.READ
    before = classifier.catalogue
    asyncio.run(load())
    assert classifier.catalogue is before  # nothing is new, so nothing need be judged again
