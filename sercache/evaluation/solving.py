"""Heads that are solved, not trained.

Such a head (sercache.head.Solves) is given the means of its training part and sets its own weights; it has no epochs
and needs no dev part.
"""

from __future__ import annotations

import time
import warnings

import numpy as np
import torch
from torch import Tensor, nn

from sercache.head import Solves
from sercache.nn import masked_mean
from sercache.training import Fit
from sercache.views import AnyView

_CHUNK = 64


def solve(head: nn.Module, train: AnyView, seed: int) -> Fit:
    """Solve one head on all of its training part; that the solver did not get to the end becomes a note."""
    from sklearn.exceptions import ConvergenceWarning

    started = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert isinstance(head, Solves)
        head.solve(_pooled(train), torch.tensor(train.labels), seed)
    notes: dict[str, None] = {}
    for each in caught:
        if issubclass(each.category, ConvergenceWarning):
            notes[" ".join(str(each.message).split())] = None
        else:
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
    return Fit(
        head=head.eval(),
        history=(),
        best_epoch=0,
        stopped_early=False,
        n_updates=0,
        seconds=time.perf_counter() - started,
        notes=tuple(f"the solver warns: {note}" for note in notes),
    )


def _pooled(view: AnyView) -> Tensor:
    """Means (U, L, D) over the real frames of every item."""
    parts = []
    for start in range(0, len(view), _CHUNK):
        x, mask = view.batch(np.arange(start, min(start + _CHUNK, len(view))))
        assert isinstance(x, Tensor)
        assert isinstance(mask, Tensor)
        parts.append(masked_mean(x, mask))
    return torch.cat(parts)
