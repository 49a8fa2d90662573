"""The parameters of members that are computed as one model, and the optimiser that steps them.

Parameters of all members lie in one tensor each. Those that take the same steps (one learning rate, as many
updates) lie side by side and are stepped as one tensor: optimisers work element by element, so that a member's
numbers are those it would have alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sercache.training.loop import optimiser_of, set_rate
from sercache.training.recording import StaticUpdate
from sercache.training.state import TrainingState, epoch_plan
from sercache.training.streams import generator_on, stream

Plan = tuple[float, list[list[np.ndarray]]]
"""Of an epoch of a member: learning rate and batches by update."""


@dataclass(frozen=True, eq=False)
class SideBySideMembers:
    """Members side by side that step as one."""

    members: range
    parameters: list[Tensor]
    """(K of them, ...) each: their rows of the trained parameters."""


@dataclass(frozen=True)
class _Part:
    """What an optimiser keeps of one parameter of a member."""

    own: dict[str, Tensor]
    common: dict[str, Any]
    """The same for all that step with it, such as the count of steps."""


@dataclass(eq=False)
class Stack:
    """Trainings that are computed as one model."""

    trainings: list[TrainingState]
    shared: bool
    """Whether all see the same batches."""
    values: dict[str, Tensor] = field(default_factory=dict)
    """By name: parameters (K, ...) of all trainings; those of each head are slices of them."""
    trained: list[str] = field(default_factory=list)
    """Names of the parameters that are trained."""
    blocks: list[SideBySideMembers] = field(default_factory=list)
    optimiser: torch.optim.Optimizer | None = None
    streams: list[torch.Generator] = field(default_factory=list)
    """What each member draws its dropout from."""
    recorded: bool = False
    """Whether the update in which all members take part is recorded (``sercache.training.recording``)."""
    static: StaticUpdate | None = None
    """That update, as long as the members lie as they do."""
    _laid: list[TrainingState] = field(default_factory=list)

    def plan(self) -> list[Plan]:
        """Begin an epoch: the plan of each member, in an order in which equal steps are neighbours."""
        plans = {id(training): epoch_plan(training) for training in self.trainings}

        def steps(training: TrainingState) -> tuple[int, float, int]:
            lr, groups = plans[id(training)]
            return -len(groups), lr, training.n_updates

        # Of equal size side by side: their last, smaller batches are computed together.
        self.trainings.sort(key=lambda training: (*steps(training), -len(training.train)))
        found = [steps(training) for training in self.trainings]
        starts = [k for k in range(len(found)) if k == 0 or found[k] != found[k - 1]]
        if self.trainings != self._laid or starts != [block.members.start for block in self.blocks]:
            self._lay(starts)
        assert self.optimiser is not None
        for group, start in zip(self.optimiser.param_groups, starts, strict=True):
            set_rate(group, plans[id(self.trainings[start])][0])
        self.reseed()
        return [plans[id(training)] for training in self.trainings]

    def step(self, gradients: Mapping[str, Tensor], taking_part: Sequence[int]) -> None:
        """One update by gradients (K, ...) by name; members that take no part stay as they are."""
        assert self.optimiser is not None
        for block in self.blocks:
            rows = slice(block.members.start, block.members.stop)
            moves = block.members.start in taking_part  # all of a block have as many updates
            for name, parameter in zip(self.trained, block.parameters, strict=True):
                gradient = gradients.get(name) if moves else None
                parameter.grad = None if gradient is None else gradient[rows]
        self.optimiser.step()

    def values_of(self, ks: Tensor) -> dict[str, Tensor]:
        """Parameters of some members, by name: copies that gradients are taken for."""
        return {
            name: whole.detach().index_select(0, ks).requires_grad_(whole.requires_grad)
            for name, whole in self.values.items()
        }

    def _lay(self, starts: list[int]) -> None:
        """Lay the parameters of the trainings side by side; an optimiser goes on with them as they were."""
        kept = self._parts()
        own = [dict(training.head.named_parameters()) for training in self.trainings]
        self.trained = [name for name, parameter in own[0].items() if parameter.requires_grad]
        whole = {name: torch.stack([each[name].detach() for each in own]) for name in own[0]}
        for k, each in enumerate(own):
            for name, own_slice in each.items():
                own_slice.data = whole[name][k]
        stops = [*starts[1:], len(own)]
        self.blocks = [
            SideBySideMembers(range(a, b), [whole[name][a:b].requires_grad_() for name in self.trained])
            for a, b in zip(starts, stops, strict=True)
        ]
        self.optimiser = _optimiser(self.blocks, self.trainings[0], recorded=self.recorded)
        for block in self.blocks:
            members = [kept.get(id(self.trainings[k]), []) for k in block.members]
            for parameter, parts in zip(block.parameters, zip(*members, strict=True), strict=False):
                self.optimiser.state[parameter] = _joined(parts)
        self.values = {
            name: value.detach().requires_grad_(name in self.trained) for name, value in whole.items()
        }
        self.streams = [generator_on(training.place) for training in self.trainings]
        self.static, self._laid = None, list(self.trainings)

    def _parts(self) -> dict[int, list[_Part]]:
        """What the optimiser keeps of each training, by its id."""
        found: dict[int, list[_Part]] = {}
        for block in self.blocks:
            assert self.optimiser is not None
            states = [(p, self.optimiser.state[p]) for p in block.parameters]
            for place, k in enumerate(block.members):
                found[id(self._laid[k])] = [_cut(parameter, state, place) for parameter, state in states]
        return found

    def reseed(self) -> None:
        """Begin the streams of an epoch, as ``advance`` does for a training alone."""
        for generator, training in zip(self.streams, self.trainings, strict=True):
            generator.manual_seed(stream(training.seed, len(training.history) + 1, "dropout"))


def _optimiser(
    blocks: list[SideBySideMembers], training: TrainingState, *, recorded: bool
) -> torch.optim.Optimizer:
    """The recipe's optimiser, with a rate for each block."""
    parameters: Any = [p for block in blocks for p in block.parameters]
    optimiser = optimiser_of(parameters, training.recipe, recorded=recorded)
    settings = {name: value for name, value in optimiser.param_groups[0].items() if name != "params"}
    optimiser.param_groups.clear()
    for block in blocks:
        own_rate = settings["lr"].clone() if torch.is_tensor(settings["lr"]) else settings["lr"]
        optimiser.add_param_group({**settings, "lr": own_rate, "params": block.parameters})
    return optimiser


def _cut(parameter: Tensor, state: Mapping[str, Any], place: int) -> _Part:
    whole = {key: torch.is_tensor(value) and value.shape == parameter.shape for key, value in state.items()}
    return _Part(
        own={key: value[place] for key, value in state.items() if whole[key]},
        common={key: value for key, value in state.items() if not whole[key]},
    )


def _joined(parts: Sequence[_Part]) -> dict[str, Any]:
    common = {
        key: value.clone() if torch.is_tensor(value) else value for key, value in parts[0].common.items()
    }
    return {**common, **{key: torch.stack([part.own[key] for part in parts]) for key in parts[0].own}}
