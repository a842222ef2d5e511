"""Serving an endpoint's responses from a cache: who may have which, and one run for all who may have the same."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seawall.core import SeawallError
from seawall.web.capture import RUN, Run, anew, detached, nowhere
from seawall.web.conditional import directives, seconds
from seawall.web.http_rule import ResponseCache, Rule, tags_of
from seawall.web.problems import problem
from seawall.web.stored import AGAIN, PASS, PRECONDITIONS, Made, Stored, give

PASS_FOR = 5.0
"""Seconds during which requests don't wait for each other, after a response that they could not share."""

MOST_VARIED = 8
"""Request headers that one endpoint's responses may vary on; those that vary on more are not stored."""

_CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization"})
_READ = PRECONDITIONS | {
    b"accept-encoding", b"cache-control", b"content-length", b"host", b"pragma", b"range", b"transfer-encoding",
}  # fmt: skip
_CODING = re.compile(rb"gzip|br|zstd|deflate|\*")
_FAILED = 500


class FailedResponseError(Exception):
    """An endpoint answered with a 5xx; to the cache a failure, for which a stale response may stand in."""

    def __init__(self, made: Made, *, own: bool) -> None:
        super().__init__(made.status)
        self.made = made
        self.own = own


class Asked:
    """A request as far as caching goes.

    vary: the headers by which its response is told apart from others, as known when it came. read: the headers that
    matter, lines of one name joined.
    """

    __slots__ = ("control", "head", "read", "scope", "vary")

    def __init__(self, scope: Scope, vary: tuple[str, ...], names: frozenset[bytes]) -> None:
        self.scope = scope
        self.vary = vary
        self.head = scope["method"] == "HEAD"
        read: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            if name in names:
                read[name] = value if name not in read else read[name] + b", " + value
        self.read = read
        self.control: Mapping[str, str] = {}
        if b"cache-control" in read:
            self.control = directives(read[b"cache-control"].decode("latin-1"))
        elif b"no-cache" in read.get(b"pragma", b"").lower():
            self.control = {"no-cache": ""}

    @property
    def plain(self) -> bool:
        """Whether it asks for a whole response, and has no body."""
        read = self.read
        return b"range" not in read and b"transfer-encoding" not in read and read.get(b"content-length", b"0") == b"0"


