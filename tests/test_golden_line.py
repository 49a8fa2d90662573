"""Commands leave on disk what was written down of them (see ``golden_line``)."""

from __future__ import annotations

import copy
from typing import Any

import golden_line as golden
import pytest

CASES = golden.cases()
WRITTEN = golden.read()
REMEDY = "if that is meant, run `make golden` and read what changed"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> golden.World:
    return golden.World(tmp_path_factory.mktemp("world"))


def test_the_file_holds_every_case_and_stays_small() -> None:
    assert list(WRITTEN) == list(CASES), "run `make golden`"
    assert golden.FILE.stat().st_size < 205_000  # a head takes about 4 kB of it


@pytest.mark.parametrize(
    "name", [pytest.param(k, marks=pytest.mark.slow) if case.slow else k for k, case in CASES.items()]
)
def test_what_a_command_leaves_is_what_was_written_down(world: golden.World, name: str) -> None:
    changes = list(golden.differences(world.digest(name), WRITTEN[name], CASES[name].tolerance))
    assert not changes, "\n".join([f"{len(changes)} changes; {REMEDY}", *changes[:10]])


REPORT, PREDICTIONS = "runs/linear/report.json", "runs/linear/predictions.csv"


def _of(found: Any, *names: Any) -> Any:
    for name in names:
        found = found[name]
    return found


@pytest.mark.parametrize(
    ("place", "name", "value"),
    [
        ((), PREDICTIONS, None),
        ((PREDICTIONS, "p:anger"), 3, 0.5),
        ((PREDICTIONS, "predicted"), 3, "neutral"),
        ((PREDICTIONS, "id"), 3, "u0"),
        ((PREDICTIONS,), "true", None),
        ((REPORT,), "seeds", [0]),
        ((REPORT, "folds", 0), "test_sha256", "0"),
        ((REPORT, "folds", 0), "n_train", 15.0),
        ((REPORT, "summary", "ua", "seeds"), "mean", 0.5),
        ((REPORT, "summary", "ua", "seeds_interval"), "units", "folds"),
        ((REPORT, "experiment"), "normalise", "none"),
        ((REPORT, "runs", 0), "job", "0"),
        ((REPORT, "runs", 0), "best_epoch", 1.0),
    ],
)
def test_a_change_is_told(place: tuple, name: Any, value: Any) -> None:
    changed = copy.deepcopy(WRITTEN["train"])
    _of(changed, *place)[name] = value
    [change] = golden.differences(changed, WRITTEN["train"], golden.TOLERANCE)
    assert str(place[-1] if place else name) in change
    _of(changed, *place).pop(name)
    assert list(golden.differences(changed, WRITTEN["train"], golden.TOLERANCE))
