"""From a template and a call's arguments to a key, and from a key to what is sent to Redis.

    key = KeyTemplate("podcasts:{tenant_id}", inspect.signature(podcasts), ignore=("session",))
    key.of(42, session)  # "podcasts:42"

Equal arguments give the same key however they are passed; different arguments never do, for strings are escaped and
fields stand apart (`identity.py` says what is equal).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from hashlib import blake2b
from inspect import Parameter, Signature
from keyword import iskeyword
from string import Formatter
from typing import Any

from seawall.cache.errors import UnstableKeyError
from seawall.cache.identity import NoIdentityError, encoded, escaped, percent, text
from seawall.core import OptionError

__all__ = ["KeyTemplate", "storage_key", "text"]

_FIELD = re.compile(r"([^\W\d]\w*)((?:\.[^\W\d]\w*|\[[^\[\]{}]+\])*)")
_ATTRIBUTE = re.compile(r"\.(\w+)")
_STEP = re.compile(r"\.(\w+)|\[([^\]]+)\]")
_LITERAL = re.compile(r"[{}\s\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_SEPARATORS = frozenset("!\"#$&'*+-./;?@\\^_`|~")
"""Punctuation that a template may put between fields instead of a colon: escaped in the texts of its fields then."""


class KeyTemplate:
    """Makes keys of one function's arguments: `KeyTemplate("podcasts:{tenant_id}", signature)`.

    A field is a parameter, or an attribute or element of one: `{user.id}`, `{ids[0]}`. Every parameter must be in
    the template or in `ignore`, also `self`: one that is forgotten would answer one caller with another's value.
    Without `template` there is one of `name` and every parameter not ignored. Without `parameters` (a signature) the
    fields' own names are, in their order. Between two fields stands a colon or other punctuation.

    Raises `OptionError` for a template that doesn't fit the parameters.
    """

    __slots__ = ("ignore", "of", "parameters", "template")

    of: Callable[..., str]
    """The key of a call: takes the function's very arguments.

    Raises `UnstableKeyError` for an argument without identity, `TypeError` for arguments the function would refuse.
    """

    def __init__(
        self,
        template: str | None,
        parameters: Signature | None = None,
        *,
        ignore: Iterable[str] = (),
        name: str = "",
    ) -> None:
        self.ignore = frozenset((ignore,) if isinstance(ignore, str) else ignore)
        if template is None:
            template = _generated(name, parameters, self.ignore)
        self.template = template
        pieces = _pieces(template)
        self.parameters = parameters or Signature(
            [
                Parameter(root, Parameter.POSITIONAL_OR_KEYWORD)
                for root in dict.fromkeys(root for _, root, _ in pieces if root)
            ]
        )
        _fits(template, pieces, self.parameters, self.ignore)
        self.of = _compiled(template, pieces, self.parameters)

    def __repr__(self) -> str:
        return f"KeyTemplate({self.template!r})"


_Piece = tuple[str, str, str]
"""The text before a field, the field's parameter, and the attributes and indexes behind it; no parameter at the end."""


def _generated(name: str, parameters: Signature | None, ignore: frozenset[str]) -> str:
    if not name or parameters is None:
        raise OptionError("KeyTemplate", "template", None, "a template, or a name and a signature to make one of")
    fields = [f":{{{parameter}}}" for parameter in parameters.parameters if parameter not in ignore]
    return name.replace("{", "{{").replace("}", "}}") + "".join(fields)


def _pieces(template: str) -> list[_Piece]:
    """The parts of a template. Refuses what is no template, and fields that could run into each other."""
    allowed = "text with fields such as 'podcasts:{tenant_id}', {user.id} or {ids[0]}"
    if not isinstance(template, str) or not template:
        raise OptionError("cache key", "template", template, allowed)
    pieces: list[_Piece] = []
    try:
        for literal, field, form, conversion in Formatter().parse(template):
            found = _FIELD.fullmatch(field) if field is not None else None
            if found and any(map(iskeyword, (found[1], *_ATTRIBUTE.findall(found[2])))):
                found = None
            if field is not None and (found is None or form or conversion):
                raise OptionError("cache key", "template", template, f"{allowed}, without formats; got {{{field}}}")
            pieces.append((literal, found[1] if found else "", found[2] if found else ""))
    except ValueError as error:
        if isinstance(error, OptionError):
            raise
        raise OptionError("cache key", "template", template, f"{allowed} ({error})") from None
    pieces = _joined(pieces)
    for literal, root, steps in pieces[1:]:
        if root and ":" not in literal and _SEPARATORS.isdisjoint(literal):
            raise OptionError("cache key", "template", template, f"a ':' before {{{root}{steps}}}, between two fields")
    return pieces


def _joined(pieces: list[_Piece]) -> list[_Piece]:
    """The pieces with literals that follow each other, as at an escaped brace, made one."""
    joined: list[_Piece] = []
    for literal, root, steps in pieces:
        if joined and not joined[-1][1]:
            joined[-1] = (joined[-1][0] + literal, root, steps)
        else:
            joined.append((literal, root, steps))
    return joined


def _fits(template: str, pieces: list[_Piece], parameters: Signature, ignore: frozenset[str]) -> None:
    known = list(parameters.parameters)
    named = {root for _, root, _ in pieces if root}
    for what, names in (("template", named), ("ignore", ignore)):
        for name in sorted(names.difference(known)):
            allowed = f"the function's parameters: {', '.join(known) or 'it has none'}; got {name!r}"
            raise OptionError("cache key", what, template if what == "template" else sorted(ignore), allowed)
    for name in sorted(named & ignore):
        raise OptionError(
            "cache key", "ignore", sorted(ignore), f"parameters that are not in the template; {name!r} is"
        )
    missing = [name for name in known if name not in named and name not in ignore]
    if missing:
        every = "a template with every parameter, or ignore=(...) for what changes no result"
        allowed = f"{every}; missing: {', '.join(missing)}"
        raise OptionError("cache key", "template", template, allowed)


