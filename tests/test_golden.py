"""Trainings come to the numbers that were written down, on every processor (see ``golden``)."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import golden
import pytest

from sercache.record import TRAINING

CASES = golden.cases()
WRITTEN = golden.read()


def test_the_file_is_of_this_version_and_holds_every_case() -> None:
    wanted = {name: case.version for name, case in CASES.items()}
    held = {name: each["version"] for name, each in WRITTEN["cases"].items()}
    assert (WRITTEN["training"], held) == (TRAINING, wanted), "run `make golden`"


@pytest.mark.parametrize("name", CASES)
def test_numbers_are_those_written_down(name: str) -> None:
    if name not in WRITTEN["cases"]:
        pytest.fail("this training is new: run `make golden` to write its numbers")
    change = golden.difference(
        golden.numbers(CASES[name]), WRITTEN["cases"][name]["numbers"], CASES[name].tolerance
    )
    assert change is None, f"{change}; {golden.REMEDY}"


@pytest.fixture
def few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, golden.Case]:
    """A file of two cases; gives what ``golden.write`` takes for all there are."""
    some = {name: CASES[name] for name in ("head: linear", "recipe: focal, sgd, plain")}
    monkeypatch.setattr(golden, "FILE", tmp_path / "numbers.json")
    monkeypatch.setattr(golden, "cases", lambda: some)
    assert golden.write() == 0
    return some


def test_changed_numbers_are_refused_until_a_version_is_raised(
    few: dict[str, golden.Case], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = golden.FILE.read_text()
    few["head: linear"] = few["recipe: focal, sgd, plain"]
    assert golden.write() == 1
    said = capsys.readouterr().out
    assert "head: linear: " in said
    assert "focal" not in said
    assert "raise TRAINING in sercache/record.py" in said
    assert golden.FILE.read_text() == before
    few["head: linear"] = replace(few["head: linear"], version="2")
    assert golden.write() == 0
    few["recipe: focal, sgd, plain"] = CASES["recipe: focal, sgd, bucket"]
    assert golden.write() == 1
    monkeypatch.setattr(golden, "TRAINING", TRAINING + 1)
    assert golden.write() == 0
    assert json.loads(golden.FILE.read_text())["training"] == TRAINING + 1


def test_numbers_that_stayed_keep_the_digits_of_the_machine_that_wrote_them(
    few: dict[str, golden.Case],
) -> None:
    written = golden.read()
    losses = written["cases"]["head: linear"]["numbers"]["train losses"]
    losses[0] *= 1 + 1e-12
    golden.FILE.write_text(json.dumps(written))
    assert golden.write() == 0
    assert golden.read()["cases"]["head: linear"]["numbers"]["train losses"] == losses
