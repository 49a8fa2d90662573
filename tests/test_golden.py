"""Trainings come to the numbers that were written down, on every processor (see ``golden``)."""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import golden
import pytest

from sercache import catalog
from sercache.head import is_solved
from sercache.record import TRAINING

CASES = golden.cases()
WRITTEN = golden.read()
TRAINED = [
    name
    for name in catalog.names("sercache.heads")
    if not is_solved(catalog.load("sercache.heads", name).Head)
]


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
    assert "raise TRAINING in sercache/record/" in said
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


def off(value: Any) -> Any:
    """A number, tensor or several of them a thousandth too large."""
    return tuple(map(off, value)) if isinstance(value, tuple) else value * 1.001


PLANTED: dict[str, tuple[str, Callable[..., Any], str]] = {
    "cross-entropy": ("losses.cross_entropy", lambda f: lambda *given: off(f(*given)), "cross-entropy, sgd, plain"),
    "mse": ("losses.F.mse_loss", lambda f: lambda *given: off(f(*given)), "mse, sgd, plain"),
    "ccc": ("losses.concordance_loss", lambda f: lambda *given: off(f(*given)), "ccc, sgd, plain"),
    "smoothing": ("losses.cross_entropy", lambda f: lambda *given: f(*given[:3], off(given[3])), "label smoothing"),
    "gamma": ("losses.focal_loss", lambda f: lambda o, t, g, w: f(o, t, off(g), w), "focal gamma"),
    "scale": ("losses.arcface", lambda f: lambda o, t, s, m, w: f(o, t, off(s), m, w), "arcface, sgd, plain"),
    "margin": ("losses.arcface", lambda f: lambda o, t, s, m, w: f(o, t, s, off(m), w), "arcface margin"),
    "rate": ("loop.epoch_plan", lambda f: lambda each: (off(f(each)[0]), f(each)[1]), "cross-entropy, sgd, plain"),
    "beta": ("loop.optimiser_of", lambda f: lambda p, r, **k: f(p, replace(r, beta2=off(r.beta2)), **k), "betas"),
    "decay": ("loop.optimiser_of", lambda f: lambda p, r, **k: f(p, replace(r, weight_decay=off(r.weight_decay)), **k),
              "weight decay, adamw"),
    "weights": ("building.stream", lambda f: lambda seed, *rest: f(seed + 1, *rest), "cross-entropy, adam, plain"),
    "dropout": ("loop.stream", lambda f: lambda seed, *rest: f(seed + 1, *rest), "cross-entropy, adam, plain"),
    **{
        f"batches, {order}": ("plan.stream", lambda f: lambda seed, *rest: f(seed + 1, *rest),
                              f"cross-entropy, adam, {order}")
        for order in golden.ORDERS
    },
}  # fmt: skip
"""By what is wrong: what is planted below ``sercache.training``, around what is there, and which recipe tells."""


@pytest.mark.parametrize("wrong", PLANTED)
def test_a_planted_change_of_loss_step_or_order_is_noticed(
    wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that no tolerance is so wide, on whatever processor, that a mistake passes."""
    place, around, recipe = PLANTED[wrong]
    path, _, attribute = f"sercache.training.{place}".rpartition(".")
    owner = pkgutil.resolve_name(path)
    monkeypatch.setattr(owner, attribute, around(getattr(owner, attribute)))
    assert is_noticed(f"recipe: {recipe}")


@pytest.mark.parametrize("name", TRAINED)
def test_a_planted_change_of_a_head_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    head = catalog.load("sercache.heads", name).Head
    forward = head.forward
    monkeypatch.setattr(head, "forward", lambda self, *given: off(forward(self, *given)))
    assert is_noticed(f"head: {name}")


def is_noticed(name: str) -> bool:
    case = CASES[name]
    return (
        golden.difference(golden.numbers(case), WRITTEN["cases"][name]["numbers"], case.tolerance) is not None
    )
