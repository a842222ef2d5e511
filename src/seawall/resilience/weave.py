"""Composes policies into one function: one frame, however many policies stand around a call.

Each known policy is a `Fragment`: a few lines of ordinary Python with a hole, `$inner`, where the policies
inside it and at last the call itself stand. Weaving puts the fragments into one another and compiles the
result once, when a function is decorated. So the same lines serve `async def`, `def`, both kinds of
generator, and `with`; nested decorators would cost a coroutine frame each, and twin classes would drift.
`docs/explanation/weaving.md` shows a woven function; `policy.source()` prints one.

A stream's `$suspend` and `$resume` are lines of the policies around it, run while the consumer has an item.

In a template `$name` is a local variable or a bound object of that fragment alone (it is numbered, so two
fragments never meet), `$await` stands before what coroutines await, `$args` and `$kwargs` are the call's
arguments, and `result` and `delivered` (a stream has handed out an item) are shared.

A woven function has the very parameters of the one it stands for: passing `*args, **kwargs` on would cost as
much as a circuit breaker.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing, closing
from dataclasses import dataclass
from functools import cache, update_wrapper
from types import CodeType, CoroutineType, FunctionType
from typing import Any, Literal, NamedTuple

Kind = Literal["call", "stream", "guard"]


class Face(NamedTuple):
    """What is woven: a `call`, a `stream` (generator function) or a `guard` (`with` block); whether it awaits."""

    kind: Kind
    awaits: bool


@dataclass(frozen=True, slots=True)
class Fragment:
    """A policy's lines around `$inner`, the objects they use, and what a stream does around each item."""

    template: str
    bound: Mapping[str, object]
    suspend: str = ""
    resume: str = ""


class _Parameters(NamedTuple):
    """How a woven function declares its parameters and hands them on, as text."""

    declared: str
    passed: str
    args: str
    kwargs: str
    defaults: dict[str, object]
    names: frozenset[str] = frozenset()


_ANY = _Parameters("*args, **kwargs", "*args, **kwargs", "args", "kwargs", {})
_NONE = _Parameters("", "", "()", "dict()", {})

_NAME = re.compile(r"\$(await\s+|\w+)")
_HOLES: dict[Face, str] = {
    Face("call", True): "result = await fn($passed)",
    Face("call", False): "result = fn($passed)\nif result.__class__ is coroutine:\n    refuse(fn, result)",
    Face("guard", True): "yield\nresult = None",
    Face("guard", False): "yield\nresult = None",
    Face("stream", True): """\
async with aclosing(fn($passed)) as items:
    async for item in items:
        $suspend
        delivered = True
        yield item
        $resume
result = None""",
    Face("stream", False): """\
with closing(fn($passed)) as items:
    for item in items:
        $suspend
        delivered = True
        yield item
        $resume
result = None""",
}


def source(fragments: Sequence[Fragment], face: Face, parameters: _Parameters = _ANY, *, ad_hoc: bool = False) -> str:
    """The text of the woven function; `ad_hoc` makes the function to call its first argument."""
    numbered = [_number(fragment, index, face, parameters) for index, fragment in enumerate(fragments)]
    body = _pause(_HOLES[face].replace("$passed", parameters.passed), numbered)
    for index, (template, _, _) in reversed(list(enumerate(numbered))):
        body = _fill(_pause(template, numbered[:index]), "$inner", body)
    if face.kind == "stream":
        body = "delivered = False\n" + body
    if face.kind == "call":
        body += "\nreturn result"
    declared = f"fn, /, {parameters.declared}" if ad_hoc else parameters.declared
    define = "async def" if face.awaits else "def"
    return f"{define} call({declared}):\n{textwrap.indent(body, '    ')}\n"


def weave(
    fragments: Sequence[Fragment], face: Face, fn: Callable[..., Any] | None, *, ad_hoc: bool = False
) -> Callable[..., Any]:
    """Compile the fragments, outermost first, into one function around `fn`."""
    bound: dict[str, object] = {"aclosing": aclosing, "closing": closing, "coroutine": CoroutineType, "refuse": _refuse}
    if not ad_hoc:
        bound["fn"] = fn
    for index, fragment in enumerate(fragments):
        bound |= {f"{name}_{index}": value for name, value in fragment.bound.items()}
    parameters = _NONE if face.kind == "guard" else _parameters(fn)
    text = source(fragments, face, parameters, ad_hoc=ad_hoc)
    if parameters is not _ANY and not _names(source(fragments, face, _NONE)).isdisjoint(parameters.names):
        parameters = _ANY
        text = source(fragments, face, parameters, ad_hoc=ad_hoc)
    bound |= parameters.defaults
    namespace: dict[str, Any] = {}
    exec(_compiled(text, tuple(bound)), namespace)  # noqa: S102 - text of our own templates, no outside input
    call: FunctionType = namespace["bind"](*bound.values())
    # A code object of its own: the interpreter specialises code to the objects it meets, so functions that
    # shared one would undo each other's specialisation at every call.
    call.__code__ = call.__code__.replace()
    return call if fn is None else update_wrapper(call, fn)


