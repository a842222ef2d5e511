"""The YAML that is written means what was given, to a reader that we didn't write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.alerts.yaml import Block, written

reader = pytest.importorskip("yaml", reason="needs PyYAML to read what is written; pip install pyyaml")

TRICKY = (
    *(
        "yes",
        "No",
        "null",
        "~",
        "1e3",
        "0x10",
        "1:30",
        "0o7",
        "1_000",
        "2026-01-01",
        "=",
        "<<",
        "- a",
        "a: b",
        "#",
        "%",
    ),
    *("a\nb", "a\n\n b\n", "\n", " a\nb", "a \nb", "'", '"', "@", "`", "!x", "&a", "*a", "|", ">", "{{ $value }}"),
    *("é\u2028", "\ufeff", "\x85", "\U0001f600\x7f"),
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(TRICKY)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = TEXT | TEXT.map(Block) | NUMBERS | st.booleans() | st.none()
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.dictionaries(TEXT, inner, max_size=3)
        | st.lists(inner.filter(lambda value: not isinstance(value, list)), max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(TEXT, VALUES, min_size=1, max_size=4))
def test_what_is_written_is_read_again(value):
    assert reader.safe_load(written(value, comment="About it.\n\nMore.")) == value


def test_it_is_written_for_people():
    rule = {"alert": "Down", "expr": Block('up{job="a"} == 0'), "for": "1m"}
    value = {
        "groups": [{"name": "podcasts api", "rules": [rule]}],
        "targets": ["127.0.0.1:8000"],
        "series": 'up{job="a"}',
        "empty": [],
    }
    assert written(value, comment="Rules.") == (
        "# Rules.\n"
        "groups:\n"
        '  - name: "podcasts api"\n'
        "    rules:\n"
        "      - alert: Down\n"
        "        expr: |-\n"
        '          up{job="a"} == 0\n'
        "        for: 1m\n"
        "targets:\n"
        '  - "127.0.0.1:8000"\n'
        "series: 'up{job=\"a\"}'\n"
        "empty: []\n"
    )


@pytest.mark.parametrize("value", [{1: "a"}, {"a": {1}}, {"a": [["b"]]}, {"a": float("nan")}, {"a": b"b"}])
def test_what_is_not_in_the_subset_is_refused(value):
    with pytest.raises(TypeError, match="YAML"):
        written(value)
