"""Encoders on a card: float32 is the CPU's, half precision errs no more than the stock module, the contract is kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import on_card
import pytest
import torch
from exactness import compared, each_alone, reference, together
from families import CHECKPOINTS, KEEPS
from on_card import APART, BOUND, DEVICE, SMALL
from published_sizes import CASES, NEVER_ON_A_CARD, write

from sercache import catalog, encoders

pytestmark = pytest.mark.cuda


def grouped(names: Iterable[str]) -> list[Any]:
    """Cases, those of one name in one process: the checkpoint is written, and the CPU computes, once."""
    return [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in names]


ROUNDED = {"qwen2-audio": 2 * 3.2e-5}
"""Where float32 itself is further than BOUND from float64, by this much at most on the CPU, so that two devices may lie
twice as far apart: a second convolution that sums 3,840 products of spectra far from zero, and a state with values of 9
times its RMS. No family is entered as equal for it.
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("published")
    yield path
    shutil.rmtree(path)  # some 16 GB


@pytest.mark.parametrize("name", grouped(CASES))
def test_float32_is_that_of_the_cpu_alone_and_in_company(
    name: str, folder: Path, record_property: Callable[[str, object], None]
) -> None:
    found = compared(name, folder, DEVICE, small=SMALL)
    record_property(APART, [found.name, found.alone, found.together, found.state])
    assert found.error <= ROUNDED.get(name, BOUND), found


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", grouped(on_card.WITH_STOCK))
def test_half_precision_errs_no_more_than_the_stock_module(name: str, precision: str, folder: Path) -> None:
    source = write(name, folder, small=SMALL)
    expected, rough = reference(source), encoders.load(source, device=DEVICE, precision=precision)
    waves = expected.waves
    stock = on_card.stock_in(name, source, rough, waves, getattr(torch, precision))
    # Features that go into the model are rounded, no more.
    shown = [state for state in expected.states if state in stock and state != "features"]
    assert len(shown) >= 2
    for found in (each_alone(rough, waves), together(rough, waves)):
        for state in shown:
            ours, theirs = (on_card.rms_error(x[state], expected.states[state]) for x in (found, stock))
            # Both are draws of rounding noise: half as much again is the spread between seeds.
            assert ours <= 1.5 * theirs + 1e-6, (state, ours, theirs)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_the_contract_is_kept(name: str, tmp_path: Path) -> None:
    encoder = encoders.load(str(CHECKPOINTS[name][1](tmp_path / name)), device=DEVICE)
    assert [fault for keeps in KEEPS for fault in keeps(encoder)] == []


def test_every_family_is_compared() -> None:
    families = {case.family for case in CASES.values()} | set(NEVER_ON_A_CARD)
    assert families == set(catalog.names("sercache.encoders"))
