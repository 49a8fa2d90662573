"""A head for a view, with initial weights from a seed or from an earlier run."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sercache.catalog import unknown
from sercache.errors import RecipeError
from sercache.training.contract import View
from sercache.training.streams import own_randomness, stream


def build(
    head_class: type[nn.Module],
    view: View,
    n_outputs: int,
    seed: int,
    *,
    start: Mapping[str, Tensor] | None = None,
    **options: Any,
) -> nn.Module:
    """A head for the shape of ``view``, its initial weights decided by ``seed`` alone, or those of ``start``.

    Raises RecipeError for an option that the head does not have and for weights that do not fit it.
    """
    on_offer = list(inspect.signature(head_class).parameters)[3:]
    for name in options:
        if name not in on_offer:
            raise RecipeError(unknown("option of this head", name, on_offer))
    with own_randomness(torch.device("cpu")) as reseed:
        reseed(stream(seed, 0, "weights"))
        head = head_class(view.n_layers, view.dim, n_outputs, **options)
    if start is not None:
        take_over(head, start)
    return head


def take_over(head: nn.Module, start: Mapping[str, Tensor]) -> None:
    """Give ``head`` the weights ``start``, name by name. Raises RecipeError for weights that do not fit."""
    own = head.state_dict()
    missing, strange = sorted(set(own) - set(start)), sorted(set(start) - set(own))
    for names, fault in ((missing, "lack {} that this head has"), (strange, "hold {} that this head lacks")):
        if names:
            what = fault.format(f"{len(names)} of {len(own)} weights, first {names[0]},")
            raise RecipeError(
                f"the initial weights {what}; take those of the same head with the same options"
            )
    for name, value in own.items():
        if value.shape != start[name].shape:
            raise RecipeError(
                f"initial weights {name} are {tuple(start[name].shape)}, this head needs {tuple(value.shape)}; "
                "take those of the same states, classes and options"
            )
    head.load_state_dict(dict(start))