def face_of(fn: object, owner: object) -> Face:
    """How `fn` is to be woven. Refuses what is not a function with a message that names `owner` and what was given."""
    if isinstance(fn, (staticmethod, classmethod)):
        kind = type(fn).__name__
        message = f"{owner} decorates a function, got a {kind}; put @{kind} above it, outermost"
        raise TypeError(message)
    if inspect.isawaitable(fn):
        name = getattr(fn, "__qualname__", "fn")
        if inspect.iscoroutine(fn):
            fn.close()
        message = f"{owner} takes a function, got the result of calling {name}(); pass {name} itself"
        raise TypeError(message)
    if inspect.isclass(fn) or not callable(fn):
        what = f"the class {fn.__qualname__}" if inspect.isclass(fn) else f"{fn!r} ({type(fn).__name__})"
        message = f"{owner} decorates a function, got {what}"
        raise TypeError(message)
    for candidate in (fn, type(fn).__call__):
        if inspect.iscoroutinefunction(candidate):
            return Face("call", True)
        if inspect.isasyncgenfunction(candidate):
            return Face("stream", True)
        if inspect.isgeneratorfunction(candidate):
            return Face("stream", False)
    return Face("call", False)


def _parameters(fn: Callable[..., Any] | None) -> _Parameters:
    """The parameters of a plain function, each handed on as it came; anything for what has no code of its own."""
    # Who sets `__signature__` by hand tells readers something else than what the code takes.
    if type(fn) is not FunctionType or "__signature__" in vars(fn):
        return _ANY
    signature = inspect.signature(fn, follow_wrapped=False)
    declared: list[str] = []
    args: list[str] = []
    kwargs: list[str] = []
    defaults: dict[str, object] = {}
    kinds = inspect.Parameter
    slash, star = False, False
    for index, parameter in enumerate(signature.parameters.values()):
        name, kind = parameter.name, parameter.kind
        if slash and kind is not kinds.POSITIONAL_ONLY:
            declared.append("/")
        slash = kind is kinds.POSITIONAL_ONLY
        if kind is kinds.KEYWORD_ONLY and not star:
            declared.append("*")
        star = star or kind in (kinds.VAR_POSITIONAL, kinds.KEYWORD_ONLY)
        prefix = "*" if kind is kinds.VAR_POSITIONAL else "**" if kind is kinds.VAR_KEYWORD else ""
        if parameter.default is parameter.empty:
            declared.append(prefix + name)
        else:
            defaults[f"default_{index}"] = parameter.default
            declared.append(f"{name}=default_{index}")
        if kind is kinds.KEYWORD_ONLY:
            kwargs.append(f"{name}={name}")
        else:
            (kwargs if kind is kinds.VAR_KEYWORD else args).append(prefix + name)
    if slash:
        declared.append("/")
    return _Parameters(
        declared=", ".join(declared),
        passed=", ".join(args + kwargs),
        args=f"({', '.join(args)}{',' if args else ''})",
        kwargs=f"dict({', '.join(kwargs)})",
        defaults=defaults,
        names=frozenset(signature.parameters),
    )


def _names(text: str) -> set[str]:
    """The names that woven text uses, so that no parameter may have them."""
    nodes = list(ast.walk(ast.parse(text)))
    caught = {node.name for node in nodes if isinstance(node, ast.ExceptHandler) and node.name}
    return caught | {node.id for node in nodes if isinstance(node, ast.Name)}


def _number(fragment: Fragment, index: int, face: Face, parameters: _Parameters) -> tuple[str, str, str]:
    words = {"args": parameters.args, "kwargs": parameters.kwargs}
    words |= {hole: f"${hole}" for hole in ("inner", "suspend", "resume")}

    def name(match: re.Match[str]) -> str:
        word = match[1]
        if word.startswith("await"):
            return "await " if face.awaits else ""
        return words.get(word) or f"{word}_{index}"

    texts = (fragment.template, fragment.suspend, fragment.resume)
    template, suspend, resume = (_NAME.sub(name, textwrap.dedent(text).strip("\n")) for text in texts)
    return template, suspend, resume


def _pause(text: str, around: list[tuple[str, str, str]]) -> str:
    """Put in what the policies `around` a stream do before (`$suspend`) and after (`$resume`) handing out an item."""
    suspend = "\n".join(suspend for _, suspend, _ in reversed(around) if suspend) or "pass"
    resume = "\n".join(resume for _, _, resume in around if resume) or "pass"
    return _fill(_fill(text, "$suspend", suspend), "$resume", resume)


def _fill(template: str, hole: str, body: str) -> str:
    lines: list[str] = []
    for line in template.split("\n"):
        if line.strip() == hole:
            lines.append(textwrap.indent(body, line[: len(line) - len(line.lstrip())]))
        else:
            lines.append(line)
    return "\n".join(lines)


@cache
def _compiled(text: str, names: tuple[str, ...]) -> CodeType:
    module = f"def bind({', '.join(names)}):\n{textwrap.indent(text, '    ')}    return call\n"
    filename = f"<seawall pipeline {hash(module) & 0xFFFFFFFF:08x}>"
    linecache.cache[filename] = (len(module), None, module.splitlines(keepends=True), filename)
    return compile(module, filename, "exec", dont_inherit=True)


def _refuse(fn: Callable[..., Any], result: CoroutineType[Any, Any, Any]) -> None:
    result.close()
    name = getattr(fn, "__qualname__", repr(fn))
    message = f"{name} is no `async def` but returned a coroutine; wrap it in an `async def` that awaits it"
    raise TypeError(message)
