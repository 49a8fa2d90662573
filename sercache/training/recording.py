"""Updates whose shapes never change: laid out in memory that stays, recorded once on a card and replayed there.

An update of a small head on means over time is some eighty operations of a few microseconds each: on a card their
launches cost more than what they compute. A CUDA graph launches all of them at once. What is replayed is what was
recorded: the same operations on the same memory, into which the places of a batch's items and its truth are copied.
Updates of another shape, the last of an epoch among them, are computed as they come.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from sercache.training.plan import computes_at_once
from sercache.training.state import TrainingState
from sercache.training.tables import Resident

WARM = 3
"""Updates before the one that is recorded: by then kernels are chosen and the optimiser has its state."""

Given = tuple[Tensor, ...]
"""What differs from update to update: small tensors, such as places of items and their truth."""


class Recorder(Protocol):
    """Records what a function computes on a device without computing it."""

    def __call__(self, compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """What computes it again, and gives the same tensor with new values. Raises RuntimeError where it cannot."""
        ...


@dataclass(eq=False)
class StaticUpdate:
    """An update from what it is given to its losses, always in the same memory."""

    compute: Callable[[Given], Tensor]
    recorder: Recorder | None
    """None: computed anew each time."""
    _memory: Given = ()
    _replay: Callable[[], Tensor] | None = None
    _n_done: int = field(default=0)

    def __call__(self, given: Sequence[Tensor]) -> Tensor:
        """The losses of the update that ``given`` makes."""
        if not self._memory:
            self._memory = tuple(torch.empty_like(each) for each in given)
        for own, each in zip(self._memory, given, strict=True):
            own.copy_(each)
        self._n_done += 1
        if self._replay is None and self.recorder is not None and self._n_done > WARM:
            try:
                self._replay = self.recorder(lambda: self.compute(self._memory))
            except RuntimeError:  # it looks at values, or does what a graph cannot hold: as it comes, then
                self.recorder = None
        return self.compute(self._memory) if self._replay is None else self._replay().clone()


def is_steady(training: TrainingState) -> bool:
    """Whether all updates of a training but short ones are one batch of means, of one size, from tables."""
    recipe, lengths = training.recipe, training.train.n_frames
    one_batch = recipe.accumulate == 1 or computes_at_once(recipe, lengths)
    means = isinstance(training.train, Resident) and int(lengths.max()) == 1
    # A second target is looked at: which items of a batch have one.
    return means and one_batch and not recipe.second_weight


def recorder_of(device: torch.device, generators: Sequence[torch.Generator] = ()) -> Recorder | None:
    """A recorder of CUDA graphs that draw from ``generators``, if any; None on other devices."""
    if device.type != "cuda":
        return None

    def record(compute: Callable[[], Tensor]) -> Callable[[], Tensor]:
        graph = torch.cuda.CUDAGraph()
        for generator in generators:
            graph.register_generator_state(generator)
        with torch.cuda.device(device), torch.cuda.graph(graph, capture_error_mode="thread_local"):
            found = compute()

        def replay() -> Tensor:
            graph.replay()
            return found

        return replay

    return record
