"""Which names are a secret's: what goes by one is told to no log, no caller, no trace."""

from __future__ import annotations

import re
from functools import lru_cache

_SECRET = re.compile(
    r"pass ?(word|wd|phrase|code)|secret|authori[sz]ation|cookie|(api|access|private) ?key|credential|signature"
    r"|session ?id|\b(cards?|pw|pwd|cvc|cvv|iban|ssn|pin|otp|dsn)\d*\b|\b(auth|pass)$"
    r"|token\d*\b(?! (count|limit|budget|usage|cost|price|rate|type)s?\b)"
    r"|\b(access|auth|bearer|csrf|id|refresh|reset|session) ?tokens\b"
)


@lru_cache(4_096)
def names_secret(name: str) -> bool:
    """Whether `name` is a secret's, however it is spelled: `apiKey`, `X-Api-Key` and `api_key` are one name."""
    return _SECRET.search(re.sub(r"[\W_]+", " ", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)).lower()) is not None
