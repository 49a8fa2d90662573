"""Random streams of a run: independent of each other and of the caller's global random state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import numpy as np
import torch

from sercache.errors import RecipeError

Purpose = Literal["weights", "batches", "dropout", "variants"]


def stream(seed: int, epoch: int, purpose: Purpose) -> int:
    """Seed of an independent random stream. Raises RecipeError for a negative seed."""
    if seed < 0:
        raise RecipeError(f"a seed is a whole number from 0, got {seed}")
    number = get_args(Purpose).index(purpose)
    return int(np.random.SeedSequence((seed, epoch, number)).generate_state(1, np.uint64)[0])


def generator_on(device: torch.device) -> torch.Generator:
    """What a member of a stack draws from."""
    return torch.Generator(device)


@contextmanager
def own_randomness(device: torch.device) -> Iterator[Callable[[int], None]]:
    """Gives a function that seeds torch; the caller's random state comes back on the way out."""
    index = torch.cuda.current_device() if device.index is None and device.type == "cuda" else device.index
    with torch.random.fork_rng(devices=[index] if device.type == "cuda" else []):

        def reseed(value: int) -> None:
            torch.default_generator.manual_seed(value)
            if device.type == "cuda":
                with torch.cuda.device(index):
                    torch.cuda.manual_seed(value)
            elif device.type == "mps":
                torch.mps.manual_seed(value)

        yield reseed
