"""The text that the language-model stubs write: an ad-read made from what the prompt names."""

import re
import zlib
from dataclasses import dataclass

CHARACTERS_PER_TOKEN = 4
"""A common rule of thumb for English text; the stubs count tokens by it."""

_PROPER = r"[A-Z0-9][\w&'\u2019-]*(?:\s+(?:(?:of|the|and|in|for|to|&)\s+)*[A-Z0-9][\w&'\u2019-]*)*"
_QUOTED = r"[\"“](?P<quoted>[^\"”\n]+)[\"”]"
_END = r"\"”*;|,"
_SPONSOR = r"(?:sponsored\s+by|sponsor|advertiser|brand|ad[- ]?read\s+for|ad\s+for)"
_PODCAST = r"(?:podcast|show|programme)"

_OPENINGS = (
    "This episode of {podcast} is brought to you by {sponsor}.",
    "Before we go on: {podcast} is supported today by {sponsor}.",
    "A quick word from {sponsor}, who keep {podcast} on the air.",
)
_BODIES = (
    "I have had {sponsor} with me for a few weeks now, and it has earned its place in my day.",
    "What I like about {sponsor} is how little it asks of me: it works, and I get on with my morning.",
    "Plenty of you wrote in to ask what we use ourselves, and the honest answer is {sponsor}.",
)
_CLOSINGS = (
    "Our thanks to {sponsor} for supporting {podcast}.",
    "That is {sponsor}. Tell them {podcast} sent you.",
    "Thank you, {sponsor}. Now back to {podcast}.",
)


@dataclass(frozen=True, kw_only=True)
class Completion:
    """What a model answers: the text, the tokens on both sides, and whether the token limit cut it short."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    truncated: bool


def complete(prompt: str, *, model: str, max_tokens: int | None = None) -> Completion:
    """Return the answer of `model` to `prompt`; the same prompt and model always give the same answer."""
    text = write(prompt, model=model)
    truncated = max_tokens is not None and tokens(text) > max_tokens
    if truncated and max_tokens is not None:
        text = text[: max_tokens * CHARACTERS_PER_TOKEN]
    return Completion(text=text, prompt_tokens=tokens(prompt), completion_tokens=tokens(text), truncated=truncated)


def tokens(text: str) -> int:
    """Return the approximate number of tokens in `text`, at least 1."""
    return max(1, -(-len(text) // CHARACTERS_PER_TOKEN))


def pieces(text: str) -> list[str]:
    """Split `text` into words with their following space, as a model streams them; joined they are `text`."""
    return re.findall(r"\S+\s*|\s+", text)


def write(prompt: str, *, model: str) -> str:
    """Return an ad-read that names the sponsor, podcast, talking points, code and address found in `prompt`."""
    sponsor = _name(_SPONSOR, prompt) or "our sponsor"
    podcast = _name(_PODCAST, prompt) or _name_before(_PODCAST, prompt) or "the show"
    chosen = zlib.crc32(f"{model}\n{prompt}".encode())
    sentences = [_OPENINGS[chosen % 3], _BODIES[chosen // 3 % 3], *_talking_points(prompt)]
    if offer := _offer(prompt):
        sentences.append(offer)
    sentences.append(_CLOSINGS[chosen // 9 % 3])
    # `replace`, not `format`: names and talking points come from outside and may hold braces.
    return " ".join(s.replace("{sponsor}", sponsor).replace("{podcast}", podcast) for s in sentences)


def _name(label: str, prompt: str) -> str | None:
    """Find a name after `label`, written `label: Name`, `"label": "Name"`, `label "Name"` or `label Name`."""
    patterns = (
        rf"(?i:\b{label}(?:[ _]name)?)[\"*]*\s*[:=][ \t\"“*]*"
        rf"(?P<name>[^\s{_END}][^\n{_END}]*?)\s*(?:\.\s|\.?$|[\n{_END}])",
        rf"(?i:\b{label}(?:\s+(?:is|named|called|by))*)\s+(?:{_QUOTED}|(?P<name>{_PROPER}))",
    )
    for pattern in patterns:
        if found := re.search(pattern, prompt, re.MULTILINE):
            groups = found.groupdict()
            return (groups.get("quoted") or groups["name"]).strip()
    return None


def _name_before(label: str, prompt: str) -> str | None:
    """Find a name before `label`, as in `the "Deep Sea Tales" podcast`."""
    found = re.search(rf"(?:{_QUOTED}|(?P<name>{_PROPER}))\s+(?i:{label})\b", prompt)
    if found is None or found["name"] in {"A", "Our", "The", "This", "Your"}:
        return None
    return found["quoted"] or found["name"]


def _talking_points(prompt: str) -> list[str]:
    points = re.findall(r"^\s*[-*•]\s+([^:\n]+?)[.!]?\s*$", prompt, re.MULTILINE)
    return [f"{point[0].upper()}{point[1:]}." for point in points[:3]]


def _offer(prompt: str) -> str | None:
    code = re.search(r"(?i:\bcode)\s*(?:is|:)?\s*[\"“']?([A-Z0-9][A-Z0-9-]{2,})\b", prompt)
    address = re.search(r"\b(?:https?://)?(?:[a-z0-9-]+\.)+(?:com|org|net|io|fm|co|dev|example)\b(?:/[\w-]+)*", prompt)
    if code and address:
        return f"Go to {address[0]} and use the code {code[1]} at checkout."
    if code:
        return f"Use the code {code[1]} at checkout."
    return f"Find out more at {address[0]}." if address else None
