"""Conditional requests and cache directives (RFC 9110 §13, RFC 9111 §5.2): what a client has, and what it asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import blake2b

_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_DIRECTIVE = re.compile(r'([!#$%&\'*+.^_`|~\w-]+)(?:\s*=\s*("[^"]*"|[^\s,]*))?')

NOT_MODIFIED = 304
PRECONDITION_FAILED = 412


def etag_of(body: bytes) -> str:
    """The strong entity tag of `body`: the same in every process."""
    return f'"{blake2b(body, digest_size=16).hexdigest()}"'


def directives(value: str) -> dict[str, str]:
    """The directives of a Cache-Control header, in lower case; "" for those without an argument."""
    return {name.lower(): argument.strip('"') for name, argument in _DIRECTIVE.findall(value)}


def seconds(found: Mapping[str, str], directive: str) -> int | None:
    """The argument of `directive`; 0 where it is no number, which is how a stale response is said, None without it."""
    given = found.get(directive)
    if given is None:
        return None
    return int(given) if re.fullmatch(r"[0-9]{1,10}", given) else 0


def precondition(request: Mapping[bytes, bytes], etag: str | None, last_modified: str | None) -> int | None:
    """The status that answers a GET or HEAD in place of the response's, if any: RFC 9110 §13.2.2, in its order.

    request: its headers, lines of one name joined. Only for responses whose status is 2xx.
    """
    if (if_match := request.get(b"if-match")) is not None:
        if not _matches(if_match, etag, weakly=False):
            return PRECONDITION_FAILED
    elif (since := _date(request.get(b"if-unmodified-since"))) is not None:
        changed = _date(last_modified)
        if changed is not None and changed > since:
            return PRECONDITION_FAILED
    if (if_none_match := request.get(b"if-none-match")) is not None:
        return NOT_MODIFIED if _matches(if_none_match, etag, weakly=True) else None
    if (since := _date(request.get(b"if-modified-since"))) is not None:
        changed = _date(last_modified)
        if changed is not None and changed <= since:
            return NOT_MODIFIED
    return None


def _matches(header: bytes, etag: str | None, *, weakly: bool) -> bool:
    text = header.decode("latin-1").strip()
    if text == "*":
        return True
    if etag is None:
        return False
    weak, _, opaque = etag.rpartition("/")
    if weakly:
        return any(found == opaque for _, found in _TAG.findall(text))
    return not weak and any(found == opaque and not weak for weak, found in _TAG.findall(text))


def _date(value: bytes | str | None) -> datetime | None:
    """A date of HTTP; None for what is none, which RFC 9110 has ignored."""
    if value is None:
        return None
    try:
        found = parsedate_to_datetime(value.decode("latin-1") if isinstance(value, bytes) else value)
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found
