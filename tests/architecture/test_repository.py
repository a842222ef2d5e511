"""What a newcomer relies on: the two ways to install agree, and nothing in the repository belongs to one machine."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from bench.readme import filled

ROOT = Path(__file__).parents[2]


def test_pip_installs_the_versions_that_uv_locked():
    locked = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    versions = {(package["name"], package["version"]) for package in locked if "registry" in package["source"]}
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    constrained = {tuple(line.split(";")[0].strip().split("==")) for line in lines if line}
    assert constrained == versions


def test_every_extra_is_part_of_all():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (everything,) = extras.pop("all")
    assert set(re.findall(r"[\w-]+", everything.partition("[")[2])) == set(extras)


def test_no_file_names_a_path_of_one_machine():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("needs a git checkout to know which files belong to the repository; clone it with git")
    found = [
        name
        for name in listed.stdout.split("\0")
        if name and re.search(r"(?<![\w.])/(root|home|Users|work)/\w", (ROOT / name).read_text(errors="replace"))
    ]
    assert not found


def test_the_readmes_figures_are_those_of_the_last_run():
    readme = (ROOT / "README.md").read_text()
    assert filled(readme) == readme
