"""What a statement is to a router, and what statements that differ in values alone have in common."""

from __future__ import annotations

import enum
import hashlib
import re
from functools import lru_cache

from seawall.core import MissingExtraError

try:
    import postgast
except ImportError:
    raise MissingExtraError("seawall.database", "postgast", "database") from None

REMEMBERED = 4_096
"""Texts whose fingerprint, and whose normalized form, is kept."""

_LITERAL = re.compile(
    r"""(?:\b[eEbBxXnN]|\b[uU]&)?'(?:[^'\\]|\\.|'')*(?:'|$) | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?(?:\$(?P=tag)\$|$)""",
    re.VERBOSE | re.DOTALL,
)
_NUMBER = re.compile(r"(?<![\w$.])\d[\w.]*")


class StatementClass(enum.Enum):
    """Where a statement may run and what it leaves behind. What is unknown is a WRITE."""

    READ = "read"
    """Gives the same answer on a replica that has the data, and changes nothing."""

    TRANSACTION = "transaction"
    """Begins, ends or sets up a transaction: BEGIN, COMMIT, SAVEPOINT, SET TRANSACTION."""

    WRITE = "write"
    """Must run on the primary."""

    SESSION = "session"
    """Must run on the primary and leaves state on its connection: SET, LISTEN, PREPARE, temporary tables, locks."""


@lru_cache(REMEMBERED)
def fingerprint(sql: str) -> str:
    """16 hexadecimal digits that statements of one shape share, whatever their values, spaces and comments.

    Lists of values of any length share it, and so do tables whose names differ in digits (`events_2025`,
    `events_2026`), so it identifies what to count together and never what is safe. SQL that can't be parsed has one
    from its masked text. Source: libpg_query.
    """
    try:
        return str(postgast.fingerprint(sql).hex)
    except (postgast.PgQueryError, UnicodeEncodeError):
        text = " ".join(normalize(sql).split())
        return hashlib.blake2b(text.encode(errors="replace"), digest_size=8).hexdigest()


@lru_cache(REMEMBERED)
def normalize(sql: str) -> str:
    """The text with every value replaced: by `$1`, `$2` …, or `?` where SQL takes no parameter or can't be parsed."""
    try:
        text = str(postgast.normalize(sql))
    except (postgast.PgQueryError, UnicodeEncodeError):
        return _NUMBER.sub("?", _LITERAL.sub("?", sql))
    return _LITERAL.sub("?", text)
