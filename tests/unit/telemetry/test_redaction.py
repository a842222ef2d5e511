"""What is secret is hidden, and what isn't stays."""

import pytest

from seawall.telemetry import redaction


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("Authorization: Bearer abcdef123456", "Authorization: Bearer [hidden]"),
        ("basic dXNlcjpwYXNz", "basic [hidden]"),
        ("postgresql://app:sesame@db/app", "postgresql://app:[hidden]@db/app"),
        ('{"password": "sesame", "a": 1}', '{"password": "[hidden]", "a": 1}'),
        ("?api_key=sesame&page=2", "?api_key=[hidden]&page=2"),
        ("eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.c2lnbmF0dXJl", "[hidden]"),
        ("key sk-proj-abcdefghijklmnop1234", "key [hidden]"),
        ("whsec_abcdefghijklmnop1234", "[hidden]"),
        ("paid by 4242 4242 4242 4242 today", "paid by [hidden] today"),
        ("paid by 4242424242424242", "paid by [hidden]"),
    ],
)
def test_texts_that_look_like_secrets(given, kept):
    assert redaction.text(given) == kept


@pytest.mark.parametrize(
    "harmless",
    [
        "", "GET /api/v1/podcasts 200", "trace 4bf92f3577b34da6a3ce929d0e0e4736", "at 1700000000000 ms",
        "4242424242424241", "id 123e4567-e89b-12d3-a456-426614174000", "the task passed", "https://host/path?x=1",
        "skeleton-of-a-very-long-word", "https://user@host/path", "12345678901234567890",
    ],
)  # fmt: skip
def test_texts_that_do_not(harmless):
    assert redaction.text(harmless) == harmless


def test_fields_are_hidden_by_their_names_however_deep():
    given = {
        "user": "ada", "Password": "x", "api_key": "x", "nested": {"access_token": "x", "kept": [{"Cookie": "x"}, 3]},
        "tokens": 42, "session_id": "x", "url": "redis://:sesame@host",
    }  # fmt: skip
    hidden = redaction.HIDDEN
    assert redaction.fields(given) == {
        "user": "ada", "Password": hidden, "api_key": hidden,
        "nested": {"access_token": hidden, "kept": [{"Cookie": hidden}, 3]},
        "tokens": 42, "session_id": hidden, "url": "redis://:[hidden]@host",
    }  # fmt: skip
