"""States of a stock module, taken by hooks while it runs as it is: slower than packed, never different."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Point:
    """A place in a module where a state passes: the input or the output of one of its parts."""

    module: nn.Module
    before: bool = False
    """Whether it is what goes into ``module``; else what comes out."""
    turned: bool = False
    """Whether time comes last."""


class _Enough(Exception):
    """The last state asked for has been computed."""


@torch.no_grad()
def take(
    points: Mapping[str, Point], states: Sequence[str], forward: Callable[[], object]
) -> dict[str, Tensor]:
    """The (B, T, D) that pass ``points`` while ``forward`` runs, which is left after the last of ``states``."""
    found: dict[str, Tensor] = {}

    def keep(name: str, value: Any) -> None:
        tensor = first_tensor(value)
        found[name] = (tensor.transpose(1, 2) if points[name].turned else tensor).clone()
        if name == states[-1]:
            raise _Enough

    with ExitStack() as hooks:
        for name in states:
            hooks.callback(_hook(points[name], name, keep).remove)
        with suppress(_Enough):
            forward()
    return found


def first_tensor(value: Any) -> Tensor:
    """The tensor of hidden states in what a part takes or gives: the first one."""
    while not isinstance(value, Tensor):
        value = next(iter(value.values())) if isinstance(value, Mapping) else value[0]
    return value


def _hook(point: Point, name: str, keep: Callable[[str, Any], None]) -> Any:
    if point.before:
        return point.module.register_forward_pre_hook(
            lambda _, args, named: keep(name, args if args else named), with_kwargs=True
        )
    return point.module.register_forward_hook(lambda _, __, output: keep(name, output))
