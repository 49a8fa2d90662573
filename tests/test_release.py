"""What is published beside the code: metadata, a citation, what stays as it is, what forks and containers run."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

import sercache

TOP = Path(__file__).parents[1]
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_all_name_one_version_and_licence() -> None:
    cited = yaml.safe_load((TOP / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["version"] == PROJECT["version"] == sercache.__version__
    assert cited["license"] == PROJECT["license"]
    assert [each["name"] for each in cited["authors"]] == [each["name"] for each in PROJECT["authors"]]
    changes = (TOP / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(sercache.__version__)}\b", changes, re.MULTILINE)


@pytest.mark.parametrize("page", ["SECURITY.md", "docs/stability.md"])
def test_what_a_page_links_to_is_there(page: str) -> None:
    place = TOP / page
    for target in re.findall(r"\]\(([^)#]+)\)", place.read_text(encoding="utf-8")):
        assert (place.parent / target).exists(), target


ADDRESSED = ("pyproject.toml", "CITATION.cff", "mkdocs.yml")


def _addresses(top: Path) -> set[str]:
    project = tomllib.loads((top / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    cited = yaml.safe_load((top / "CITATION.cff").read_text(encoding="utf-8"))["repository-code"]
    (site,) = re.findall(r"^repo_url: (\S+)$", (top / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    assert all(url.startswith(project["urls"]["Homepage"]) for url in project["urls"].values())
    return {project["urls"]["Homepage"], cited, site}


def test_one_command_says_everywhere_where_the_project_lives(tmp_path: Path) -> None:
    assert len(_addresses(TOP)) == 1
    for name in (*ADDRESSED, "Makefile"):
        shutil.copy(TOP / name, tmp_path)
    make = ["make", "-s", "-C", str(tmp_path), "url"]
    done = subprocess.run(make, capture_output=True, text=True, check=False)
    assert done.returncode
    assert "make url URL=https://github.com/somebody/sercache" in done.stdout
    there = "https://git.example.com/lab/sercache"
    subprocess.run([*make, f"URL={there}"], check=True, capture_output=True)
    assert _addresses(tmp_path) == {there}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted((*ADDRESSED, "Makefile"))


def _targets() -> set[str]:
    lines = (TOP / "Makefile").read_text(encoding="utf-8").splitlines()
    heads = [line.partition(":")[0] for line in lines if re.match(r"[A-Za-z$][^=#]*:(?!=)", line)]
    return {
        name.replace("$(VENV)", ".venv").replace("$(BIN)", ".venv/bin")
        for head in heads
        for name in head.split()
    }


def test_a_fork_runs_targets_that_exist_on_the_versions_that_are_declared() -> None:
    workflow = yaml.safe_load((TOP / ".github/workflows/tests.yml").read_text(encoding="utf-8"))
    declared = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if "Python :: 3." in line]
    jobs = workflow["jobs"]
    assert jobs["fast"]["strategy"]["matrix"]["python"] == declared
    asked = {
        word.replace("${{ matrix.which }}", which)
        for job in jobs.values()
        for step in job["steps"]
        if step.get("run", "").startswith("make ")
        for which in job.get("strategy", {}).get("matrix", {}).get("which", ("",))
        for word in step["run"].removeprefix("make ").replace("${{ matrix.which }}", which).split()
    }
    assert asked >= {"demo", "test", "test-slow", "lint", "types", "test-oldest", "test-newest"}
    assert asked <= _targets()


def test_a_container_copies_and_installs_what_there_is() -> None:
    said = (TOP / "Containerfile").read_text(encoding="utf-8")
    kept = set(re.findall(r"^!(\S+)$", (TOP / ".containerignore").read_text(encoding="utf-8"), re.MULTILINE))
    copied = {name for line in re.findall(r"^COPY (.+) \S+$", said, re.MULTILINE) for name in line.split()}
    assert copied == kept
    assert all((TOP / name).exists() for name in copied)
    (extras,) = re.findall(r"^ARG EXTRAS=(\S+)$", said, re.MULTILINE)
    left_out = {"dev", "docs", "cluster"}
    assert set(extras.split(",")) == set(PROJECT["optional-dependencies"]) - left_out


def test_every_extra_is_tried_alone() -> None:
    from versions import EXTRAS, NOT_FEATURES, USES

    assert set(USES) == set(EXTRAS) - set(NOT_FEATURES)
