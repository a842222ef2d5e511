"""Flame graphs: whole, small, harmless; and the functions of lines."""

import ast
import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from seawall.profiling import flame, source
from seawall.profiling.flame import DEEPEST, page, tree
from seawall.profiling.source import Functions, function_at
from seawall.profiling.stack import Call


def call(name: str) -> Call:
    return Call(name, f"/srv/app/{name}.py", 1)


def drawn(stacks, **options) -> str:
    about: dict[str, Any] = {
        "title": "Profile",
        "about": "Of a test.",
        "amount": lambda weight: f"{weight:g} s",
    } | options
    return page(tree(stacks), **about)


def test_boxes_add_up():
    whole = tree([([call("a"), call("b")], 2.0), ([call("a"), call("c")], 1.0), ([call("a")], 1.0)])
    a = whole.below[call("a")]
    assert (whole.weight, a.weight, a.own) == (4.0, 4.0, 1.0)
    assert {box.call.function: box.weight for box in a.below.values()} == {"b": 2.0, "c": 1.0}


def test_widths_and_figures_are_shown():
    text = drawn([([call("a"), call("b")], 3.0), ([call("a"), call("c")], 1.0)])
    widths = re.findall(r'width:([\d.]+)%"><a class=\w+ href="#b\d+" title="(\w+) – ([^"]*?) –', text)
    assert [(name, width, told) for width, name, told in widths] == [
        ("a", "100.0", "4 s, 100.0%"),
        ("b", "75.0", "3 s, 75.0%"),
        ("c", "25.0", "1 s, 25.0%"),
    ]


def test_a_call_within_itself_counts_once():
    text = drawn([([call("f"), call("f"), call("f")], 2.0)])
    assert "<td>2 s<td>100.0%<td>2 s<td>srv/app/f.py:1 f" in text


def test_the_page_loads_and_runs_nothing():
    text = drawn([([call("a"), call("b")], 2.0)])
    assert "<script" not in text
    assert not re.search(r"https?:|url\(|@import|\bon\w+=|src=", text)
    assert flame.POLICY in text
    assert set(re.findall(r"href=\"?([^\s\">]*)", text)) <= {"#"} | {f"#b{number}" for number in range(100)}


def test_what_is_shown_is_escaped():
    text = drawn([([Call('<script>alert("x")</script>', '/srv/"><b>.py', 1)], 1.0)], title="<i>", about="<u>")
    assert not re.search(r"<script|<b>|<i>|<u>", text)


def test_pages_stay_small_and_shallow():
    wide = [([call(f"f{number}"), call(f"g{number}")], 1.0) for number in range(20_000)]
    deep = [([call(f"d{number}") for number in range(900)], 20_000.0)]
    text = drawn(wide + deep)
    assert len(text) < 200_000
    assert f"d{DEEPEST - 1}" in text
    depth = most = 0
    for tag in re.findall(r"</?div", text):
        depth += 1 if tag == "<div" else -1
        most = max(most, depth)
    assert depth == 0
    assert most < 500


def test_nothing_seen_says_so():
    assert "Nothing was seen." in drawn([])


def lines_of_functions(text: str) -> dict[int, str]:
    """Of each statement's first line, what is around it, by the syntax tree."""
    found: dict[int, str] = {}

    def walk(node: ast.AST, names: tuple[str, ...]) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt):
                found.setdefault(child.lineno, ".".join(names))
            inner = (
                (*names, child.name)
                if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
                else names
            )
            walk(child, inner)

    walk(ast.parse(text), ())
    return found


@pytest.mark.parametrize(
    "module", [source, flame, asyncio.base_events, asyncio.tasks, re], ids=lambda each: each.__name__
)
def test_functions_of_lines_agree_with_the_syntax_tree(module):
    text = Path(module.__file__).read_text()
    lines = text.splitlines()
    expected = lines_of_functions(text)
    wrong = {line for line, name in expected.items() if function_at(lines, line) != name}
    assert len(wrong) <= len(expected) * 0.01


def test_a_file_that_is_not_there_has_no_functions():
    assert Functions().call("/nowhere/at_all.py", 7) == Call("", "/nowhere/at_all.py", 7)
