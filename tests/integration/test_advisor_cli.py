"""`seawall analyze` as a user runs it."""

import json
import os
import sqlite3
import subprocess
import sys
from html.parser import HTMLParser

import pytest

URL_ENV = "DATABASE_URL"


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "a.sqlite"
    database = sqlite3.connect(path)
    database.executescript(
        """CREATE TABLE "<b>t</b>" (id INTEGER PRIMARY KEY, a INTEGER, b TEXT);
        WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 20000)
        INSERT INTO "<b>t</b>" SELECT i, i, 'x' FROM s;"""
    )
    database.close()
    return f"sqlite:///{path}"


def seawall(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "seawall.cli", "analyze", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**{name: value for name, value in os.environ.items() if name != URL_ENV}, **environment},
    )


MISSING = 'SELECT * FROM "<b>t</b>" WHERE a = 12345'
FINE = 'SELECT * FROM "<b>t</b>" WHERE id = 5'


def test_a_finding_is_printed_plainly_in_a_pipe_and_ends_in_1(url):
    ran = seawall(url, "--sql", MISSING)
    assert ran.returncode == 1, ran.stderr
    assert "1 index worth making" in ran.stdout
    assert "\x1b" not in ran.stdout
    assert "12345" not in ran.stdout
    assert not ran.stderr


@pytest.mark.parametrize(("arguments", "code"), [(["--sql", FINE], 0), (["--sql", MISSING, "--fail-on", "never"], 0)])
def test_nothing_or_nothing_that_matters_ends_in_0(url, arguments, code):
    assert seawall(url, *arguments).returncode == code


def test_json_is_all_that_is_printed(url, tmp_path):
    script = tmp_path / "queries.sql"
    script.write_text(f"{MISSING};\n{FINE};\n")
    report = json.loads(seawall("--queries", str(script), "--json", **{URL_ENV: url}).stdout)
    assert report["analysed"] == 2
    assert len(report["indexes"]) == 1


def test_the_page_stands_alone_and_is_escaped(url, tmp_path):
    page = tmp_path / "report.html"
    assert seawall(url, "--sql", MISSING, "--html", str(page)).returncode == 1
    text = page.read_text()
    assert "<b>t</b>" not in text
    assert "&lt;b&gt;t&lt;/b&gt;" in text
    assert "src=" not in text
    assert "href=" not in text
    parser = _Balance()
    parser.feed(text)
    assert parser.open == []


class _Balance(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["postgresql://app:geheim@127.0.0.1:1/x", "--sql", "SELECT 1"], "can't be reached"),
        (["sqlite:////nowhere", "--sql", "SELECT 1"], "no such file"),
        (["mysql://app:geheim@h/x", "--sql", "SELECT 1"], "PostgreSQL and SQLite"),
        (["sqlite:////nowhere", "--queries", "/nowhere.sql"], "/nowhere.sql"),
        (["sqlite:////nowhere", "--sql", "SELECT 1", "--limit", "1000000000"], "limit is 1000000000"),
        ([], "give a URL or set DATABASE_URL"),
    ],
)
def test_what_cannot_run_ends_in_2_with_one_clear_line(arguments, words):
    ran = seawall(*arguments)
    assert ran.returncode == 2
    assert words in ran.stderr
    assert "geheim" not in ran.stderr + ran.stdout
    assert len(ran.stderr.splitlines()) == 1
