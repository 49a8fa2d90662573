"""What training is given and gives: View, with one input or several side by side; Member, one training; Fit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from sercache.training.plan import Epoch

Inputs = Tensor | tuple[Tensor, ...]
"""One tensor, or one for each input of a head that reads several."""


class View(Protocol):
    """What training reads: U items of L layers and D dims with labels. Pooled views have T = 1.

    A view may also be one of the next two.
    """

    @property
    def n_layers(self) -> int | tuple[int, ...]:
        """L; one for each input where there are several."""

    @property
    def dim(self) -> int | tuple[int, ...]:
        """D; one for each input where there are several."""

    @property
    def labels(self) -> np.ndarray:
        """Class (U,) of each item, int64."""

    @property
    def n_frames(self) -> np.ndarray:
        """Real frames (U,) of each item, int64; of its longest input where there are several."""

    def __len__(self) -> int:
        """U."""

    def batch(self, indices: np.ndarray) -> tuple[Inputs, Inputs]:
        """Features (B, L, T, D) float32 and mask (B, T) bool, or tuples of them; padding is finite."""


@runtime_checkable
class GivesNumbers(Protocol):
    """A view of a task that may give numbers."""

    @property
    def targets(self) -> np.ndarray | None:
        """Numbers (U, C) float32; None where the task gives classes."""


@runtime_checkable
class HasVariants(Protocol):
    """A view that may hold several versions of its items."""

    @property
    def n_variants(self) -> int:
        """Versions of the same items, all of one before the next: an epoch draws one of each. 1: there are none."""


def variants_of(view: View) -> int:
    """Versions of each item of a view, of which an epoch draws one."""
    return view.n_variants if isinstance(view, HasVariants) else 1


def targets_of(view: View) -> np.ndarray | None:
    """Numbers (U, C) that a view is to be trained on; None where it has classes."""
    return view.targets if isinstance(view, GivesNumbers) else None


def place_of(device: str) -> torch.device:
    """The device of a name; the CPU has one name, as tensors that "cpu:0" is asked for are copied each time."""
    place = torch.device(device)
    return torch.device("cpu") if place.type == "cpu" else place


def moved(x: Inputs, device: torch.device) -> Inputs:
    """Features or masks on ``device``."""
    return tuple(part.to(device) for part in x) if isinstance(x, tuple) else x.to(device)


def parts_of(x: Inputs) -> tuple[Tensor, ...]:
    """The tensors of all inputs."""
    return x if isinstance(x, tuple) else (x,)


def total_layers(view: View) -> int:
    """Layers of all inputs of a view."""
    return sum(view.n_layers) if isinstance(view.n_layers, tuple) else view.n_layers


@dataclass(frozen=True, eq=False)
class Member:
    """One training: a fold with a seed, or a variant of the recipe's options in the head."""

    head: nn.Module
    train: View
    dev: View | None
    seed: int
    order_seed: int | None = None
    """Decides the order of batches in place of ``seed``, for members that share their batches."""
    second: np.ndarray | None = None
    """Classes (U,) int64 of a second target of what is trained on, -1 where an item has none; None: there is none."""


@dataclass(frozen=True)
class Fit:
    """A trained head and how it came about."""

    head: nn.Module
    """On the CPU, in evaluation mode, with the weights of ``best_epoch``."""
    history: tuple[Epoch, ...]
    best_epoch: int
    """The epoch whose weights were kept; with ``select=last-epoch`` the last."""
    stopped_early: bool
    n_updates: int
    seconds: float
    notes: tuple[str, ...] = ()
    """What could not be done as the recipe says, one line each."""
    timing: dict[str, Any] = field(default_factory=dict)
    """How it was computed: what does not decide the numbers, for example the share of padding."""
