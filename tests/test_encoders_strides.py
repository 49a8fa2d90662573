"""Lengths before and behind strided convolutions."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sercache.encoders._strides import Strides

WAV2VEC2 = ((10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2))
ROWS = [WAV2VEC2, ((3, 2), (5, 3)), ((400, 160),)]


@pytest.mark.parametrize("steps", ROWS)
def test_frames_are_those_that_convolutions_give(steps: tuple[tuple[int, int], ...]) -> None:
    rows = nn.Sequential(*(nn.Conv1d(1, 1, kernel, stride) for kernel, stride in steps))
    found = Strides(steps)
    for n_in in (found.n_in(1), 999, 16_000):
        assert found.n_out(n_in) == rows(torch.zeros(1, 1, n_in)).shape[2]


@pytest.mark.parametrize("steps", ROWS)
@pytest.mark.parametrize("n_out", [1, 2, 50])
def test_the_fewest_are_just_enough(steps: tuple[tuple[int, int], ...], n_out: int) -> None:
    found = Strides(steps)
    fewest = found.n_in(n_out)
    assert (found.n_out(fewest - 1), found.n_out(fewest)) == (n_out - 1, n_out)
    assert found.n_out(fewest + found.hop) == n_out + 1
    assert found.n_out(0) == 0
