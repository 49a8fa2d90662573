"""The tests of a card have the CPU play it here: they pass, and fail where features or trainings are moved."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import exactness
import numpy as np
import on_card
import published_sizes
import pytest
import test_cuda_encoders
import test_cuda_heads
import torch

from sercache import encoders, training

TESTS = Path(__file__).parent
CARD = "cpu:0"


@pytest.mark.slow
def test_the_tests_of_a_card_pass_where_the_cpu_plays_it() -> None:
    files = [str(path) for path in sorted(TESTS.glob("test_cuda_*.py")) if path != Path(__file__)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "cuda", "-p", "no:cacheprovider", *files],
        cwd=TESTS.parent,
        env={**os.environ, "SERCACHE_TEST_DEVICE": "cpu"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout.splitlines()[-1]


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> None:
    """An encoder on the card gives features that are off by 1e-4 of their RMS, one frame in a hundred."""
    load = encoders.load

    def loaded(name: str, *, device: str = "cpu", **options: Any) -> Any:
        encoder = load(name, device=device, **options)
        encode = encoder.encode

        def off(waves: Sequence[np.ndarray], states: Sequence[str] | None = None) -> Iterator[Any]:
            for state, x in encode(waves, states):
                x = x.clone()
                x[::100] += 1e-4 * x.square().mean().sqrt()
                yield state, x

        if device == CARD:
            encoder.encode = off
        return encoder

    monkeypatch.setattr(encoders, "load", loaded)


@pytest.mark.usefixtures("moved")
def test_features_that_are_moved_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {}
    monkeypatch.setattr(test_cuda_encoders, "DEVICE", CARD)
    monkeypatch.setattr(test_cuda_encoders, "SMALL", True)
    for name in ("wav2vec2-base", "logmel"):
        with pytest.raises(AssertionError, match=rf"name='{name}'"):
            test_cuda_encoders.test_float32_is_that_of_the_cpu_alone_and_in_company(
                name, tmp_path, told.setdefault
            )
    found = [
        exactness.compared(name, tmp_path, where) for name in ("logmel", "mfcc") for where in ("cpu", CARD)
    ]
    assert [each.is_exact for each in found] == [True, False] * 2


def test_a_training_that_is_another_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_cuda_heads, "DEVICE", CARD)

    def fit(head: Any, train: Any, dev: Any, recipe: Any, **options: Any) -> Any:
        return training.fit(head, train, dev, replace(recipe, lr=recipe.lr * (1 + 1e-4)), **options)

    check = functools.partial(
        test_cuda_heads.test_trainings_come_to_what_they_come_to_on_the_cpu,
        "recipe: mse, adam, plain",
        monkeypatch,
    )
    check()
    monkeypatch.setattr(test_cuda_heads, "fit", fit)
    monkeypatch.setattr("golden.fit", training.fit)
    with pytest.raises(AssertionError):
        check()


def test_families_are_entered_where_all_of_their_cases_are_exact() -> None:
    exact = {name: exactness.Apart(name, 1e-6, 2e-6, "1") for name in published_sizes.CASES}
    lines = exactness.to_enter(list(exact.values()), "a card")
    assert 'ShownEqual("hf-speech", "a card", 2.0e-06),' in lines
    entered = {line.split('"')[1] for line in lines}
    assert entered == {case.family for case in published_sizes.CASES.values()} - {"hf-auto"}, (
        "which takes any kind"
    )
    for bad in (
        replace(exact["wavlm-large"], together=3e-5),
        replace(exact["wavlm-large"], alone=float("nan")),
        None,
    ):
        some = [each for name, each in exact.items() if name != "wavlm-large"] + [bad] * (bad is not None)
        assert {line.split('"')[1] for line in exactness.to_enter(some, "a card")} == entered - {"hf-speech"}


def test_what_to_enter_is_printed_after_the_tests_of_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    properties = [(on_card.APART, [name, 1e-6, 1e-6, "1"]) for name in published_sizes.CASES]
    monkeypatch.setattr(on_card, "DEVICE", CARD)
    assert on_card.lines_to_enter([("other", 1), *properties])[0].startswith(
        f'ShownEqual("audio-towers", "{CARD}, torch '
    )
    monkeypatch.setattr(on_card, "SMALL", True)
    assert on_card.lines_to_enter(properties) == [], "a rehearsal shows nothing of a card"


@pytest.mark.skipif(bool(on_card.DEVICE), reason="there is a card, or one is rehearsed")
def test_without_a_card_the_reason_is_said_once() -> None:
    assert not torch.cuda.is_available()
    assert "SERCACHE_TEST_DEVICE=cpu" in on_card.NO_CARD