def _compiled(template: str, pieces: list[_Piece], parameters: Signature) -> Callable[..., str]:
    """A function that returns the key, with the parameters of the cached one: nothing binds faster than Python."""
    between = {character for literal, root, _ in pieces[1:] if root and ":" not in literal for character in literal}
    bound: dict[str, Any] = {"_seawall_text": _argument_text(template, frozenset(between & _SEPARATORS))}
    declared = declared_parameters(parameters, bound)
    parts: list[str] = []
    for literal, root, steps in pieces:
        parts.append(repr(_LITERAL.sub(percent, literal)))
        if root:
            path = _STEP.sub(lambda step: f".{step[1]}" if step[1] else f"[{_index(step[2])}]", steps)
            parts.append(f"_seawall_text({root}{path}, {root + steps!r})")
    body = parts[0] if len(parts) == 1 else " + ".join(part for part in parts if part != "''")
    exec(compile(f"def key({declared}): return {body}", f"<seawall key {template!r}>", "exec"), bound)  # noqa: S102 - names only
    key: Callable[..., str] = bound["key"]
    return key


def _index(given: str) -> str:
    return str(int(given)) if given.isdecimal() else repr(given)


def declared_parameters(parameters: Signature, bound: dict[str, Any]) -> str:
    """The parameters as source text, their defaults bound by name."""
    declared: list[str] = []
    slash, star = False, False
    for index, parameter in enumerate(parameters.parameters.values()):
        kind = parameter.kind
        if slash and kind is not Parameter.POSITIONAL_ONLY:
            declared.append("/")
        slash = kind is Parameter.POSITIONAL_ONLY
        if kind is Parameter.KEYWORD_ONLY and not star:
            declared.append("*")
        star = star or kind in {Parameter.VAR_POSITIONAL, Parameter.KEYWORD_ONLY}
        prefix = "*" if kind is Parameter.VAR_POSITIONAL else "**" if kind is Parameter.VAR_KEYWORD else ""
        default = ""
        if parameter.default is not Parameter.empty:
            bound[f"_seawall_default_{index}"] = parameter.default
            default = f"=_seawall_default_{index}"
        declared.append(prefix + parameter.name + default)
    return ", ".join([*declared, "/"] if slash else declared)


_COMMON = 2**63


def _argument_text(template: str, between: frozenset[str]) -> Callable[[Any, str], str]:
    """A function of an argument and its name that returns its text, with the characters `between` fields escaped."""
    reserved = re.compile(f"[{re.escape(''.join(sorted(between)))}]") if between else None

    def argument_text(value: Any, name: str) -> str:
        kind = type(value)
        # Most arguments are a word or a number that counts or names something, and need no escaping.
        if kind is str and value.isalnum():
            written: str = value
            return written
        if kind is int and 0 <= value < _COMMON:
            return str(value)
        try:
            written = escaped(value) if kind is str else encoded(value)
        except NoIdentityError as error:
            raise UnstableKeyError(template, name, error.type_name) from None
        except RecursionError:
            raise UnstableKeyError(template, name, f"{kind.__qualname__} that contains itself") from None
        return written if reserved is None else reserved.sub(percent, written)

    return argument_text


_UNSAFE = re.compile(r"[~{}\s\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_UNSAFE_IN_NAMESPACE = re.compile(r"[~:{}\s\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_DIGEST = 16


def storage_key(namespace: str, version: str | int, key: str, limit: int = 200) -> bytes:
    """What is sent to Redis: `b"podcasts:v1:{tenant:42}"`, at most `limit` bytes.

    The braces are Redis Cluster's hash tag, so what belongs to one key is on one node. Braces, whitespace and control
    characters in the parts are written `~7B`. A key that is too long is cut and completed with a 128-bit hash of the
    whole (BLAKE2b). Different arguments give different bytes. Raises `TypeError` for a key that is no string, and
    `OptionError` for an empty one, and for a namespace that leaves no room.
    """
    if not isinstance(key, str):
        message = f"a cache key is a string, got {type(key).__name__}; make one of it, or let KeyTemplate do it"
        raise TypeError(message)
    if not key:
        raise OptionError("cache", "key", key, "a key of at least one character")
    head = _head(namespace, version)
    stored = f"{head}{{{_UNSAFE.sub(_tilde, key)}}}".encode()
    if len(stored) <= limit:
        return stored
    # No escaped key holds "~#", so none passes for a cut one.
    tail = f"~#{blake2b(key.encode('utf-8', 'surrogatepass'), digest_size=_DIGEST).hexdigest()}}}".encode()
    room = limit - len(tail)
    if room < len(head.encode()) + 1:
        allowed = f"one short enough for keys of {limit} bytes with {len(tail) + 1} bytes for the key"
        raise OptionError("cache", "namespace", namespace, allowed)
    return stored[:room].decode("utf-8", "ignore").encode() + tail


@lru_cache(1024)
def _head(namespace: str, version: str | int) -> str:
    name, number = (_UNSAFE_IN_NAMESPACE.sub(_tilde, each) for each in (namespace, str(version)))
    return f"{name}:v{number}:"


def _tilde(found: re.Match[str]) -> str:
    return "".join(f"~{byte:02X}" for byte in found[0].encode("utf-8", "surrogatepass"))
