"""Exceptions as text: as Python prints them, without what is secret in their messages."""

from collections.abc import Callable

import pytest

from seawall.telemetry.tracebacks import MOST_ERRORS, text_of


def raised(function: Callable[[], None]) -> BaseException:
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - whatever it is
        function()
    return caught.value


def test_frames_code_and_message():
    def inner() -> None:
        message = "password=sesame-open"
        raise ValueError(message)

    lines = text_of(raised(inner)).split("\n")
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "ValueError: password=[hidden]"
    assert lines[-3].endswith("in test_frames_code_and_message.<locals>.inner")
    assert lines[-2] == "    raise ValueError(message)"


def test_causes_contexts_notes_and_groups_are_told():
    def fail() -> None:
        try:
            raise KeyError("first")
        except KeyError as error:
            error.add_note("a note")
            try:
                raise OSError("second") from error
            except OSError as second:
                raise ExceptionGroup("both", [second, TypeError("third")])  # noqa: B904

    text = text_of(raised(fail))
    for told in (
        "KeyError: 'first'",
        "a note",
        "direct cause",
        "OSError: second",
        "another exception",
        "TypeError: third",
    ):
        assert told in text
    assert "told above" in text


def test_circles_depth_and_unspeakable_messages_end():
    class UnspeakableError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def dig(depth: int) -> None:
        if depth:
            dig(depth - 1)
        raise UnspeakableError

    error = raised(lambda: dig(300))
    error.__cause__ = error
    text = text_of(error)
    assert "a message that can't be had" in text
    assert "more ..." in text
    assert len(text.split("\n")) < 200
    group = ExceptionGroup("many", [ValueError(str(number)) for number in range(100)])
    assert text_of(group).count("ValueError") < MOST_ERRORS
