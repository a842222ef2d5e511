"""`seawall alerts`, and the committed files of the podcast service."""

from pathlib import Path

import pytest

from seawall.cli import main

ROOT = Path(__file__).parents[3]
COMMITTED = (
    "--out=examples/podcasts/operations",
    "--objectives=podcasts.objectives:PLAN",
    "--runbook=docs/reference/alerts.md",
)


def test_the_committed_files_are_what_the_declarations_say(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    code = main(["alerts", *COMMITTED, "--check"])
    again = f"write them again: PYTHONPATH=examples .venv/bin/seawall alerts {' '.join(COMMITTED)}"
    assert code == 0, f"{capsys.readouterr().out}\n{again}"


def test_it_writes_what_check_finds_fresh(tmp_path, capsys):
    command = ["alerts", f"--out={tmp_path / 'shop'}", "--service=shop"]
    assert main([*command, "--check"]) == 1
    assert not (tmp_path / "shop").exists()
    assert main(command) == 0
    wrote = capsys.readouterr().out
    assert f"wrote   {tmp_path}/shop/rules/api.yml" in wrote
    assert main([*command, "--check"]) == 0
    assert 'job="shop"' in (tmp_path / "shop" / "rules" / "api.yml").read_text()
    assert "runbook.md#servicedown" in (tmp_path / "shop" / "rules" / "scrape.yml").read_text()
    assert "### ServiceDown" in (tmp_path / "shop" / "runbook.md").read_text()


def test_check_names_what_was_changed_missing_or_left_over(tmp_path, capsys):
    command = ["alerts", f"--out={tmp_path}", "--objectives=podcasts.objectives:PLAN"]
    assert main(command) == 0
    rules = tmp_path / "rules"
    (rules / "api.yml").write_text("changed by hand")
    (rules / "cache.yml").unlink()
    (rules / "retired.yml").write_text((rules / "health.yml").read_text())
    (rules / "own.yml").write_text("groups: []")
    capsys.readouterr()
    assert main([*command, "--check"]) == 1
    told = capsys.readouterr().out
    assert f"stale {rules}/api.yml is not what the declarations say" in told
    assert f"stale {rules}/cache.yml is missing" in told
    assert f"stale {rules}/retired.yml is not written any more" in told
    assert told.count("stale ") == 3
    assert main(command) == 0
    assert not (rules / "retired.yml").exists()
    assert (rules / "own.yml").read_text() == "groups: []"
    assert main([*command, "--check"]) == 0


def test_a_runbook_elsewhere_is_what_alerts_point_at(tmp_path):
    out = f"--out={tmp_path}"
    assert main(["alerts", out, "--service=shop", "--runbook-url=https://wiki.example.com/shop"]) == 0
    assert "https://wiki.example.com/shop#servicedown" in (tmp_path / "rules" / "scrape.yml").read_text()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "no service: give --service"),
        (["--service=a b"], "service is 'a b'"),
        (["--objectives=podcasts"], "MODULE:NAME"),
        (["--objectives=no_such_module:PLAN"], "'no_such_module' can't be imported"),
        (["--objectives=podcasts.objectives:NOTHING"], "NOTHING"),
        (["--objectives=podcasts.models:MAIN"], "an AlertPlan, a list of Objective"),
    ],
)
def test_what_can_not_be_done_is_said(tmp_path, capsys, options, words):
    assert main(["alerts", f"--out={tmp_path}", *options]) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_can_not_be_written_is_said(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["alerts", f"--out={tmp_path / 'file'}", "--service=shop"]) == 2
    assert "file" in capsys.readouterr().err