class Serving:
    """Serves one route.

    inner: the route without a cache. app: the application, through which what is stale is refreshed.
    declared: the request headers that the endpoint and its dependencies declare. credentials: those that say who asks,
    besides the usual. compressed: whether a middleware may compress.
    """

    def __init__(
        self,
        rule: Rule,
        inner: ASGIApp,
        app: ASGIApp,
        *,
        declared: frozenset[str] = frozenset(),
        credentials: frozenset[str] = frozenset(),
        compressed: bool = False,
    ) -> None:
        self.rule = rule
        self.inner = inner
        self.app = app
        self._credentials = _CREDENTIALS | credentials
        self._credential_names = frozenset(name.encode("latin-1") for name in self._credentials)
        self._compressed = compressed if rule.weak_etag is None else rule.weak_etag
        self._vary: tuple[str, ...] = ()
        self._learn({*rule.vary, *declared})

    def _learn(self, names: set[str]) -> None:
        """From now on responses are told apart by the request headers `names` too."""
        self._vary = tuple(sorted({*self._vary, *names}))
        others = () if self.rule.shared_when_authorized else sorted(self._credentials - {"proxy-authorization"})
        self.said = tuple(dict.fromkeys((*self._vary, *others)))
        self._names = _READ | self._credential_names | {name.encode("latin-1") for name in self._vary}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        run = scope.get(RUN)
        if run is not None:
            await run.inside(self.inner, scope, send)
            return
        asked = Asked(scope, self._vary, self._names)
        if scope["method"] not in {"GET", "HEAD"} or not asked.plain:
            await self.inner(scope, receive, send)
            return
        user = await self._user(scope)
        anonymous = user is None and self._credential_names.isdisjoint(asked.read)
        shared = anonymous or user is not None or self.rule.shared_when_authorized
        cache = self.rule.cache
        if cache is None or not shared or "no-store" in asked.control:
            await self._alone(asked, receive, send, private=user is not None or not shared)
        elif "only-if-cached" in asked.control:
            await self._only_if_cached(cache, asked, user, receive, send)
        else:
            await self._from(cache, asked, user, receive, send)

    async def _user(self, scope: Scope) -> str | None:
        if self.rule.vary_on_user is None:
            return None
        user = self.rule.vary_on_user(Request(scope))
        return await user if inspect.isawaitable(user) else user

    async def _alone(self, asked: Asked, receive: Receive, send: Send, *, private: bool) -> None:
        """Run the endpoint for this request alone."""
        control = self.rule.private if private else self.rule.public
        answer = _Alone(self, asked, send, control)
        await self.inner({**asked.scope, "method": "GET"}, receive, answer)

    async def _only_if_cached(
        self, cache: ResponseCache, asked: Asked, user: str | None, receive: Receive, send: Send
    ) -> None:
        stored = await cache.get(self._key(asked, user), type=Stored)
        if stored is not None and stored.status > 0:
            await self.give(asked, stored, send, age=_age(cache, stored))
            return
        refusal = problem(504, code="only-if-cached", detail="there is no stored response")
        await refusal(asked.scope, receive, send)

    async def _from(self, cache: ResponseCache, asked: Asked, user: str | None, receive: Receive, send: Send) -> None:
        """Give what is stored; else run the endpoint once for all who ask for the same meanwhile."""
        heeded = {} if self.rule.ignore_no_cache else asked.control
        oldest = seconds(heeded, "max-age")
        again = "no-cache" in heeded or oldest == 0
        while True:
            load = _Load(self, cache, asked, self._key(asked, user), private=user is not None, again=again)
            try:
                found = await self._load(cache, load)
                mine = load.outcome is not None
                if mine and load.run is not None and load.run.streams:
                    control = self.rule.public if user is None else self.rule.private
                    await load.run.attach(receive, _Alone(self, asked, send, control))
                    return
            except FailedResponseError as error:
                if load.run is None and error.own:
                    break
                if load.run is None:
                    await self.give(asked, error.made.stored(), send)
                else:
                    await self.give(asked, error.made.whole(), send)
                    await load.run.ended()
                return
            except BaseException:
                load.abandon()
                raise
            if mine and load.run is not None and load.made is not None:
                await self.give(asked, load.made.whole(), send)
                await load.run.ended()
                return
            if found is None or found.status == PASS.status:
                break
            if found.status == AGAIN.status:
                asked = Asked(asked.scope, self._vary, self._names)
                continue
            age = _age(cache, found)
            if oldest is not None and age > oldest and not again:
                again = True
                continue
            await self.give(asked, found, send, age=age)
            return
        await self._alone(asked, receive, send, private=user is not None)

    async def _load(self, cache: ResponseCache, load: _Load) -> Stored | None:
        rule = self.rule
        try:
            found: Stored = await cache.get_or_set(
                load.key + ":again" if load.again else load.key,
                load,
                category=rule.category,
                freshness=rule.freshness,
                type=Stored,
            )
        except SeawallError as error:
            if error.code != "cache-load-failed":
                raise
            return None  # it failed in another process, which can't hand over with what
        finally:
            load.over = True
        return found

    async def give(self, asked: Asked, response: Stored, send: Send, *, age: float | None = None) -> None:
        """Send `response` as this request wants it."""
        weak = self._compressed and _CODING.search(asked.read.get(b"accept-encoding", b"")) is not None
        await give(response, send, asked.read, head=asked.head, weak=weak, age=age)

    def unknown(self, made: Made, vary: tuple[str, ...]) -> set[str]:
        """The request headers `made` depends on that have no part in a key made of `vary`."""
        names = set(made.vary).difference(vary)
        if not self.rule.shared_when_authorized and self.rule.vary_on_user is None:
            names -= self._credentials  # whoever sends them is given nothing that is stored
        return names

    def learn(self, names: set[str]) -> bool:
        """Tell responses apart by `names` too; False if these would be too many."""
        if len(names | set(self._vary)) > MOST_VARIED:
            return False
        self._learn(names)
        return True

    def _key(self, asked: Asked, user: str | None) -> str:
        rule, scope, read = self.rule, asked.scope, asked.read
        pairs: list[tuple[str, str]] = []
        if query := scope["query_string"]:
            # As bytes, so that what is no UTF-8 stays different; sorted by name, since a name's values have an order.
            pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, encoding="latin-1")
            if rule.query is not None:
                pairs = [pair for pair in pairs if pair[0] in rule.query]
            pairs = sorted((pair for pair in pairs if pair[0] not in rule.ignore_query), key=_name)
        path = scope["path"]
        address = (scope.get("scheme"), read.get(b"host"), scope.get("root_path"), path, pairs)
        whole = repr((*address, [read.get(name.encode("latin-1")) for name in asked.vary], user))
        return f"http:{path[:80]}:{blake2b(whole.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"


