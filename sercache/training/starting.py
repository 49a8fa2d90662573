"""Initial weights of a head from trainings that were done before."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sercache.errors import RecipeError
from sercache.head import StartsCentres, StartsFrom
from sercache.training.building import take_over
from sercache.training.contract import View, parts_of, place_of
from sercache.training.finetune import FineTuned, tail_name

_HEAD, _TAIL = "head.", f"{tail_name(0)}."
_CHUNK = 16
"""Items at a time."""


def start(head: nn.Module, sources: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Give ``head`` the weights of earlier trainings.

    ``sources`` has one entry "" for weights of the same head, else one for each part that the head's
    ``start_from`` takes by name. Encoder blocks that are trained below input k come from the k-th of these,
    where it has some. Raises RecipeError for weights that do not fit.
    """
    if set(sources) == {""}:
        take_over(head, sources[""])
        return
    inner = head.head if isinstance(head, FineTuned) else head
    names = list(inspect.signature(inner.start_from).parameters) if isinstance(inner, StartsFrom) else []
    strange = sorted(set(sources) - set(names))
    if strange or not isinstance(inner, StartsFrom):
        offer = f"takes {', '.join(names)}" if names else "takes weights of the same head only"
        raise RecipeError(
            f"this head {offer}, got initial weights for {(strange or [''])[0] or 'the whole head'!r}"
        )
    own = {name: _part(weights, _HEAD) or dict(weights) for name, weights in sources.items()}
    try:
        inner.start_from(**own)
    except (RuntimeError, KeyError, TypeError) as fault:
        raise RecipeError(
            f"the initial weights do not fit this head ({str(fault).splitlines()[0]}); train the earlier heads "
            "on states of the same size and with the same options"
        ) from fault
    if not isinstance(head, FineTuned):
        return
    for k, name in enumerate(names):
        tail, trained = head.tail_of(k), _part(sources.get(name, {}), _TAIL)
        if tail is not None and trained:
            take_over(tail, trained)


def start_centres(head: nn.Module, view: View, second: np.ndarray, device: str = "cpu") -> None:
    """Put the centres of a ``second`` target (U,) at the mean vector of its items (Park et al. 2023, code).

    Heads without ``start_centres`` are left as they are.
    """
    inner: Any = head.head if isinstance(head, FineTuned) else head
    if not isinstance(inner, StartsCentres):
        return
    sums: Tensor | None = None
    counts = np.bincount(second[second >= 0])
    n_inputs = len(view.dim) if isinstance(view.dim, tuple) else 1
    place = place_of(device)
    was_training = head.training
    head.to(place).eval()
    try:
        with torch.inference_mode():
            for first in range(0, len(view), _CHUNK):
                rows = np.arange(first, min(first + _CHUNK, len(view)))
                rows = rows[second[rows] >= 0]
                if not len(rows):
                    continue
                spoken = (parts_of(each)[-1].to(place) for each in view.batch(rows))
                # The speaker is the last input; its encoder's blocks may be trained too.
                x, mask = head.read(n_inputs - 1, *spoken) if isinstance(head, FineTuned) else spoken
                vectors = inner.embed_speaker(x, mask).cpu()
                sums = vectors.new_zeros(len(counts), vectors.shape[1]) if sums is None else sums
                sums.index_add_(0, torch.from_numpy(second[rows]), vectors)
    finally:
        head.train(was_training)
    assert sums is not None
    inner.start_centres((sums / torch.from_numpy(counts)[:, None]).to(place))


def _part(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Weights whose names begin with ``prefix``, without it."""
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