class _Load:
    """What the cache calls for a response that is not there: runs the endpoint, and says what may be kept of it.

    over: whether the request that made this has its answer, so that nothing of it may be used any more. again: the
    client wants it made anew; what is made is not kept, but voids what is stored if that is another one.
    """

    __signature__ = inspect.Signature([inspect.Parameter("load", inspect.Parameter.POSITIONAL_ONLY)])
    """Written down, because finding it out, which the cache does with each load, takes longer than all else here."""

    def __init__(
        self, serving: Serving, cache: ResponseCache, asked: Asked, key: str, *, private: bool, again: bool
    ) -> None:
        self.key = key
        self.again = again
        self.over = False
        self.run: Run | None = None
        self.made: Made | None = None
        self.outcome: Stored | None = None
        self._serving = serving
        self._cache = cache
        self._scope = asked.scope
        self._vary = asked.vary
        self._private = private

    async def __call__(self, load: Any) -> Stored:
        """Called by the cache with its `Load`."""
        self.run = run = Run()
        if self.over:
            await run.begin(self._serving.app, anew(self._scope, run))
        else:
            await run.begin(self._serving.inner, detached(self._scope))
        rule = self._serving.rule
        self.outcome, load.ttl = PASS, min(PASS_FOR, rule.ttl)
        tags = tags_of(rule, run.arguments)
        load.tags = tags or ()
        if run.response is None:
            if self.over:
                run.stop()
        else:
            self.outcome, load.ttl = self._judge(run.response, load.ttl, tagged=tags is not None)
        if self.again:
            load.ttl = 0
            await self._void(self.outcome)
        return self.outcome

    def _judge(self, response: Made, pass_for: float, *, tagged: bool) -> tuple[Stored, float]:
        """What to keep of `response`, and for how many seconds."""
        serving = self._serving
        rule = serving.rule
        unknown = serving.unknown(response, self._vary)
        self.made = made = response.dressed(rule.private if self._private else rule.public, serving.said)
        if made.status >= _FAILED and made.status not in rule.statuses:
            self.outcome = None
            raise FailedResponseError(made, own=response.own)
        ttl = response.ttl(rule.ttl, rule.statuses, rule.max_bytes) if tagged else 0.0
        if ttl <= 0:
            return PASS, pass_for
        if unknown:
            return (AGAIN, 0.0) if serving.learn(unknown) else (PASS, pass_for)
        return made.stored(self._cache.clock.now().timestamp()), ttl

    async def _void(self, outcome: Stored) -> None:
        stored = await self._cache.get(self.key, type=Stored)
        if stored is not None and (stored.status, stored.etag, stored.body) != (
            outcome.status,
            outcome.etag,
            outcome.body,
        ):
            await self._cache.delete(self.key)

    def abandon(self) -> None:
        """The request has failed or was cancelled: nobody will take a stream."""
        if self.run is not None and self.run.streams:
            self.run.stop()


class _Alone:
    """Sends the response made for one request, with an entity tag if it comes whole, and as its conditions say."""

    def __init__(self, serving: Serving, asked: Asked, send: Send, control: str) -> None:
        self._serving = serving
        self._asked = asked
        self._send = send
        self._control = control
        self._start: Message | None = None
        self._begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        elif self._start is None or self._begun:
            await self._send(message)
        else:
            self._begun = True
            await self._begin(self._start, message)

    async def _begin(self, start: Message, message: Message) -> None:
        whole = message["type"] == "http.response.body" and not message.get("more_body", False)
        made = Made(start["status"], list(start.get("headers", ())), message.get("body", b"") if whole else b"")
        made = made.dressed(self._control, self._serving.said)
        if whole:
            await self._serving.give(self._asked, made.whole(), self._send)
        elif self._asked.head or made.answered_by(self._asked.read):
            stream, self._send = self._send, nowhere
            await self._serving.give(self._asked, made.whole(tagged=False), stream)
        else:
            await self._send({**start, "headers": made.headers})
            await self._send(message)


def _age(cache: ResponseCache, stored: Stored) -> float:
    return cache.clock.now().timestamp() - stored.made


def _name(pair: tuple[str, str]) -> str:
    return pair[0]
